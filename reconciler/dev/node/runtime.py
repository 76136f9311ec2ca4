"""What the node agent asks of whatever runs containers, and what it hears back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.model.world import Manifest


@dataclass(frozen=True, slots=True)
class Work:
    """One container of one pod. `files` maps absolute paths to what ConfigMaps mount there."""

    pod: Manifest
    container: Manifest
    init: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    def env(self, name: str) -> str:
        """The plain value of an environment variable, or the empty string."""
        found = (e.get("value", "") for e in self.container.get("env") or [] if e["name"] == name)
        return str(next(found, ""))

    def annotation(self, name: str) -> str:
        return str((self.pod["metadata"].get("annotations") or {}).get(name, ""))


@dataclass(frozen=True, slots=True)
class PullFailed:
    message: str


@dataclass(frozen=True, slots=True)
class Running:
    ready: bool = False


@dataclass(frozen=True, slots=True)
class Exited:
    """`message` is what the container wrote to its termination log."""

    code: int
    reason: str = ""
    message: str = ""


Event = PullFailed | Running | Exited
Report = Callable[[Event], None]


class Process(Protocol):
    """A container that was started."""

    def stop(self, grace_seconds: float) -> None:
        """Asks it to end; it reports Exited once it has. Idempotent."""
        ...

    def logs(self) -> str: ...


class Runtime(Protocol):
    """Runs containers.

    Reports come in the event loop, possibly before `start` returns; Exited or PullFailed is the last.
    """

    def start(self, work: Work, report: Report) -> Process: ...
