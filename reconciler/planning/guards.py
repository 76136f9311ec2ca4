"""Last look at a plan before it runs. A guard turns steps into holds; none ever adds a step.

Guards judge the world, not a cycle's share: what is pending everywhere and what was done in the last
minutes counts, so that splitting a mass deletion over cycles, restarts or commits changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import reduce

from ..model.names import WorkspaceId
from ..model.plan import (
    DELETIONS,
    ApplyObject,
    CreatePool,
    DeleteObject,
    Group,
    Hold,
    InstallCrd,
    Plan,
    ScalePool,
    Step,
)
from ..model.policy import Policy
from ..model.world import Desired, Observed, nodes_of
from . import drift
from .contests import contested
from .prune import leaving

Guard = Callable[[Plan, Desired, Observed, Policy], Plan]

_DELIVERED = ("Workspace", "ConfigMap")


def guard(plan: Plan, desired: Desired, observed: Observed, policy: Policy) -> Plan:
    return reduce(lambda checked, one: one(checked, desired, observed, policy), GUARDS, plan)


# --- deletions -------------------------------------------------------------------------------------


def empty_source(plan: Plan, desired: Desired, observed: Observed, policy: Policy) -> Plan:
    """A tree that declares nothing at all is more likely a mistake than a wish."""
    if desired.declared_anything or not (going := leaving(desired, observed)):
        return plan
    why = f"the watched paths declare no workspace at {desired.revision[:7]}, {len(going)} are running"
    return _hold_deletions(plan, "EmptySource", why, going, policy)


def mass_deletion(plan: Plan, desired: Desired, observed: Observed, policy: Policy) -> Plan:
    going, limits = leaving(desired, observed), policy.limits
    recent = [d for d in policy.recent if observed.now - d.when <= limits.window_seconds]
    done = {d.workspace for d in recent} - going
    count, total = len(going) + len(done), len(observed.fleet) + len(done - observed.fleet.keys())
    if count <= limits.max_deleted or count <= limits.max_deleted_share * total:
        return plan
    why = f"{count} of {total} workspaces would be deleted"
    return _hold_deletions(plan, "MassDeletion", _with_done(why, len(done)), going, policy)


def gpus_freed(plan: Plan, desired: Desired, observed: Observed, policy: Policy) -> Plan:
    going, limits = leaving(desired, observed), policy.limits
    recent = {d.workspace: d.gpus for d in policy.recent if observed.now - d.when <= limits.window_seconds}
    freed = sum(observed.fleet[id].gpus for id in going)
    freed += sum(gpus for id, gpus in recent.items() if id not in going)
    if freed <= limits.max_gpus_freed or not going:
        return plan
    why = f"deleting {len(going)} workspaces would free {freed} GPUs, more than {limits.max_gpus_freed}"
    return _hold_deletions(plan, "GpusFreed", why, going, policy)


def protected(plan: Plan, desired: Desired, observed: Observed, policy: Policy) -> Plan:
    going = frozenset(id for id in leaving(desired, observed) if observed.fleet[id].protected)
    if not going:
        return plan
    return _hold_deletions(plan, "Protected", "protected workspaces are no longer declared", going, policy)


def _with_done(why: str, done: int) -> str:
    return f"{why}, {done} of them in the last minutes" if done else why


def _hold_deletions(plan: Plan, reason: str, why: str, going: frozenset[WorkspaceId], policy: Policy) -> Plan:
    members = {id: f"delete {id}" for id in going}
    group = Group(reason, why, frozenset(members.values()))
    held = {id for id, member in members.items() if member not in policy.released}
    going_on = tuple(h for h in plan.holds if not (h.workspace in held and h.reason == "Deleting"))
    plan = replace(plan, holds=going_on)
    return hold_back(plan, group, held, lambda s: isinstance(s.action, DELETIONS) and s.cause == "prune")


# --- other guards ----------------------------------------------------------------------------------


def renderer_waves(plan: Plan, desired: Desired, observed: Observed, policy: Policy) -> Plan:
    """A change of our own rendering restarts pods only when released, then a few at a time."""
    pending = {s.workspace: s for s in plan.steps if _restarts_for_us(s)}
    if not pending:
        return plan
    members = {id: f"render {id}" for id in pending}
    group = Group(
        "RendererChanged", "this release renders running pods differently", frozenset(members.values())
    )
    released = [id for id, member in sorted(members.items()) if member in policy.released]
    rolling = sum(
        1
        for id, line in observed.fleet.items()
        if f"render {id}" in policy.released and id not in pending and not line.ready
    )
    room = max(0, policy.limits.render_wave - rolling)
    waiting = hold_back(plan, group, pending.keys() - set(released), _restarts_for_us)
    later = set(released[room:])
    why = "released; restarted after the wave before it is ready"
    return _postpone(waiting, later, "RendererWave", why, _restarts_for_us)


def _restarts_for_us(step: Step) -> bool:
    if step.cause != "render" or not isinstance(step.action, ApplyObject):
        return False
    return drift.restarts_pods(step.action.changes)


def spend(plan: Plan, desired: Desired, observed: Observed, policy: Policy) -> Plan:
    """New GPUs wait while the hourly price of all pools would pass the limit."""
    limit = policy.limits.max_dollars_per_hour
    if limit is None:
        return plan
    nodes = nodes_of(observed.fleet.values())
    held: set[WorkspaceId] = set()
    for step in plan.steps:
        after = nodes.copy()
        after.update(_added(step))
        if policy.hourly(nodes) < policy.hourly(after) > limit:
            held.add(step.workspace)
        else:
            nodes = after
    why = f"the pools would cost more than {limit:.2f} $/h"
    return _postpone(plan, held, "SpendLimit", why, lambda s: any(n > 0 for n in _added(s).values()))


def needs_approval(plan: Plan, desired: Desired, observed: Observed, policy: Policy) -> Plan:
    """A large change waits for somebody's yes, whoever merged it."""
    growing = {s.workspace: s for s in plan.steps if s.cause != "retry" and _gpus(s) > 0}
    reasons = "; ".join(_reasons(growing, observed, policy))
    if not reasons:
        return plan
    members = {id: f"grow:{_size(step)} {id}" for id, step in growing.items()}
    group = Group("ApprovalNeeded", reasons, frozenset(members.values()))
    held = {id for id, member in members.items() if member not in policy.released}
    return hold_back(plan, group, held, lambda s: growing.get(s.workspace) is s)


