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
    """$/h of one node by instance type."""
    reserved: Mapping[str, int] = field(default_factory=dict)
    """Nodes by instance type that are paid for whether they run or not."""
    released: frozenset[str] = frozenset()
    """Members of held groups that somebody let through."""
    recent: tuple[Deletion, ...] = ()

    def hourly(self, nodes: Mapping[str, int]) -> float:
        """$/h that so many nodes cost, by instance type, beside what is reserved."""
        return sum(
            max(0, count - self.reserved.get(kind, 0)) * self.prices.get(kind, 0.0)
            for kind, count in sorted(nodes.items())  # floats add up differently in another order
        )
