"""Plans for an empty cluster: everything declared is to be created."""

from dataclasses import replace

from ..config import Settings
from ..model.catalogues import Catalogues
from ..model.declared import Declarations
from ..model.policy import Policy
from ..model.world import Observed, ObservedWorkspace
from ..planning.foresight import foreseen
from ..planning.manifests import Context
from ..planning.proposal import Proposal
from ..planning.resolve import resolve
from ..sources.catalog import load, templates

CLUSTER = "offline"
"""Stands for the cluster's id, so names of pools differ from those in a real one."""


def catalogues(settings: Settings | None) -> Catalogues:
    """Those that ship, where there are no settings."""
    return load(settings.catalogue, settings.prices) if settings is not None else load()


def context(settings: Settings | None) -> Context:
    """Without settings: our own engine, one tenant."""
    base = Context(CLUSTER, catalogues(settings), templates=tuple(templates().items()))
    if settings is None:
        return base
    driver = settings.provisioner.driver if settings.provisioner else ""
    return replace(
        base, engine=settings.engine, driver=driver, tenants=settings.tenants, images=settings.images
    )


def planned(declarations: Declarations, settings: Settings | None) -> Proposal:
    """What would be done until all runs, with the holds that keep something from it."""
    desired, policy = resolve(declarations, context(settings)), _policy(settings)
    empty = Observed(0.0, {id: ObservedWorkspace(id) for id in (*desired.workspaces, *desired.invalid)}, {})
    return foreseen(desired, empty, policy)


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
