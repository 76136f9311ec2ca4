"""One workspace, walked towards its spec; stops at the first thing that must finish first.

    blockers ─► mirror ─► (workload exists?) ── yes ─► compare its objects ─► pool upkeep ─► ready?
                                             └─ no ──► artifact ─► pool ─► nodes ─► objects

Reading `converge` from top to bottom is the life cycle. The pool and its nodes gate first creation
only: what runs is compared and corrected whatever cloud or nodes say.
"""

from collections.abc import Iterator

from ..model.plan import DeleteObject, Hold, Step
from ..model.world import ObservedObject
from . import blockers, delivered, pools, readiness, tuning_life
from .case import Case, mirror_of, suspension
from .compare import compare


def converge(case: Case) -> Iterator[Step | Hold]:
    if (hold := blockers.first(case)) is not None:
        yield hold
        return
    if text := suspension(case):
        yield case.hold("Suspended", f"suspended: {text}", recheck_after=60.0)
        return
    if case.want.workload is None:
        yield from _delivered(case)
        return
    over = case.want.kind == "tuning" and tuning_life.is_over(case)
    mirror = list(compare(case, mirror_of(case, over), case.seen.mirror))
    yield from mirror
    if _name_is_taken(case.seen.mirror, mirror):
        return
    if over:
        yield from _unwanted(case)
        yield from tuning_life.aftermath(case)
    elif case.live_workload is not None:
        yield from _keep(case)
    else:
        yield from _first_creation(case)


def _delivered(case: Case) -> Iterator[Step | Hold]:
    """Engine `kaito`: an adapter in the making is awaited here too, its pods would fail and cost."""
    awaited = _awaited_artifact(case) if case.seen.mirror is None else None
    if awaited is not None:
        yield awaited
    else:
        yield from delivered.deliver(case)


def _first_creation(case: Case) -> Iterator[Step | Hold]:
    for hold in (_awaited_artifact(case), *pools.unfinished_remnants(case)):
        if hold is not None:
            yield hold
            return
    if taken := _taken_names(case):
        yield from taken
        return
    gate = list(pools.gate(case))
    yield from gate
    if gate:
        return
    for wanted in case.want.objects:
        live = case.seen.objects.get(wanted.key)
        found = list(compare(case, wanted, live))
        yield from found
        if _name_is_taken(live, found):
            return


def _taken_names(case: Case) -> list[Hold]:
    """Names of children that others hold, learnt before a pool is paid for."""
    missing = (w for w in case.want.objects if w.key not in case.seen.objects)
    return [f for wanted in missing for f in compare(case, wanted, None) if isinstance(f, Hold)]


def _keep(case: Case) -> Iterator[Step | Hold]:
    """A move to another pool is a creation again: what runs is left alone until the new nodes are ready."""
    if not pools.moves(case) or not any(pools.gate(case)):
        for wanted in case.want.objects:
            yield from compare(case, wanted, case.seen.objects.get(wanted.key))
        yield from _unwanted(case)
    yield from pools.upkeep(case)
    yield from readiness.of_workload(case)


def _name_is_taken(live: ObservedObject | None, found: list[Step | Hold]) -> bool:
    """Whether somebody else's object stands in the way, so that nothing after it makes sense."""
    return live is None and any(isinstance(f, Hold) for f in found)


def _unwanted(case: Case) -> Iterator[Step]:
    """Children of this workspace that its spec no longer asks for."""
    wanted = {w.key for w in case.want.objects}
    for key in sorted(case.seen.objects):
        live = case.seen.objects[key]
        if key not in wanted and not live.deleting:
            yield Step(case.id, DeleteObject(key, live.uid), f"{key.kind} is no longer part of it", "prune")


def _awaited_artifact(case: Case) -> Hold | None:
    missing = sorted(case.want.needs - case.world.artifacts.keys())
    if not missing:
        return None
    listed = ", ".join(map(str, missing))
    return case.wait("WaitingForArtifact", f"its adapter is the output of {listed}, which has not finished")
