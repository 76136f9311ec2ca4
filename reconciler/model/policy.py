"""What the planner may do, as values: settings, the clock's reading and what people acknowledged."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .names import WorkspaceId
from .settings import Engine, Limits, Mode, Timing


@dataclass(frozen=True, slots=True)
class Deletion:
    """A workspace deleted at `when` (epoch seconds), for guards that look back."""

    when: float
    workspace: WorkspaceId
    gpus: int


@dataclass(frozen=True, slots=True)
class Policy:
    """Inputs of planning that are neither declared nor observed."""

    cluster_id: str
    engine: Engine = "native"
    mode: Mode = "full"
    limits: Limits = field(default_factory=Limits)
    timing: Timing = field(default_factory=Timing)
    prices: Mapping[str, float] = field(default_factory=dict)
    """$/h by instance type."""
    released: frozenset[str] = frozenset()
    """Members of held groups that somebody let through."""
    recent: tuple[Deletion, ...] = ()
