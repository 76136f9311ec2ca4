"""The status of a pod, from what its containers did."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.dev.clock import timestamp

Json = dict[str, Any]


@dataclass(slots=True)
class ContainerState:
    """One container's history. It waits for `waiting` unless it is running or has ended for good."""

    name: str
    image: str
    pod_uid: str
    init: bool = False
    waiting: str = "ContainerCreating"
    message: str = ""
    since: float | None = None
    """When the present run began; None while not running."""
    ready: bool = False
    ended: Json | None = None
    """How the last run ended; final where the container is not started again."""
    final: bool = False
    starts: int = 0

    def begin(self, now: float, ready: bool) -> None:
        if self.since is None:
            self.since = now
            self.starts += 1
        self.ready = ready

    def end(self, code: int, reason: str, message: str, now: float) -> None:
        began = self.since or now
        reason = reason or ("Completed" if code == 0 else "Error")
        said = {
            "exitCode": code,
            "reason": reason,
            "startedAt": timestamp(began),
            "finishedAt": timestamp(now),
        }
        self.ended = said | ({"message": message} if message else {}) | {"containerID": self._id()}
        self.since = None
        self.ready = False

    @property
    def succeeded(self) -> bool:
        return self.final and self.ended is not None and self.ended["exitCode"] == 0

    def _id(self) -> str:
        return (
            "simulated://" + hashlib.sha256(f"{self.pod_uid}/{self.name}/{self.starts}".encode()).hexdigest()
        )

    def render(self) -> Json:
        running = self.since is not None
        shown: Json = {
            "name": self.name,
            "image": self.image,
            "imageID": f"{self.image}@sha256:{hashlib.sha256(self.image.encode()).hexdigest()}"
            if self.starts
            else "",
            "ready": self.succeeded if self.init else self.ready,
            "started": running,
            "restartCount": max(0, self.starts - 1),
            "state": self._state(),
            "lastState": {"terminated": self.ended} if self.ended and not self.final else {},
        }
        return shown | ({"containerID": self._id()} if self.starts else {})

    def _state(self) -> Json:
        if self.since is not None:
            return {"running": {"startedAt": timestamp(self.since)}}
        if self.final:
            return {"terminated": self.ended}
        return {"waiting": {"reason": self.waiting} | ({"message": self.message} if self.message else {})}


@dataclass(slots=True)
class PodState:
    """A pod on a node: its containers and addresses."""

    containers: Sequence[ContainerState]
    pod_ip: str
    host_ip: str
    began: float
    _turned: dict[str, tuple[bool, str]] = field(default_factory=dict)

    @property
    def mains(self) -> list[ContainerState]:
        return [each for each in self.containers if not each.init]

    @property
    def inits(self) -> list[ContainerState]:
        return [each for each in self.containers if each.init]

    @property
    def initialized(self) -> bool:
        return all(each.succeeded for each in self.inits)

    @property
    def phase(self) -> str:
        if any(each.final and not each.succeeded for each in self.inits):
            return "Failed"
        if all(each.final for each in self.mains):
            return "Succeeded" if all(each.succeeded for each in self.mains) else "Failed"
        return "Running" if any(each.starts for each in self.mains) else "Pending"

    def render(self, now: float) -> Json:
        """The whole status; conditions keep the time at which they last turned."""
        phase = self.phase
        ready = phase == "Running" and all(each.ready for each in self.mains)
        why = "" if ready else "PodCompleted" if phase == "Succeeded" else "ContainersNotReady"
        return {
            "phase": phase,
            "startTime": timestamp(self.began),
            "podIP": self.pod_ip,
            "podIPs": [{"ip": self.pod_ip}],
            "hostIP": self.host_ip,
            "hostIPs": [{"ip": self.host_ip}],
            "conditions": [
                self._condition("PodScheduled", True, "", now),
                self._condition("PodReadyToStartContainers", True, "", now),
                self._condition("Initialized", self.initialized, "ContainersNotInitialized", now),
                self._condition("ContainersReady", ready, why, now),
                self._condition("Ready", ready, why, now),
            ],
            "containerStatuses": [each.render() for each in self.mains],
            "initContainerStatuses": [each.render() for each in self.inits] or None,
        }

    def _condition(self, kind: str, status: bool, why_not: str, now: float) -> Json:
        before, since = self._turned.get(kind, (None, ""))
        if before != status:
            since = timestamp(now)
            self._turned[kind] = (status, since)
        shown = {"type": kind, "status": str(status), "lastTransitionTime": since}
        return shown if status or not why_not else shown | {"reason": why_not}
