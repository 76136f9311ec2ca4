"""When a workspace whose step failed is tried again."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..model.names import WorkspaceId
from ..model.plan import Applied, Failure, Step

FIRST = 1.0
LONGEST = 300.0
"""Seconds: the wait doubles from the first to the longest."""


@dataclass(frozen=True, slots=True)
class _Rest:
    failure: Failure
    tries: int
    until: float


class Backoff:
    """In memory only: after a restart everything is tried once more."""

    def __init__(self) -> None:
        self._resting: dict[WorkspaceId, _Rest] = {}

    def split(self, steps: Iterable[Step], now: float) -> tuple[list[Step], list[Failure]]:
        """Steps that may run, and the failures of workspaces that still rest after one."""
        ready: list[Step] = []
        failures: dict[WorkspaceId, Failure] = {}
        for step in steps:
            rest = self._resting.get(step.workspace)
            if rest is not None and rest.until > now and rest.failure.step == step:
                failures[step.workspace] = rest.failure
            elif step.workspace not in failures:
                ready.append(step)
        return ready, list(failures.values())

    def note(self, applied: Applied, now: float) -> None:
        for failure in applied.failures:
            before = self._resting.get(failure.workspace)
            tries = before.tries + 1 if before is not None and before.failure.step == failure.step else 1
            self._resting[failure.workspace] = _Rest(failure, tries, now + _pause(failure, tries))
        failed = {f.workspace for f in applied.failures}
        for step in applied.done:
            if step.workspace not in failed:
                self._resting.pop(step.workspace, None)

    def due_in(self, failures: Sequence[Failure], now: float) -> dict[WorkspaceId, float]:
        """Seconds until each failed workspace should be looked at again."""
        rests = {f.workspace: self._resting.get(f.workspace) for f in failures}
        return {id: max(0.0, rest.until - now) for id, rest in rests.items() if rest is not None}


def _pause(failure: Failure, tries: int) -> float:
    doubled = min(LONGEST, FIRST * 2.0 ** min(tries - 1, 20)) * random.uniform(0.8, 1.2)
    if failure.retry_after is None:
        return LONGEST  # only a new commit helps, and that changes the step
    return max(doubled, failure.retry_after)
