"""`reconciler presets` and `reconciler skus`: what the catalogues know."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer
import yaml

from .. import config
from ..errors import InvalidSpec
from ..model.catalogues import Catalogue, Catalogues
from ..model.preset import Preset
from ..model.settings import CatalogueSettings
from ..model.sku import Sku
from ..sources.catalog import load
from . import offline
from .options import Cloud, Format, OptionalSettings, Verbose, settings_of
from .output import say, say_json, say_table

Name = Annotated[str | None, typer.Argument(help="Show all that is known of this one.", show_default=False)]
PRESET_COLUMNS = ("NAME", "PARAMETERS", "WEIGHTS", "DTYPE", "CONTEXT", "RUNTIMES", "TUNING", "NOTES")
SKU_COLUMNS = ("NAME", "GPUS", "MODEL", "MEMORY", "VCPUS", "$/H", "REGION", "NOTES")

T = TypeVar("T", Preset, Sku)
Row = Callable[[T], tuple[str, ...]]


def presets(
    name: Name = None,
    settings_file: OptionalSettings = None,
    output: Format = "text",
    verbose: Verbose = False,
) -> None:
    """List the models that a workspace can name as its preset, or show one.

    Any other model of Hugging Face can be named as `organisation/name`.
    """
    found = catalogues(settings_of(settings_file), None).presets
    _say(found, name, output, PRESET_COLUMNS, _preset_row)


def skus(
    name: Name = None,
    settings_file: OptionalSettings = None,
    cloud: Cloud = None,
    output: Format = "text",
    verbose: Verbose = False,
) -> None:
    """List the instance types that a workspace can ask for, and what they cost, or show one."""
    found = catalogues(settings_of(settings_file), cloud).skus
    _say(found, name, output, SKU_COLUMNS, _sku_row)


def catalogues(settings: config.Settings | None, cloud: str | None) -> Catalogues:
    """Those of the settings; `cloud` takes another cloud's machines."""
    if cloud is None:
        return offline.catalogues(settings)
    chosen = settings.catalogue if settings is not None else CatalogueSettings()
    prices = (settings.prices,) if settings is not None else ()
    return load(chosen.model_copy(update={"cloud": cloud}), *prices)


def _say(found: Catalogue[T], name: str | None, output: str, columns: Sequence[str], row: Row[T]) -> None:
    if name is not None:
        said = _document(one(found, name))
        say_json(said) if output == "json" else say(yaml.safe_dump(said, sort_keys=False, allow_unicode=True))
    elif output == "json":
        say_json([_document(entry) for entry in found])
    else:
        say_table(columns, sorted(map(row, found)))


def one(found: Catalogue[T], name: str) -> T:
    entry = found.get(name)
    if entry is None:
        near = found.suggest(name)
        raise InvalidSpec(f"the catalogue has no {name}" + (f"; did you mean {near}?" if near else ""))
    return entry


def _document(entry: Preset | Sku) -> dict[str, Any]:
    return entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _preset_row(preset: Preset) -> tuple[str, ...]:
    weights, shape = preset.weights, preset.architecture
    return (
        preset.name,
        f"{weights.parameters:g} B" if weights.parameters else "",
        f"{weights.gib:g} GiB" if weights.gib else "",
        weights.dtype,
        f"{shape.context}" if shape else "",
        ", ".join(preset.inference.runtimes),
        ", ".join(preset.tuning.advised_gib) if preset.tuning else "",
        "; ".join(filter(None, (_access(preset), preset.deprecated))),
    )


def _access(preset: Preset) -> str:
    if preset.access == "private":
        return "needs an image of your own"
    return "needs a Hugging Face token" if preset.auth else ""


def _sku_row(sku: Sku) -> tuple[str, ...]:
    ended = f"retired {sku.retired.on}: use {sku.retired.replacement}" if sku.retired else ""
    return (
        sku.name,
        f"{sku.gpus}",
        sku.gpu_model,
        f"{sku.gpu_memory_gib:g} GiB",
        f"{sku.vcpus}",
        f"{sku.price.dollars_per_hour:.3f}" if sku.price else "",
        sku.price.region if sku.price else "",
        ended,
    )
