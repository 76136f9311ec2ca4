"""Gauges over all workspaces, kept up to date at the cost of what changed."""

from collections.abc import Iterable, Mapping

from prometheus_client import Gauge

from ..model.names import WorkspaceId
from ..model.status import WorkspaceStatus
from .metrics import Metrics


class Fleet:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._known: dict[WorkspaceId, WorkspaceStatus] = {}
        self._sums: dict[tuple[Gauge, str], int] = {}

    def changed(self, changed: Mapping[WorkspaceId, WorkspaceStatus], gone: Iterable[WorkspaceId]) -> None:
        for id, status in changed.items():
            self._forget(id)
            self._known[id] = status
            self._add(status, 1)
            self._metrics.workspace_ready.labels(*id).set(status.ready)
            self._metrics.workspace_phase.labels(*id, status.phase).set(1)
            if status.gpus:
                self._metrics.workspace_gpus.labels(*id, status.instance_type).set(status.gpus)
        for id in gone:
            if self._forget(id):
                self._metrics.workspace_ready.remove(*id)

    def _forget(self, id: WorkspaceId) -> bool:
        was = self._known.pop(id, None)
        if was is not None:
            self._add(was, -1)
            self._metrics.workspace_phase.remove(*id, was.phase)
            if was.gpus:
                self._metrics.workspace_gpus.remove(*id, was.instance_type)
        return was is not None

    def _add(self, status: WorkspaceStatus, sign: int) -> None:
        self._count(self._metrics.workspaces, status.phase, sign)
        for reason, _, group in status.holds:
            self._count(self._metrics.holds, reason, sign)
            if group:
                self._count(self._metrics.held_groups, reason, sign)
        if status.gpus:
            self._count(self._metrics.gpus, status.instance_type, sign * status.gpus)

    def _count(self, gauge: Gauge, label: str, amount: int) -> None:
        total = self._sums[gauge, label] = self._sums.get((gauge, label), 0) + amount
        gauge.labels(label).set(total)
