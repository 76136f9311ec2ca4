"""What a webhook proves, and what it is a hint of. Nothing in here does more than read bytes that came.

Each check is total: any headers and body give a verdict, never an exception. A payload is a nudge to go and
look, never content. Which provider speaks is a matter of the endpoint, for Gitea sends GitHub's headers too.
Sources: GitHub's and GitLab's webhook documentation, the Standard Webhooks specification (GitLab's signing
token), Azure DevOps' service hooks, Flux's generic HMAC receiver.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ..model.settings import Provider

Headers = Mapping[str, str]
"""By lower-case name."""

WINDOW_SECONDS = 300.0
"""Age of a signed time above which a delivery may have been recorded and sent again."""

_PROOF: Mapping[Provider, tuple[str, ...]] = {
    "github": ("x-hub-signature-256",),
    "gitlab": ("x-gitlab-token", "webhook-signature"),
    "azuredevops": ("authorization",),
    "generic": ("x-signature",),
}
"""Headers one of which must be there before a body is worth reading."""
_DELIVERY: Mapping[Provider, tuple[str, ...]] = {
    "github": ("x-github-delivery",),
    "gitlab": ("webhook-id", "idempotency-key", "x-gitlab-event-uuid"),
    "generic": ("x-delivery",),
}


@dataclass(frozen=True, slots=True)
class Nudge:
    """What may have happened. `ref` moved, or request `number` changed; both empty: look at everything."""

    ref: str = ""
    number: int | None = None
    nothing: bool = False
    """A ping, a comment: no reason to look."""


def has_proof(provider: Provider, headers: Headers) -> bool:
    return any(name in headers for name in _PROOF[provider])


def refusal(provider: Provider, headers: Headers, body: bytes, secrets: Sequence[str], now: float) -> str:
    """Why a delivery is not believed, in one word for metrics; empty where it is."""
    usable = [secret for secret in secrets if secret]
    if not usable:
        return "no-secret"
    match provider:
        case "github":
            return _any(_hex_signed(headers.get("x-hub-signature-256", ""), body, s) for s in usable)
        case "gitlab" if "webhook-signature" in headers:
            return _standard(headers, body, usable, now)
        case "gitlab":
            return _any(_same(headers.get("x-gitlab-token", ""), secret) for secret in usable)
        case "azuredevops":
            return _any(_basic(headers.get("authorization", ""), secret) for secret in usable)
        case "generic":
            return _generic(headers, body, usable, now)


def _any(proofs: Iterable[bool]) -> str:
    """All are looked at, so that the time taken tells nothing of which secret it was."""
    return "" if any(list(proofs)) else "bad-signature"


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode(errors="replace"))


def _hex_signed(header: str, body: bytes, secret: str) -> bool:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return _same(header, f"sha256={digest}")


def _basic(header: str, secret: str) -> bool:
    """Azure DevOps signs nothing: a service hook logs in with a password, under any name."""
    scheme, _, encoded = header.partition(" ")
    try:
        _, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        password = ""
    return scheme.lower() == "basic" and _same(password, secret)


def _standard(headers: Headers, body: bytes, secrets: Sequence[str], now: float) -> str:
    """Standard Webhooks: `v1,<base64>` over `id.timestamp.body`; the secret is `whsec_<base64>`."""
    id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _is_fresh(stamp, now):
        return "stale"
    signed = f"{id}.{stamp}.".encode(errors="replace") + body
    given = headers.get("webhook-signature", "").split()[:10]
    wanted = [f"v1,{_base64_hmac(secret, signed)}" for secret in secrets]
    return _any(_same(one, other) for one in given for other in wanted)


def _base64_hmac(secret: str, signed: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = secret.encode(errors="replace")
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _generic(headers: Headers, body: bytes, secrets: Sequence[str], now: float) -> str:
    """`X-Signature: sha256=<hex>` over `<X-Timestamp>.<body>`, or over the body alone as Flux has it."""
    signature, stamp = headers.get("x-signature", ""), headers.get("x-timestamp")
    if stamp is None:
        return _any(_hex_signed(signature, body, secret) for secret in secrets)
    if not _is_fresh(stamp, now):
        return "stale"
    signed = f"{stamp}.".encode(errors="replace") + body
    return _any(_hex_signed(signature, signed, secret) for secret in secrets)


def _is_fresh(stamp: str, now: float) -> bool:
    return (
        stamp.isascii() and stamp.isdecimal() and len(stamp) < 12 and abs(now - int(stamp)) <= WINDOW_SECONDS
    )


# --- what it is a hint of --------------------------------------------------------------------------


def nudge(provider: Provider, headers: Headers, body: bytes) -> Nudge:
    """From event, ref and number alone; where they are not what they should be, look at everything."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        payload = None
    if not isinstance(payload, dict):
        return Nudge()
    match provider:
        case "github":
            return _github(headers.get("x-github-event", ""), payload)
        case "gitlab":
            return _gitlab(payload)
        case "azuredevops":
            return _azure(payload)
    return Nudge(ref=_text(payload.get("ref")))


def _github(event: str, payload: dict[str, Any]) -> Nudge:
    if event == "push":
        return Nudge(ref=_text(payload.get("ref")))
    if event.startswith("pull_request"):
        return Nudge(
            number=_number(payload.get("number")) or _number(_part(payload, "pull_request", "number"))
        )
    return Nudge(nothing=event in ("ping", "issue_comment", "status", "check_run", "check_suite"))


def _gitlab(payload: dict[str, Any]) -> Nudge:
    kind = _text(payload.get("object_kind"))
    if kind in ("push", "tag_push"):
        return Nudge(ref=_text(payload.get("ref")))
    if kind == "merge_request":
        return Nudge(number=_number(_part(payload, "object_attributes", "iid")))
    return Nudge(nothing=kind in ("note", "pipeline", "build", "job"))


def _azure(payload: dict[str, Any]) -> Nudge:
    event = _text(payload.get("eventType"))
    if event.startswith("git.pullrequest"):
        return Nudge(number=_number(_part(payload, "resource", "pullRequestId")))
    updates = _part(payload, "resource", "refUpdates")
    if event == "git.push" and isinstance(updates, list) and len(updates) == 1:
        return Nudge(ref=_text(_part({"update": updates[0]}, "update", "name")))
    return Nudge()


def _part(payload: Any, *path: str) -> Any:
    for name in path:
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 1024 else ""


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31 else None


def delivery_id(provider: Provider, headers: Headers, body: bytes) -> str:
    """What is the same when a delivery is sent again; empty where there is no telling.

    Azure's id is inside the body, and the whole of that is as good.
    """
    if provider == "azuredevops":
        return hashlib.sha256(body).hexdigest()
    return next((headers[name] for name in _DELIVERY[provider] if headers.get(name)), "")[:200]
