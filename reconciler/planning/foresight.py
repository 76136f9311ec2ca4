"""What a change leads to: steps are done in thought, and planning goes on until there is nothing left.

Planning stops at what must finish first. Here each step is taken to be done and to have come to rest,
so that a reviewer sees the whole change with its cost, not only its first stage.
"""

from collections.abc import Iterable
from dataclasses import replace

from ..model.plan import (
    ApplyObject,
    CreatePool,
    DeleteObject,
    DeletePool,
    InstallCrd,
    Plan,
    ScalePool,
    Step,
)
from ..model.policy import Policy
from ..model.world import (
    Desired,
    DesiredObject,
    DesiredPool,
    Footprint,
    Observed,
    ObservedNode,
    ObservedObject,
    ObservedPool,
    ObservedWorkspace,
)
from .compare import WORKLOADS
from .diff import make_plan
from .guards import guard
from .proposal import Proposal

_STAGES = 10
"""More than a life cycle has; what is not planned by then never will be."""


def foreseen(desired: Desired, observed: Observed, policy: Policy) -> Proposal:
    """All that follows from here. Names that were not looked up are taken to be free.

    Of stages that are waited for, only those are told that the world is in already.
    """
    plan, seen, steps = _guarded(desired, observed, policy), observed, list[Step]()
    waiting = {(hold.workspace, hold.reason) for hold in plan.holds if hold.waiting}
    for _ in range(_STAGES):
        if not plan.steps:
            break
        steps += plan.steps
        seen = _after(seen, plan.steps, desired, policy)
        plan = _guarded(desired, seen, policy)
    holds = tuple(h for h in plan.holds if not h.waiting or (h.workspace, h.reason) in waiting)
    return Proposal(replace(plan, steps=tuple(steps), holds=holds), desired, observed, policy, seen.fleet)


def _guarded(desired: Desired, seen: Observed, policy: Policy) -> Plan:
    plan = make_plan(desired, seen, policy)
    if plan.looks:
        seen = replace(seen, looked=seen.looked | plan.looks)
        plan = make_plan(desired, seen, policy)
    return guard(plan, desired, seen, policy)


def _after(seen: Observed, steps: Iterable[Step], desired: Desired, policy: Policy) -> Observed:
    """The world once these steps are done and have come to rest."""
    workspaces, served = dict(seen.workspaces), seen.crd_served
    for step in steps:
        served = served or isinstance(step.action, InstallCrd)
        if step.workspace in workspaces:
            workspaces[step.workspace] = _done(workspaces[step.workspace], step)
    touched = {step.workspace for step in steps} & workspaces.keys()
    fleet = dict(seen.fleet)
    for id in touched:
        if workspaces[id].exists:
            fleet[id] = _footprint(workspaces[id], desired, seen.fleet.get(id), policy)
        else:
            fleet.pop(id, None)
    return replace(seen, workspaces=workspaces, fleet=fleet, crd_served=served)


def _done(seen: ObservedWorkspace, step: Step) -> ObservedWorkspace:
    match step.action:
        case CreatePool(name, want) | ScalePool(name, want, _):
            return _with_pool(_without_pool(seen, name), name, want)
        case DeletePool(name, _):
            return _without_pool(seen, name)
        case ApplyObject(wanted):
            if wanted.key.kind == "Workspace":
                return replace(seen, mirror=_applied(wanted, seen.mirror))
            live = _applied(wanted, seen.objects.get(wanted.key))
            return replace(seen, objects={**seen.objects, wanted.key: live})
        case DeleteObject(key, _):
            if key.kind == "Workspace":
                return replace(seen, mirror=None)
            left = {k: v for k, v in seen.objects.items() if k != key}
            return replace(seen, objects=left, pods=() if key.kind in WORKLOADS else seen.pods)
    return seen


def _applied(wanted: DesiredObject, live: ObservedObject | None) -> ObservedObject:
    """What runs goes on: the status stays."""
    if live is None:
        return ObservedObject(wanted.key, wanted.manifest, "", "")
    return replace(live, manifest={**wanted.manifest, "status": live.manifest.get("status", {})})


def _with_pool(seen: ObservedWorkspace, name: str, want: DesiredPool) -> ObservedWorkspace:
    pool = ObservedPool(
        name, want.key, want.driver, want.instance_type, want.count, want.gpus_per_node, "ready"
    )
    nodes = tuple(
        ObservedNode(f"{name}-{number}", name, True, want.gpus_per_node, want.instance_type)
        for number in range(want.count)
    )
    return replace(seen, pools=(*seen.pools, pool), nodes=(*seen.nodes, *nodes))


def _without_pool(seen: ObservedWorkspace, name: str) -> ObservedWorkspace:
    return replace(
        seen,
        pools=tuple(p for p in seen.pools if p.name != name),
        nodes=tuple(n for n in seen.nodes if n.pool != name),
    )


def _footprint(
    seen: ObservedWorkspace, desired: Desired, before: Footprint | None, policy: Policy
) -> Footprint:
    """With engine `kaito` there are no pools of ours: the operator makes what the Workspace asks for."""
    want = desired.workspaces.get(seen.id)
    if policy.engine == "kaito" and want is not None:
        count = want.workspace.resource.count
        machines = [(want.workspace.instance_type, count, want.gpus // count)]
    else:
        machines = [(p.instance_type, p.count, p.gpus_per_node) for p in seen.pools]
    found = Footprint.of(machines)
    return replace(before, gpus=found.gpus, nodes=found.nodes) if before is not None else found
