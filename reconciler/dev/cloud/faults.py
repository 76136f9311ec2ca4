"""What can be made to go wrong in the simulated cloud, while it runs."""

import math
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field

from reconciler.dev.rows import Row

from .pools import PoolSpec

FaultKind = Literal["quota", "capacity", "neverJoins", "lateJoin", "nodeLost", "throttle", "slow", "down"]


class Fault(Row):
    """One thing that goes wrong for the pools it names, until cleared or `times` used up."""

    kind: FaultKind
    pool: str = "*"
    """Glob over pool names; `nodeLost` takes a node's name as well."""
    instance_type: str = "*"
    seconds: float = Field(default=1.0, ge=0)
    """The delay of `lateJoin` and `slow`, `throttle`'s Retry-After, `nodeLost`'s time to a replacement."""
    times: int | None = None
    """Uses before it disappears; None: until cleared."""
    remove: bool = True
    """`nodeLost` only: whether the Node object goes, or stays and is not ready."""
    repair: bool = False
    """`nodeLost` only: whether a replacement joins after `seconds`."""

    def meets(self, name: str, spec: PoolSpec | None) -> bool:
        kind = spec.instance_type if spec else ""
        return fnmatchcase(name, self.pool) and fnmatchcase(kind, self.instance_type)


class Faults:
    """The faults in force."""

    def __init__(self) -> None:
        self._uses_left: dict[Fault, float] = {}

    def add(self, fault: Fault) -> None:
        more = math.inf if fault.times is None else fault.times
        self._uses_left[fault] = self._uses_left.get(fault, 0) + more

    def clear(self) -> None:
        self._uses_left.clear()

    def take(self, kind: FaultKind, name: str = "", spec: PoolSpec | None = None) -> Fault | None:
        """The first fault of this kind that applies; one use of it is spent."""
        for fault, left in self._uses_left.items():
            if left > 0 and fault.kind == kind and fault.meets(name, spec):
                self._uses_left[fault] = left - 1
                return fault
        return None
