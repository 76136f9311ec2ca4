"""Faults that tests order: a matching request is refused, cut off, or ends the watches of its resource."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from reconciler.dev.api.errors import ApiError

Action = Literal["429", "500", "409", "410", "reset", "drop-watches"]


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
    """`*` matches anything; it strikes `times` times. `reset` cuts the line after the write was taken."""

    action: Action
    verb: str = "*"
    resource: str = "*"
    name: str = "*"
    times: int = 1
    retry_after: int = 1

    def matches(self, verb: str, resource: str, name: str) -> bool:
        pairs = ((self.verb, verb), (self.resource, resource), (self.name, name))
        return self.times > 0 and all(wanted in ("*", found) for wanted, found in pairs)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def struck(faults: list[Fault], verb: str, resource: str, name: str) -> Fault | None:
    """The first fault that matches, counted down."""
    for fault in faults:
        if fault.matches(verb, resource, name):
            fault.times -= 1
            return fault
    return None


def refusal(fault: Fault) -> ApiError | None:
    """The error a fault answers with before anything is done; None for faults of other kinds."""
    if not fault.action.isdigit():
        return None
    code = int(fault.action)
    error = ApiError(code, f"injected fault {code}")
    if code == 429:
        error.retry_after = fault.retry_after
    return error
