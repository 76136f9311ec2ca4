"""What a proposal costs: GPUs and list prices, by instance type."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from ..model.catalogues import Catalogues
from ..model.world import Footprint, nodes_of
from .proposal import Proposal

HOURS_PER_MONTH = 730
"""As the clouds' own price calculators count."""


@dataclass(frozen=True, slots=True)
class Bill:
    """A difference: what is there in the end, less what is there now."""

    gpus: int
    hourly: float
    """$/h, reserved nodes and discounts taken into account."""
    passing: float
    """The part of it that only lasts while new tunings run, $/h."""
    nodes: tuple[tuple[str, int, int], ...]
    """(instance type, nodes now, nodes in the end) where they differ."""
    seen: date | None
    """When the oldest of the prices was read; None where none is known."""
    unpriced: tuple[str, ...]
    """Instance types among them that nobody gave a price."""

    @property
    def monthly(self) -> float:
        return (self.hourly - self.passing) * HOURS_PER_MONTH


def bill(proposal: Proposal, catalogues: Catalogues) -> Bill:
    policy, before, after = proposal.policy, proposal.nodes_now, proposal.nodes_then
    differing = [kind for kind in sorted(before | after) if before[kind] != after[kind]]
    skus = [sku for kind in differing if (sku := catalogues.skus.get(kind)) is not None]
    return Bill(
        gpus=proposal.gpus,
        hourly=policy.hourly(after) - policy.hourly(before),
        passing=policy.hourly(after) - policy.hourly(after - nodes_of(_passing(proposal))),
        nodes=tuple((kind, before[kind], after[kind]) for kind in differing),
        seen=min((sku.price.seen for sku in skus if sku.price), default=None),
        unpriced=tuple(kind for kind in differing if kind not in policy.prices),
    )


def _passing(proposal: Proposal) -> Iterator[Footprint]:
    """The pools of tunings that are yet to run: those go when they have."""
    for id in proposal.moved & proposal.fleet.keys() - proposal.observed.fleet.keys():
        want = proposal.desired.workspaces.get(id)
        if want is not None and want.kind == "tuning":
            yield proposal.fleet[id]
