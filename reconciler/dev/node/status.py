"""The status of a container, from what it did."""

import hashlib
from dataclasses import dataclass
from typing import Any

from reconciler.dev.clock import timestamp
from reconciler.model.world import Manifest

from .runtime import Exited, Running

Json = dict[str, Any]
NOT_RUNNING = Running(started=False)


@dataclass(slots=True)
class ContainerState:
    """One container's history. It waits for `waiting` unless it is running or has ended for good."""

    container: Manifest
    pod_uid: str
    init: bool = False
    waiting: str = "ContainerCreating"
    message: str = ""
    since: float | None = None
    """When the present run began; None while not running."""
    running: Running = NOT_RUNNING
    ended: Json | None = None
    """How the last run ended; final where the container is not started again."""
    final: bool = False
    starts: int = 0

    @property
    def name(self) -> str:
        return str(self.container["name"])

    def begin(self, now: float, running: Running) -> None:
        if self.since is None:
            self.since = now
            self.starts += 1
        self.running = running

    def end(self, exited: Exited, now: float) -> None:
        self.ended = {
            "exitCode": exited.code,
            "reason": exited.reason or ("Error" if exited.code else "Completed"),
            "startedAt": timestamp(self.since or now),
            "finishedAt": timestamp(now),
            "containerID": self._id(),
        } | ({"message": exited.message} if exited.message else {})
        self.since = None
        self.running = NOT_RUNNING

    @property
    def succeeded(self) -> bool:
        return self.final and self.ended is not None and self.ended["exitCode"] == 0

    def _id(self) -> str:
        return f"dev://{_digest(f'{self.pod_uid}/{self.name}/{self.starts}')}"

    def render(self) -> Json:
        image = self.container["image"]
        return {
            "name": self.name,
            "image": image,
            "imageID": f"{image}@sha256:{_digest(image)}" if self.starts else "",
            "ready": self.succeeded if self.init else self.running.ready,
            "started": self.running.started,
            "restartCount": max(0, self.starts - 1),
            "state": self._state(),
            "lastState": {"terminated": self.ended} if self.ended and not self.final else {},
        } | ({"containerID": self._id()} if self.starts else {})

    def _state(self) -> Json:
        if self.since is not None:
            return {"running": {"startedAt": timestamp(self.since)}}
        if self.final and self.ended:
            return {"terminated": self.ended}
        return {"waiting": {"reason": self.waiting} | ({"message": self.message} if self.message else {})}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
