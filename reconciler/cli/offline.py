"""Plans for an empty cluster: everything declared is to be created.

Planning stops at what must finish first, so each step is taken to have been done and planning goes on.
"""

from collections.abc import Iterable
from dataclasses import replace

from ..config import Settings
from ..model.catalogues import Catalogues
from ..model.declared import Declarations
from ..model.plan import ApplyObject, CreatePool, Hold, Plan, Step
from ..model.policy import Policy
from ..model.world import (
    Desired,
    Footprint,
    Observed,
    ObservedNode,
    ObservedObject,
    ObservedPool,
    ObservedWorkspace,
)
from ..planning.diff import make_plan
from ..planning.guards import guard
from ..planning.manifests import Context
from ..planning.proposal import Proposal
from ..planning.resolve import resolve
from ..sources.catalog import load, templates

CLUSTER = "offline"
"""Stands for the cluster's id, so names of pools differ from those in a real one."""
_STAGES = 10
"""More than a life cycle has; what is not planned by then never will be."""


def catalogues(settings: Settings | None) -> Catalogues:
    """Those that ship, where there are no settings."""
    return load(settings.catalogue, settings.prices) if settings is not None else load()


def context(settings: Settings | None) -> Context:
    """Without settings: our own engine, one tenant."""
    base = Context(CLUSTER, catalogues(settings), templates=tuple(templates().items()))
    if settings is None:
        return base
    driver = settings.provisioner.driver if settings.provisioner else ""
    return replace(base, engine=settings.engine, driver=driver, tenants=settings.tenants)


def planned(declarations: Declarations, settings: Settings | None) -> Proposal:
    """What would be done until all runs, with the holds that keep something from it."""
    desired, policy = resolve(declarations, context(settings)), _policy(settings)
    empty = Observed(0.0, {id: ObservedWorkspace(id) for id in (*desired.workspaces, *desired.invalid)}, {})
    plan, seen, steps = _guarded(desired, empty, policy), empty, list[Step]()
    for _ in range(_STAGES):
        if not plan.steps:
            break
        steps += plan.steps
        seen = _after(seen, plan.steps)
        plan = _guarded(desired, seen, policy)
    holds = tuple(filter(_lasts, plan.holds))
    return Proposal(replace(plan, steps=tuple(steps), holds=holds), desired, empty, policy)


def _guarded(desired: Desired, seen: Observed, policy: Policy) -> Plan:
    """With every name looked up, and found free."""
    free = replace(seen, looked=make_plan(desired, seen, policy).looks)
    return guard(make_plan(desired, free, policy), desired, free, policy)


def _policy(settings: Settings | None) -> Policy:
    base = Policy(CLUSTER, prices=catalogues(settings).prices)
    if settings is None:
        return base
    return replace(
        base,
        engine=settings.engine,
        limits=settings.limits,
        timing=settings.timing,
        reserved=settings.prices.reserved,
    )


def _lasts(hold: Hold) -> bool:
    """Pods that nobody runs here are no news; an adapter that must be tuned first is."""
    return not hold.waiting or hold.reason == "WaitingForArtifact"


def _after(seen: Observed, steps: Iterable[Step]) -> Observed:
    """The world once these steps are done and have come to rest."""
    workspaces = dict(seen.workspaces)
    for step in steps:
        if step.workspace in workspaces:
            workspaces[step.workspace] = _done(workspaces[step.workspace], step)
    fleet = {id: _footprint(each) for id, each in workspaces.items() if each.exists}
    return replace(seen, workspaces=workspaces, fleet=fleet, crd_served=True)


def _done(seen: ObservedWorkspace, step: Step) -> ObservedWorkspace:
    match step.action:
        case CreatePool(name, want):
            pool = ObservedPool(
                name, want.key, want.driver, want.instance_type, want.count, want.gpus_per_node, "ready"
            )
            nodes = tuple(
                ObservedNode(f"{name}-{number}", name, True, want.gpus_per_node, want.instance_type)
                for number in range(want.count)
            )
            return replace(seen, pools=(*seen.pools, pool), nodes=(*seen.nodes, *nodes))
        case ApplyObject(wanted):
            live = ObservedObject(wanted.key, wanted.manifest, "1", CLUSTER)
            if wanted.key.kind == "Workspace":
                return replace(seen, mirror=live)
            return replace(seen, objects={**seen.objects, wanted.key: live})
    return seen


def _footprint(seen: ObservedWorkspace) -> Footprint:
    return Footprint.of((pool.instance_type, pool.count, pool.gpus_per_node) for pool in seen.pools)
