"""What one cycle has to tell."""

from collections.abc import Mapping
from dataclasses import dataclass

from .names import WorkspaceId
from .status import WorkspaceStatus


@dataclass(frozen=True, slots=True)
class News:
    now: float
    revision: str
    scope: Mapping[WorkspaceId, WorkspaceStatus]
    """The workspaces this cycle looked at, changed or not."""
    changed: Mapping[WorkspaceId, WorkspaceStatus]
    gone: tuple[WorkspaceId, ...]
    all: Mapping[WorkspaceId, WorkspaceStatus]
    """Every workspace as it stands; a live view, to be read at once."""
    may_write: bool
    """Whether this process may write to the cluster."""
    settled: tuple[str, ...] = ()
    """The newest revisions of which nothing is under way any more, newest first."""
