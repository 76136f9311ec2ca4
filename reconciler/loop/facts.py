"""Memory that may be lost: since when something is so, what we put back, what this server drops."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from ..model import names
from ..model.names import ObjectKey, WorkspaceId
from ..model.plan import ApplyObject, Step
from ..model.world import Correction, Manifest, ObservedWorkspace
from ..planning.readiness import job_finished, live_ready


class Facts:
    def __init__(self) -> None:
        self._since: dict[WorkspaceId, dict[str, float]] = {}
        self._corrections: dict[WorkspaceId, dict[ObjectKey, tuple[Correction, ...]]] = {}
        self._dropped: dict[ObjectKey, tuple[str, frozenset[str]]] = {}

    def added_to(self, seen: ObservedWorkspace, now: float) -> ObservedWorkspace:
        """`seen` with what is remembered of it; facts that are no longer so are forgotten."""
        before = self._since.get(seen.id, {})
        since = {fact: when or before.get(fact, now) for fact, when in _facts(seen)}
        if since:
            self._since[seen.id] = since
        else:
            self._since.pop(seen.id, None)
        return replace(seen, since=since, corrections=self._corrections.get(seen.id, {}))

    def corrected(self, step: Step) -> None:
        """Remembers the fields of a drift correction that was carried out."""
        if step.cause != "drift" or not isinstance(step.action, ApplyObject):
            return
        want = step.action.object
        past = self._corrections.setdefault(step.workspace, {})
        counts = {c.field: c.count for c in past.get(want.key, ()) if c.spec == want.spec}
        fields = {c.field: c.manager for c in step.action.changes}
        kept = tuple(c for c in past.get(want.key, ()) if c.spec == want.spec and c.field not in fields)
        new = tuple(Correction(f, who, want.spec, counts.get(f, 0) + 1) for f, who in fields.items())
        past[want.key] = (*kept, *new)

    def was_dropped(self, key: ObjectKey, uid: str, fields: frozenset[str]) -> None:
        if fields:
            self._dropped[key] = (uid, fields)
        else:
            self._dropped.pop(key, None)

    def dropped(self, key: ObjectKey, uid: str) -> frozenset[str]:
        known = self._dropped.get(key)
        return known[1] if known is not None and known[0] == uid else frozenset()

    def forget(self, id: WorkspaceId) -> None:
        for memory in (self._since, self._corrections):
            memory.pop(id, None)


def _facts(seen: ObservedWorkspace) -> Iterator[tuple[str, float]]:
    """(name, when) of what is so now; `when` is 0 where only we can say since when."""
    if any(p.state == "failed" for p in seen.pools):
        yield "poolFailed", 0.0
    if seen.mirror is not None and seen.mirror.annotation(names.SUSPEND):
        yield "suspended", 0.0
    if any(not live_ready(o.manifest) for o in seen.objects.values()):
        yield "notReady", 0.0
    ended = next((o.manifest for o in seen.objects.values() if o.key.kind == "Job"), None)
    outcome = job_finished(ended) if ended is not None else ""
    if ended is not None and outcome:
        yield {"Complete": "succeeded", "Failed": "failed"}[outcome], _when(ended, outcome)
    elif seen.mirror is not None and seen.mirror.manifest.get("status", {}).get("artifact"):
        yield "succeeded", 0.0


def _when(job: Manifest, outcome: str) -> float:
    for condition in job.get("status", {}).get("conditions") or []:
        if condition.get("type") == outcome and condition.get("lastTransitionTime"):
            return datetime.fromisoformat(condition["lastTransitionTime"]).timestamp()
    return 0.0
