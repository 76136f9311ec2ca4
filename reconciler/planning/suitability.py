"""Whether a workspace's model fits its machines, what context they hold, and which cheaper ones would do."""

from collections.abc import Iterator

from ..model import fit
from ..model.catalogues import Catalogues
from ..model.preset import Preset
from ..model.sizing.advice import recipe
from ..model.sizing.model import Model
from ..model.sizing.options import Option, serving_options, tuning_options
from ..model.sizing.serving import Demand, serving
from ..model.sizing.training import training
from ..model.sku import Sku
from ..model.workspace import Workspace

ALTERNATIVES = 3
"""Cheaper machines worth naming."""


def told(workspace: Workspace, catalogues: Catalogues) -> Iterator[str]:
    """Nothing where the geometry of the model, or the machine, is not known. Sizes are of the fullest GPU."""
    preset = fit.preset_of(workspace, catalogues)
    sku = catalogues.skus.get(workspace.instance_type)
    model = Model.of(preset, fit.runtime(workspace, preset)) if preset is not None else None
    if preset is None or model is None or sku is None or not sku.gpus:
        return
    if workspace.tuning is not None:
        yield from _tuned(workspace, preset, model, sku)
    else:
        yield from _served(workspace, model, sku)
    cheaper = _cheaper(workspace, preset, model, sku, catalogues)
    if cheaper:
        yield f"cheaper, and it fits too: {', '.join(cheaper)}"


def _served(workspace: Workspace, model: Model, sku: Sku) -> Iterator[str]:
    nodes = workspace.resource.count if model.shared else 1
    found = serving(model, sku, nodes)
    if not found.layout:
        return
    parts = f"weights {found.weights_gib:.1f} + cache {found.cache_gib:.1f} + overhead {found.overhead_gib:g}"
    yield f"{parts} of {found.usable_gib:.1f} GiB per GPU; at most {found.max_context:,} tokens of context"


def _tuned(workspace: Workspace, preset: Preset, model: Model, sku: Sku) -> Iterator[str]:
    assert workspace.tuning is not None
    found = training(model, sku, recipe(workspace.tuning.method, preset, None))
    parts = f"base {found.base_gib:.1f} + adapter {found.adapter_gib:.1f} + activations"
    yield (
        f"{parts} {found.activations_gib:.1f} + overhead {found.overhead_gib:g} of {sku.gib_per_gpu:g} GiB "
        f"per GPU; at most {found.max_sequence:,} tokens of a sample"
    )


def _cheaper(
    workspace: Workspace, preset: Preset, model: Model, sku: Sku, catalogues: Catalogues
) -> list[str]:
    """Those on sale that would hold it as it is, the cheapest first."""
    if sku.price is None:
        return []
    known = [other for other in catalogues.skus if other.gpus and other.price and not other.retired]
    if workspace.tuning is not None:
        options = tuning_options(model, known, recipe(workspace.tuning.method, preset, None))
    else:
        options = serving_options(preset, model, known, Demand())
    paid = sku.price.dollars_per_hour * workspace.resource.count
    return [_priced(o) for o in options if o.fits and (o.dollars_per_hour or paid) < paid][:ALTERNATIVES]


def _priced(option: Option) -> str:
    return f"{option.nodes} × {option.sku.name} ({option.dollars_per_hour:.2f} $/h)"
