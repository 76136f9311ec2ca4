"""Faults that tests and `POST /_faults` order: requests are refused, delayed or cut off, watches end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from reconciler.dev.api.errors import ApiError

Action = Literal["429", "500", "409", "410", "slow", "reset", "drop-watches"]


class Seen(NamedTuple):
    """One request as it was answered. `resource` is the plural, empty for discovery and health."""

    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    agent: str
    user: str
    code: int


@dataclass
class Fault:
    """Strikes `times` times what it matches; `*` matches anything.

    `slow` holds an answer, and each event of a watch, back for `seconds`; `reset` cuts the line after the
    write was taken; `429` asks to come back after `seconds`.
    """

    action: Action
    verb: str = "*"
    resource: str = "*"
    name: str = "*"
    times: int = 1
    seconds: float = 1

    def matches(self, *request: str) -> bool:
        wanted = (self.verb, self.resource, self.name)
        return self.times > 0 and all(w in ("*", found) for w, found in zip(wanted, request, strict=True))

    def refuse(self) -> None:
        """Raises what a fault answers with before anything is done."""
        if self.action.isdigit():
            error = ApiError(int(self.action), f"injected fault {self.action}")
            error.retry_after = self.seconds if self.action == "429" else None
            raise error


def faults_of(rows: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """Raises 400 for a row that is no fault."""
    try:
        return [Fault(**row) for row in rows]
    except TypeError as error:
        raise ApiError(400, f"this is no fault: {error}") from error


def struck(faults: Iterable[Fault], *request: str) -> Fault | None:
    """The first fault that matches (verb, plural, name), counted down."""
    found = next((fault for fault in faults if fault.matches(*request)), None)
    if found:
        found.times -= 1
    return found
