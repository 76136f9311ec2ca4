"""One workspace as planning sees it: what is wanted, what is there, and the rules."""

from dataclasses import dataclass, replace

from ..model import annotations, names
from ..model.names import WorkspaceId
from ..model.plan import Hold
from ..model.policy import Policy
from ..model.world import (
    DesiredObject,
    DesiredWorkspace,
    Manifest,
    Observed,
    ObservedObject,
    ObservedPool,
    ObservedWorkspace,
)


@dataclass(frozen=True, slots=True)
class Case:
    want: DesiredWorkspace
    seen: ObservedWorkspace
    world: Observed
    policy: Policy

    @property
    def id(self) -> WorkspaceId:
        return self.want.id

    @property
    def now(self) -> float:
        return self.world.now

    @property
    def live_workload(self) -> ObservedObject | None:
        return self.seen.objects.get(self.want.workload.key) if self.want.workload else None

    @property
    def annotations(self) -> dict[str, str]:
        return self.want.workspace.metadata.annotations

    def cloud_unseen(self) -> bool:
        return self.want.pool is not None and self.want.pool.driver in self.world.unseen

    def hold(self, reason: str, why: str, recheck_after: float | None = None) -> Hold:
        """Something a person may want to act on."""
        return Hold(self.id, reason, why, recheck_after=recheck_after)

    def wait(self, reason: str, why: str, recheck_after: float | None = None) -> Hold:
        """An ordinary stage: it will pass by itself."""
        return Hold(self.id, reason, why, recheck_after=recheck_after, waiting=True)


def current_pool(case: Case) -> ObservedPool | None:
    """The pool of the wanted instance type; others of this workspace are remnants of a replacement."""
    if case.want.pool is None:
        return None
    fitting = [
        p
        for p in case.seen.pools
        if p.state != "deleting" and p.instance_type.lower() == case.want.pool.instance_type.lower()
    ]
    return min(fitting, key=lambda p: p.name, default=None)


def chosen_pool_name(case: Case) -> str:
    """The pool's cloud name: the live one's, else the first generation whose name is free."""
    assert case.want.pool is not None
    if case.cloud_unseen() and case.seen.mirror is not None:
        return case.seen.mirror.annotation(names.POOL)
    if (pool := current_pool(case)) is not None:
        return pool.name
    taken = {p.name for p in case.seen.pools}
    generation = 0
    while (name := names.pool_name(case.policy.cluster_id, case.want.pool.key, generation)) in taken:
        generation += 1
    return name


def mirror_of(case: Case, finished: bool) -> DesiredObject:
    """The Workspace object to write: as declared, and the pool's name, written before the pool exists.

    A finished tuning keeps the name of the pool it ran on.
    """
    if case.want.pool is None:
        return case.want.mirror
    kept = case.seen.mirror.annotation(names.POOL) if case.seen.mirror is not None and finished else ""
    return annotated(case.want.mirror, {names.POOL: kept or chosen_pool_name(case)})


def annotated(wanted: DesiredObject, more: dict[str, str]) -> DesiredObject:
    manifest: Manifest = wanted.manifest
    metadata = manifest["metadata"]
    merged = {**(metadata.get("annotations") or {}), **more}
    return replace(wanted, manifest={**manifest, "metadata": {**metadata, "annotations": merged}})


def suspension(case: Case) -> str:
    """Why and until when nothing is done; empty when not suspended.

    It counts in Git as written, and on the live object for at most `suspendMaxSeconds` from when it
    was first seen there.
    """
    declared = annotations.suspension(case.annotations)
    if declared is not None and declared.until > case.now:
        return case.annotations[names.SUSPEND]
    text = case.seen.mirror.annotation(names.SUSPEND) if case.seen.mirror else ""
    live = annotations.suspension({names.SUSPEND: text})
    latest = case.seen.since.get("suspended", case.now) + case.policy.timing.suspend_max_seconds
    return text if live is not None and min(live.until, latest) > case.now else ""
