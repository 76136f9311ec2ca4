"""Tells the world what a cycle found: the Workspace objects, status commits, Events. Computes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from .model.names import WorkspaceId
from .model.status import WorkspaceStatus


@dataclass(frozen=True, slots=True)
class News:
    """What one cycle has to tell."""

    now: float
    revision: str
    scope: Mapping[WorkspaceId, WorkspaceStatus]
    """The workspaces this cycle looked at, changed or not."""
    changed: Mapping[WorkspaceId, WorkspaceStatus]
    gone: tuple[WorkspaceId, ...]
    all: Mapping[WorkspaceId, WorkspaceStatus]
    may_write: bool
    """Whether this process may write to the cluster."""
