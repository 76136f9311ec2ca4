"""What each workspace's owner reads: one model behind the CR, the status ref, metrics and checks."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from .names import WorkspaceId
from .world import Artifact

Phase = Literal[
    "Invalid",
    "Held",
    "Waiting",
    "Provisioning",
    "Deploying",
    "Tuning",
    "Ready",
    "Succeeded",
    "Failed",
    "Suspended",
    "Deleting",
]
FINAL: frozenset[str] = frozenset({"Ready", "Succeeded", "Failed", "Invalid", "Held"})
"""Phases worth telling at once: nothing will change by itself."""


@dataclass(frozen=True, slots=True)
class Condition:
    """As in the Kubernetes API; `since` is epoch seconds of the last change of `status`."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    since: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """One workspace. Equality ignores times and the revision, so a tick alone is never a change."""

    id: WorkspaceId
    phase: Phase
    reason: str
    message: str
    revision: str = field(compare=False)
    commit: str = field(default="", compare=False)
    """The commit in which this workspace's own content last changed."""
    path: str = ""
    line: int = field(default=0, compare=False)
    conditions: tuple[Condition, ...] = ()
    holds: tuple[tuple[str, str, str], ...] = ()
    """(reason, why, group fingerprint or empty) of each hold."""
    steps: tuple[str, ...] = ()
    instance_type: str = ""
    nodes: tuple[str, ...] = ()
    gpus: int = 0
    pool: str = ""
    endpoint: str = ""
    artifact: Artifact | None = None
    since: float = field(default=0.0, compare=False)
    """When the present phase began, epoch seconds."""

    @property
    def ready(self) -> bool:
        return self.phase in ("Ready", "Succeeded")

    @property
    def converged(self) -> bool:
        """All that was declared has been applied, whether or not it is ready yet."""
        return self.ready or (self.phase in ("Deploying", "Tuning") and not self.steps)


def timestamp(seconds: float) -> str:
    """Epoch seconds as the Kubernetes API writes times."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
