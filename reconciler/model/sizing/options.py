"""Instance types for a model, as a person chooses between them: what fits first, the cheapest of it first."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..fit import shortages
from ..preset import Preset
from ..sku import Sku
from .layout import Layout
from .model import Model
from .serving import Demand, Serving, smallest
from .training import Recipe, training


@dataclass(frozen=True, slots=True)
class Option:
    """One instance type. It fits where there is no reason why not."""

    sku: Sku
    nodes: int
    enough: int
    """Nodes that would hold it, where Kaito's checks ask for more."""
    layout: Layout | None
    """None for tuning, which holds the whole model on each GPU, and where the machine is not suited."""
    max_context: int
    """Tokens of one sequence."""
    needed_gib: float
    """Of each GPU, with the context asked for."""
    reasons: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return not self.reasons

    @property
    def dollars_per_hour(self) -> float | None:
        """Of all its nodes; None where the catalogue knows no price."""
        return self.sku.price.dollars_per_hour * self.nodes if self.sku.price else None


def serving_options(preset: Preset, model: Model, skus: Iterable[Sku], demand: Demand) -> list[Option]:
    """On as few nodes as hold it and pass Kaito's checks."""
    return _ranked(_served(preset, model, sku, demand) for sku in skus)


def tuning_options(model: Model, skus: Iterable[Sku], recipe: Recipe) -> list[Option]:
    return _ranked(_tuned(model, sku, recipe) for sku in skus)


def _served(preset: Preset, model: Model, sku: Sku, demand: Demand) -> Option:
    counts = range(1, model.most_nodes + 1)
    passing = [count for count in counts if not any(shortages(count, preset, sku))]
    refused = () if passing else tuple(shortages(model.most_nodes, preset, sku))
    held, found = smallest(model, sku, demand), smallest(model, sku, demand, min(passing, default=1))
    return Option(
        sku,
        _nodes(found),
        _nodes(held),
        found.layout,
        found.max_context,
        found.needed_gib,
        found.reasons + refused,
    )


def _nodes(found: Serving) -> int:
    return found.layout.nodes if found.layout else 1


def _tuned(model: Model, sku: Sku, recipe: Recipe) -> Option:
    found = training(model, sku, recipe)
    return Option(sku, 1, 1, None, found.max_sequence, found.needed_gib, found.reasons)


def _ranked(options: Iterable[Option]) -> list[Option]:
    """What fits, by what can be bought, price and GPUs; then what does not, the largest machines first."""
    return sorted(options, key=_rank)


def _rank(option: Option) -> tuple[bool, bool, float, float, str]:
    price, sku = option.dollars_per_hour, option.sku
    if not option.fits:
        return True, False, -sku.gpu_memory_gib, 0.0, sku.name
    return False, sku.retired is not None, float("inf") if price is None else price, sku.gpus, sku.name
