"""What an answer that is no success means: one error class and one sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from reconciler.errors import Conflict, InvalidSpec, NotFound, NotPermitted, ReconcilerError, Unavailable

_UNTYPED = "failed to create typed patch object"
"""How a server answers an apply with an unknown field or a value of the wrong type: with a 500."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `verb` as access rules name it, `about` the object as people name it."""

    verb: str
    kind: str
    about: str
    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __str__(self) -> str:
        return f"{self.verb} {self.about}"


class Gone(Unavailable):
    """The resource version asked for is no longer kept: list anew."""

    reason = "Gone"


class Transient(Unavailable):
    """Worth another try at once; without one it is simply Unavailable."""


def of_response(call: Call, status: int, body: bytes, retry_after: str = "") -> ReconcilerError:
    """`retry_after` is the header's value; only its form in seconds is used by API servers."""
    answer = _status_object(body)
    wait = float(retry_after) if retry_after.isdigit() else None
    return of_status(call, {"code": status, **answer}, wait)


def of_status(call: Call, answer: Mapping[str, Any], wait: float | None = None) -> ReconcilerError:
    """The error that a Status object stands for."""
    code, said = int(answer.get("code") or 0), " ".join(str(answer.get("message") or "").split())
    text = f"{call}: {said or answer.get('reason') or 'no explanation'} ({code})"
    if code in (401, 403):
        return _refusal(text, code, answer)
    if code == 500 and _UNTYPED in said:
        return InvalidSpec(text)
    if code == 429 or code == 408 or code >= 500:
        return Transient(text, retry_after=wait)
    known = {404: NotFound, 409: Conflict, 410: Gone}
    if code in known:
        return known[code](text)
    return InvalidSpec(text) if 400 <= code < 500 else Unavailable(text)


def _refusal(text: str, code: int, answer: Mapping[str, Any]) -> ReconcilerError:
    if code == 401:
        return NotPermitted(f"{text}; the credentials have expired or were revoked: renew them")
    causes = (answer.get("details") or {}).get("causes") or []
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return Unavailable(text)
    if " cannot impersonate " in text:
        return NotPermitted(f"{text}; allow the daemon's account to impersonate that service account")
    if " cannot " in text:
        return NotPermitted(f"{text}; allow it in a Role or ClusterRole bound to that account")
    return NotPermitted(f"{text}; an admission rule or quota of the cluster forbids it")


def _status_object(body: bytes) -> dict[str, Any]:
    """Code is left out: what the status line says counts."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": body[:300].decode(errors="replace")}
    if not isinstance(answer, dict):
        return {}
    return {name: answer[name] for name in ("message", "reason", "details") if name in answer}