def _reasons(growing: Mapping[WorkspaceId, Step], observed: Observed, policy: Policy) -> Iterator[str]:
    """Limits that these pools pass together."""
    limits, nodes = policy.limits, Counter[str]()
    for step in growing.values():
        nodes.update(_added(step))
    gpus = sum(_gpus(step) for step in growing.values())
    replaced = sum(1 for id in growing if id in observed.workspaces and observed.workspaces[id].objects)
    if (most := limits.approve_dollars_per_hour) is not None and policy.hourly(nodes) > most:
        yield f"new machines for {policy.hourly(nodes):.2f} $/h, more than {most:.2f}"
    if limits.approve_gpus is not None and gpus > limits.approve_gpus:
        yield f"{gpus} new GPUs, more than {limits.approve_gpus}"
    if limits.approve_replaced is not None and replaced > limits.approve_replaced:
        yield f"{replaced} workspaces get other machines, more than {limits.approve_replaced}"


def _size(step: Step) -> str:
    """What is approved: no more machines, and no others."""
    match step.action:
        case CreatePool(_, pool) | ScalePool(_, pool, _):
            return f"{pool.count}x{pool.instance_type}"
    return ""


def _gpus(step: Step) -> int:
    """GPUs that a pool step adds."""
    match step.action:
        case CreatePool(_, pool):
            return pool.count * pool.gpus_per_node
        case ScalePool(_, pool, was):
            return (pool.count - was) * pool.gpus_per_node
    return 0


def _added(step: Step) -> dict[str, int]:
    """Nodes by instance type that the step adds; negative where it takes some away."""
    match step.action:
        case CreatePool(_, pool):
            return {pool.instance_type: pool.count}
        case ScalePool(_, pool, was):
            return {pool.instance_type: pool.count - was}
    return {}


def allowed_by_mode(plan: Plan, desired: Desired, observed: Observed, policy: Policy) -> Plan:
    """`observe` writes nothing to the cluster; `deliver` writes what Git declares and nothing made of it."""
    if policy.mode == "full":
        return plan
    held = {s.workspace for s in plan.steps if not _delivered(s, policy)}
    reason = f"{policy.mode.capitalize()}Mode"
    why = f"planned only: the daemon runs in mode {policy.mode}"
    return _postpone(plan, held, reason, why, lambda s: not _delivered(s, policy))


def _delivered(step: Step, policy: Policy) -> bool:
    if policy.mode == "observe":
        return False
    match step.action:
        case InstallCrd():
            return True
        case ApplyObject(obj):
            return obj.key.kind in _DELIVERED
        case DeleteObject(key, _):
            return key.kind in _DELIVERED
    return False


# --- how steps become holds ------------------------------------------------------------------------


def hold_back(plan: Plan, group: Group, held: Collection[WorkspaceId], which: Callable[[Step], bool]) -> Plan:
    """Replaces the chosen steps of `held` by one hold each, naming what must be acknowledged.

    The group is in the plan also when all of it was released: what is in no group is over.
    """
    why = f"{group.why}; acknowledge {group.fingerprint} to let it through"
    kept, names = _split(plan.steps, held, which)
    holds = tuple(Hold(id, group.reason, why, group=group.fingerprint) for id in names)
    return replace(plan, steps=kept, holds=holds + plan.holds, groups=(*plan.groups, group))


def _postpone(
    plan: Plan, held: Collection[WorkspaceId], reason: str, why: str, which: Callable[[Step], bool]
) -> Plan:
    kept, names = _split(plan.steps, held, which)
    holds = tuple(Hold(id, reason, why, recheck_after=30.0) for id in names)
    return replace(plan, steps=kept, holds=holds + plan.holds)


def _split(
    steps: Iterable[Step], held: Collection[WorkspaceId], which: Callable[[Step], bool]
) -> tuple[tuple[Step, ...], list[WorkspaceId]]:
    kept: list[Step] = []
    names: dict[WorkspaceId, None] = {}
    for step in steps:
        if step.workspace in held and which(step):
            names[step.workspace] = None
        else:
            kept.append(step)
    return tuple(kept), list(names)


GUARDS: tuple[Guard, ...] = (
    empty_source,
    mass_deletion,
    gpus_freed,
    protected,
    renderer_waves,
    spend,
    needs_approval,
    allowed_by_mode,
    contested,
)
