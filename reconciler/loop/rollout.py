"""How far each pushed revision has come: by workspace for latencies, as a whole for those who wait."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ..model.names import WorkspaceId
from ..model.status import FINAL, WorkspaceStatus

Stage = Literal["planned", "applied", "ready"]
REMEMBERED = 50
"""Settled revisions that are still named."""


@dataclass(slots=True)
class _Run:
    """One changed workspace; `since` is None where its way is not measured."""

    number: int
    since: float | None
    planned: bool = False
    applied: bool = False


@dataclass(slots=True)
class _Revision:
    name: str
    number: int
    waiting: set[WorkspaceId]


class Rollout:
    """Numbers revisions as they come: what a cycle saw of an older one never counts for a newer."""

    def __init__(self) -> None:
        self.settled: tuple[str, ...] = ()
        """Revisions all of whose changes are applied, or wait for a person; newest first."""
        self._numbers: dict[str, int] = {}
        self._runs: dict[WorkspaceId, _Run] = {}
        self._open: list[_Revision] = []
        self._last = 0

    def begin(self, revision: str, changed: Collection[WorkspaceId], since: float | None) -> None:
        """A revision that changes no workspace is never settled: there is nothing to wait for."""
        self._last += 1
        self._numbers = {r.name: r.number for r in self._open} | {revision: self._last}
        if not changed:
            return
        self._open.append(_Revision(revision, self._last, set(changed)))
        for id in changed:
            self._runs[id] = _Run(self._last, since)

    def saw(
        self,
        revision: str,
        scope: Iterable[WorkspaceId],
        statuses: Mapping[WorkspaceId, WorkspaceStatus],
        now: float,
    ) -> list[tuple[Stage, float]]:
        """What a cycle that planned `revision` found. Returns each stage reached now and its seconds."""
        number = self._numbers.get(revision, 0)
        reached: list[tuple[Stage, float]] = []
        for id in scope:
            run = self._runs.get(id)
            if run is not None and run.number <= number:
                status = statuses.get(id)
                reached += [
                    (stage, now - run.since) for stage in _reached(run, status) if run.since is not None
                ]
                if _rests(status):
                    del self._runs[id]
            if self._open and _applied(statuses.get(id)):
                self._applied(id, number)
        self._settle()
        return reached

    def _applied(self, id: WorkspaceId, number: int) -> None:
        for revision in self._open:
            if revision.number <= number:
                revision.waiting.discard(id)

    def _settle(self) -> None:
        done = [r for r in self._open if not r.waiting]
        if done:
            self._open = [r for r in self._open if r.waiting]
            newest_first = [r.name for r in reversed(done)]
            kept = [name for name in self.settled if name not in newest_first]
            self.settled = (*newest_first, *kept)[:REMEMBERED]


def _reached(run: _Run, status: WorkspaceStatus | None) -> Iterator[Stage]:
    if not run.planned:
        run.planned = True
        yield "planned"
    if not run.applied and (status is None or status.converged):
        run.applied = True
        yield "applied"
    if status is not None and status.ready:
        yield "ready"


def _rests(status: WorkspaceStatus | None) -> bool:
    """Nothing more will be measured: it is there, gone, or waits for a person."""
    return status is None or status.phase in FINAL or status.phase == "Suspended"


def _applied(status: WorkspaceStatus | None) -> bool:
    return status is None or status.converged or _rests(status)
