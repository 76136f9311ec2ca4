"""What the shell reports, turned into metrics."""

import time
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.exposition import choose_encoder

from ..model.names import WorkspaceId
from ..model.plan import (
    Action,
    Applied,
    ApplyObject,
    CreatePool,
    DeleteObject,
    DeletePool,
    Failure,
    InstallCrd,
    ScalePool,
)
from ..model.status import WorkspaceStatus
from .fleet import Fleet
from .metrics import Metrics

_VERBS: Mapping[type[Action], str] = {
    InstallCrd: "install-crd",
    CreatePool: "create-pool",
    ScalePool: "scale-pool",
    DeletePool: "delete-pool",
    ApplyObject: "apply",
    DeleteObject: "delete",
}


class Meter:
    """All counts of one daemon; `begin` sets them to nothing."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A daemon starts: what an earlier one in this process counted is forgotten."""
        self.metrics = Metrics()
        self._fleet = Fleet(self.metrics)
        self._failures: dict[WorkspaceId, Failure] = {}
        self._costs: Callable[[], Mapping[str, float]] = dict

    def runs(self, cluster: str, engine: str, mode: str, version: str) -> None:
        """What this process is."""
        self.metrics.daemon_info.labels(cluster, engine, mode, version).set(1)

    def costs(self, read: Callable[[], Mapping[str, float]]) -> None:
        """`read` is asked at each scrape, in another thread: $/h by instance type."""
        self._costs = read

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics and their content type, in the text format that `accept` asks for."""
        self.metrics.dollars.clear()
        for instance_type, hourly in self._costs().items():
            self.metrics.dollars.labels(instance_type).set(hourly)
        encode, content_type = choose_encoder(accept)
        return encode(self.metrics.registry), content_type

    # --- the source

    def source_read(self, revision: str) -> None:
        self.metrics.source_read.set(time.time())
        self.metrics.revision_info.clear()
        self.metrics.revision_info.labels(revision).set(1)

    def reached(self, stage: str, seconds: float) -> None:
        """A workspace is planned, applied or ready, so long after the push that changed it."""
        self.metrics.push_to[stage].observe(max(0.0, seconds))

    # --- cycles

    def cycle(self, applied: Applied, seconds: float, *, full: bool) -> None:
        """A cycle came to its end now."""
        self.metrics.cycles.labels("full" if full else "done").inc()
        self.metrics.cycle_seconds.observe(seconds)
        self.metrics.last_success.set(time.time())
        self._count_steps(applied)

    def _count_steps(self, applied: Applied) -> None:
        for step in applied.done:
            self.metrics.steps.labels(_VERBS[type(step.action)], "done", step.cause).inc()
            self._failures.pop(step.workspace, None)
        for failure in applied.failures:
            if self._failures.get(failure.workspace) is failure:
                continue  # told again while the workspace rests
            self._failures[failure.workspace] = failure
            self.metrics.steps.labels(_VERBS[type(failure.step.action)], "failed", failure.step.cause).inc()
            self.metrics.errors.labels(failure.reason).inc()

    def cycle_failed(self, reason: str) -> None:
        self.metrics.cycles.labels("failed").inc()
        self.metrics.errors.labels(reason).inc()

    def failed(self, reason: str) -> None:
        """Something outside a cycle: the source, a driver, a way of publishing. It is tried again."""
        self.metrics.errors.labels(reason).inc()

    def missed_changes(self, count: int) -> None:
        self.metrics.missed_changes.inc(count)

    def fleet_changed(
        self, changed: Mapping[WorkspaceId, WorkspaceStatus], gone: Iterable[WorkspaceId]
    ) -> None:
        self._fleet.changed(changed, gone)

    # --- other systems

    def request(self, verb: str, kind: str, status: int, seconds: float) -> None:
        """One answer of the Kubernetes API; status 0 where none came."""
        self.metrics.requests.labels(verb, kind, str(status)).inc()
        if verb != "watch":
            self.metrics.request_seconds.labels(verb).observe(seconds)

    def reviewed(self, state: str, seconds: float) -> None:
        """One pull request was answered: planned, and told of where that says something new."""
        self.metrics.review_seconds.labels(state).observe(seconds)

    def webhook(self, provider: str, result: str) -> None:
        """One delivery was taken, was nothing to look at, or was refused."""
        self.metrics.webhooks.labels(provider, result).inc()

    def watch_lag(self, kind: str, read: Callable[[], float]) -> None:
        """`read` is asked at each scrape."""
        self.metrics.watch_lag.labels(kind).set_function(read)

    def leads(self, held: bool) -> None:
        self.metrics.leader.set(held)

    def write_back(self, result: str, lag_seconds: float | None = None) -> None:
        """One try to write the status ref; the lag is that of a commit that was pushed."""
        self.metrics.status_commits.labels(result).inc()
        if lag_seconds is not None:
            self.metrics.write_back_lag.observe(lag_seconds)

    def write_back_blocked(self, reason: str) -> None:
        """Empty where it is not blocked (any more)."""
        self.metrics.write_back_blocked.clear()
        if reason:
            self.metrics.write_back_blocked.labels(reason).set(1)
