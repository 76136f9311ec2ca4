"""Every metric: its name, what it says, its labels."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "workspace_reconciler_"

_SHORT = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 300)
_LONG = (1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
_CALL = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)


class Metrics:
    """One set of them, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._rollouts()
        self._cycles()
        self._fleet()
        self._outside()

    def names(self) -> list[str]:
        """As alerts and dashboards write them; histograms without their suffixes."""
        return sorted(
            metric.name + ("_total" if metric.type == "counter" else "") for metric in self.registry.collect()
        )

    def _rollouts(self) -> None:
        since = "Seconds from when a revision was first seen until a workspace it changed was "
        self.push_to = {
            "planned": self._histogram("push_to_planned_seconds", since + "planned", _SHORT),
            "applied": self._histogram("push_to_applied_seconds", since + "applied", _SHORT),
            "ready": self._histogram("push_to_ready_seconds", since + "ready", _LONG),
        }
        self.daemon_info = self._gauge(
            "daemon_info", "1 for what runs here", "cluster", "engine", "mode", "version"
        )
        self.revision_info = self._gauge("revision_info", "1 for the revision that is followed", "revision")
        self.source_read = self._gauge(
            "source_read_timestamp_seconds", "When the source was last read, in epoch seconds"
        )
        self.last_success = self._gauge(
            "last_success_timestamp_seconds", "When a cycle last came to its end, in epoch seconds"
        )

    def _cycles(self) -> None:
        self.cycles = self._counter(
            "cycles_total", "Cycles: done, full (done, over everything) or failed", "result"
        )
        self.cycle_seconds = self._histogram("cycle_seconds", "Duration of a cycle", _SHORT)
        self.steps = self._counter("steps_total", "Steps that were tried", "action", "result", "cause")
        self.errors = self._counter("errors_total", "Failures, by reason", "reason")
        self.missed_changes = self._counter(
            "missed_changes_total", "Changes found by a full pass that no wake-up had told of; each is a bug"
        )

    def _fleet(self) -> None:
        self.workspace_ready = self._gauge(
            "workspace_ready", "1 where the workspace does its job", "namespace", "name"
        )
        self.workspace_phase = self._gauge(
            "workspace_phase", "1 for the phase that the workspace is in", "namespace", "name", "phase"
        )
        self.workspace_gpus = self._gauge(
            "workspace_gpus", "GPUs in the workspace's pools", "namespace", "name", "instance_type"
        )
        self.workspaces = self._gauge("workspaces", "Workspaces, by phase", "phase")
        self.holds = self._gauge("holds", "Things deliberately not done now, by reason", "reason")
        self.held_groups = self._gauge(
            "awaiting_acknowledgement", "Workspaces whose steps wait for somebody's yes, by reason", "reason"
        )
        self.dollars = self._gauge(
            "dollars_per_hour",
            "Price of the machines, less what is reserved, by instance type",
            "instance_type",
        )
        self.gpus = self._gauge("gpus", "GPUs in pools, by instance type", "instance_type")

    def _outside(self) -> None:
        self.requests = self._counter(
            "api_requests_total", "Kubernetes API requests; code 0: no answer", "verb", "kind", "code"
        )
        self.request_seconds = self._histogram(
            "api_request_seconds", "Duration of Kubernetes API requests but watches", _CALL, "verb"
        )
        self.review_seconds = self._histogram(
            "review_seconds",
            "From when a pull request's turn came until all was told, by the plan's state",
            _SHORT,
            "state",
        )
        self.webhooks = self._counter(
            "webhooks_total",
            "Deliveries of webhooks: taken, nothing, repeated, or why refused",
            "provider",
            "result",
        )
        self.watch_lag = self._gauge("watch_lag_seconds", "Since a watch's last sign of life", "kind")
        self.status_commits = self._counter("status_commits_total", "Tries to write the status ref", "result")
        self.write_back_lag = self._histogram(
            "write_back_lag_seconds", "Seconds from a change of status until it was pushed", _LONG
        )
        self.write_back_blocked = self._gauge(
            "write_back_blocked", "1 while the status ref cannot be written and somebody must act", "reason"
        )
        self.leader = self._gauge("leader", "1 where this process may write to the cluster")

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, says, labels, registry=self.registry)

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, says, labels, registry=self.registry)

    def _histogram(self, name: str, says: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(PREFIX + name, says, labels, buckets=buckets, registry=self.registry)
