"""Memory that may be lost: since when something is so, what we put back, what this server drops.

Breakers that stand open are not lost: the ledger keeps them, here is what planning is told.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from ..model import names
from ..model.names import ObjectKey, WorkspaceId
from ..model.plan import ApplyObject, Step
from ..model.world import Correction, Manifest, ObservedWorkspace
from ..planning.contests import Breakers
from ..planning.readiness import job_finished, live_ready


class Facts:
    def __init__(self) -> None:
        self._since: dict[WorkspaceId, dict[str, float]] = {}
        self._corrections: dict[WorkspaceId, dict[ObjectKey, tuple[Correction, ...]]] = {}
        self._open: Mapping[WorkspaceId, Breakers] = {}
        self._dropped: dict[ObjectKey, tuple[str, frozenset[str]]] = {}

    def added_to(self, seen: ObservedWorkspace, now: float) -> ObservedWorkspace:
        """`seen` with what is remembered of it; facts that are no longer so are forgotten."""
        before = self._since.get(seen.id, {})
        since = {fact: when or before.get(fact, now) for fact, when in _facts(seen)}
        if since:
            self._since[seen.id] = since
        else:
            self._since.pop(seen.id, None)
        return replace(seen, since=since, corrections=self._known_corrections(seen.id))

    def _known_corrections(self, id: WorkspaceId) -> Breakers:
        """What was put back; an open breaker counts, whoever opened it and when."""
        past, open_ = self._corrections.get(id, {}), self._open.get(id, {})
        if not open_:
            return past
        merged: dict[ObjectKey, tuple[Correction, ...]] = {**past, **open_}
        for key in past.keys() & open_.keys():
            fields = {c.field for c in open_[key]}
            merged[key] = (*open_[key], *(c for c in past[key] if c.field not in fields))
        return merged

    def breakers(self, open_: Mapping[WorkspaceId, Breakers]) -> None:
        """All that stand open now; fields whose breaker was closed are counted from nothing again."""
        for id, was in self._open.items():
            for key, corrections in was.items():
                still = {c.field for c in open_.get(id, {}).get(key, ())}
                self._uncount(id, key, {c.field for c in corrections} - still)
        self._open = dict(open_)

    def _uncount(self, id: WorkspaceId, key: ObjectKey, fields: set[str]) -> None:
        past = self._corrections.get(id, {})
        if key in past:
            past[key] = tuple(c for c in past[key] if c.field not in fields)

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
