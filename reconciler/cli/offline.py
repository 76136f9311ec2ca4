"""Plans for an empty cluster: everything declared is to be created."""

from dataclasses import replace

from ..config import Settings
from ..model.declared import Declarations
from ..model.plan import Plan
from ..model.policy import Policy
from ..model.world import Desired, Observed, ObservedWorkspace
from ..planning.diff import make_plan
from ..planning.guards import guard
from ..planning.manifests import Context
from ..planning.resolve import resolve
from ..sources.catalog import load, templates

CLUSTER = "offline"
"""Stands for the cluster's id, so names of pools differ from those in a real one."""


def context(settings: Settings | None) -> Context:
    """Without settings: our own engine, one tenant."""
    base = Context(CLUSTER, load(), templates=tuple(templates().items()))
    if settings is None:
        return base
    driver = settings.provisioner.driver if settings.provisioner else ""
    return replace(
        base, engine=settings.engine, driver=driver, tenants=settings.tenants, images=settings.images
    )


def planned(declarations: Declarations, settings: Settings | None) -> tuple[Desired, Plan]:
    desired = resolve(declarations, context(settings))
    nothing = {id: ObservedWorkspace(id) for id in (*desired.workspaces, *desired.invalid)}
    empty = Observed(now=0.0, workspaces=nothing, fleet={})
    policy = _policy(settings)
    looks = make_plan(desired, empty, policy).looks
    seen = replace(empty, looked=looks)
    return desired, guard(make_plan(desired, seen, policy), desired, seen, policy)


def _policy(settings: Settings | None) -> Policy:
    if settings is None:
        return Policy(CLUSTER)
    prices = {sku.name: sku.price.dollars_per_hour for sku in load().skus if sku.price is not None}
    return Policy(
        CLUSTER, settings.engine, "full", limits=settings.limits, timing=settings.timing, prices=prices
    )
