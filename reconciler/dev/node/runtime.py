"""What the node agent asks of whatever runs containers, and what it hears back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from reconciler.dev.logs import Log
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod runs."""

    node: Manifest
    pod_ip: str

    @property
    def host_ip(self) -> str:
        addresses = self.node.get("status", {}).get("addresses") or []
        return next((each["address"] for each in addresses if each["type"] == "InternalIP"), "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Work:
    """One container of one pod. `sources` are the ConfigMaps and Secrets the pod refers to."""

    pod: Manifest
    container: Manifest
    init: bool
    place: Place
    sources: Mapping[ObjectKey, Manifest | None]

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"].get("namespace", ""))


class NotStarted(Exception):
    """A container that waits and is tried again; its arguments are the reason and message to tell."""


@dataclass(frozen=True, slots=True)
class Running:
    ready: bool = False
    started: bool = True
    """False while a startup probe has not succeeded."""


@dataclass(frozen=True, slots=True)
class Exited:
    """`message` is what the container wrote to its termination log."""

    code: int
    reason: str = ""
    message: str = ""


Report = Callable[[NotStarted | Running | Exited], None]


class Process(Protocol):
    """A container that was started."""

    log: Log

    def stop(self, grace_seconds: float) -> None:
        """Asks it to end, and makes it end after that time; it reports Exited once it has."""


class Runtime(Protocol):
    """Runs containers. `local`: they are processes that listen on this machine's loopback."""

    local: bool
    # What a pod's Events say of them; mostly nothing.
    note: str

    def start(self, work: Work, report: Report) -> Process:
        """Reports come later, from the event loop; NotStarted or Exited is the last. Raises NotStarted."""

    def forget(self, pod_uid: str) -> None:
        """What it kept for a pod whose containers have all ended."""
