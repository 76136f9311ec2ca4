"""What a forge's refusal means to us."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from reconciler.errors import Conflict, InvalidSpec, NotPermitted, NotYet, ReconcilerError, Unavailable
from reconciler.telemetry import redacted

SECONDARY_LIMIT_SECONDS = 60.0
"""GitHub names no time for its secondary limits, and asks for at least a minute."""
LONGEST_PAUSE_SECONDS = 3600.0
_SAID_CHARACTERS = 300
_RESETS = ("x-ratelimit-reset", "ratelimit-reset")


class RateLimited(NotYet):
    """The forge asks for less. Nothing is sent before `retry_after` seconds are over, whoever asks."""

    reason = "RateLimited"


class Rejected(InvalidSpec):
    """The forge understood and said no (400, 422); `said` is its own text."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class StatusesUsedUp(InvalidSpec):
    """GitHub takes 1000 statuses for a commit and context, and no more for ever."""

    reason = "StatusesUsedUp"


class Transient(Unavailable):
    """It may work at once; `sent` tells whether the forge may have acted."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked, for people; `need` is the permission it takes."""

    forge: str
    repository: str
    method: str
    path: str
    need: str

    def __str__(self) -> str:
        return f"{self.forge}: {self.method} {self.path}"


def refusal(call: Call, status: int, headers: Mapping[str, str], body: Any) -> ReconcilerError:
    """The error for an answer that is no success."""
    said = _said(body)
    tail = f": {said}" if said else ""
    pause = _pause(status, headers, said)
    if pause is not None:
        return RateLimited(f"{call.forge} asks to wait {pause:.0f} s{tail}", retry_after=pause)
    if status == 203 or 300 <= status < 400:
        return _elsewhere(call, status, headers.get("location", ""))
    if status == 401:
        return NotPermitted(f"{call.forge} does not accept the login (forge.tokenFile or forge.app){tail}")
    if status == 403:
        return NotPermitted(f"{call} is refused{tail}; the login needs {call.need}")
    if status in (404, 410):
        return InvalidSpec(
            f"forge.repository: {call.forge} shows this login no {call.repository}, or not what "
            f"{call.method} {call.path} is about; it needs {call.need}"
        )
    if status == 409:
        return Conflict(f"{call}: answered 409{tail}")
    if 400 <= status < 500 and status != 408:
        return Rejected(f"{call}: answered {status}{tail}", said)
    after = _retry_after(headers)
    if after is not None:
        return Unavailable(f"{call}: answered {status}{tail}", retry_after=after)
    return Transient(f"{call}: answered {status}{tail}", sent=True)


def _elsewhere(call: Call, status: int, location: str) -> ReconcilerError:
    """Azure sends who has no valid token to a page to sign in; others redirect to a repository's new name."""
    if status == 203 or "signin" in location.lower():
        return NotPermitted(f"{call.forge} asks to sign in; the token of forge.tokenFile is wrong or expired")
    place = redacted(location.partition("?")[0]) or "nowhere"
    return InvalidSpec(
        f"{call}: redirected to {place}; set forge.url and forge.repository to the new address"
    )


def _pause(status: int, headers: Mapping[str, str], said: str) -> float | None:
    """Seconds to wait where a limit was reached; GitHub answers 403 for that as well."""
    spent = any(headers.get(name) == "0" for name in ("x-ratelimit-remaining", "ratelimit-remaining"))
    limited = status == 429 or (
        status == 403 and (spent or "retry-after" in headers or "rate limit" in said.lower())
    )
    if not limited:
        return None
    pause = _retry_after(headers)
    if pause is None:
        resets = (headers[name] for name in _RESETS if name in headers)
        pause = next((_number(each) - time.time() for each in resets), SECONDARY_LIMIT_SECONDS)
    return _bounded(pause)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        return _bounded(float(text))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(text)
        return _bounded((until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - time.time())
    except ValueError:
        return SECONDARY_LIMIT_SECONDS


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return time.time() + SECONDARY_LIMIT_SECONDS


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), LONGEST_PAUSE_SECONDS)


def _said(body: Any) -> str:
    """The forge's own words, without secrets."""
    if not isinstance(body, dict):
        return ""
    words = [body.get("message") or body.get("error") or ""]
    errors = body.get("errors")
    if isinstance(errors, list):
        words += [
            each.get("message") or each.get("code") if isinstance(each, dict) else each for each in errors
        ]
    return redacted("; ".join(str(word) for word in words if word))[:_SAID_CHARACTERS]
