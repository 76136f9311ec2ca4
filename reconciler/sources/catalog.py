"""Loads the catalogues of presets and instance types that ship with the program."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from .. import data
from ..errors import InvalidSpec
from ..model.catalogues import Catalogue, Catalogues
from ..model.finding import line_of
from ..model.preset import Preset, Runtime, of_repository
from ..model.settings import CatalogueSettings, PriceSettings
from ..model.sku import Sku
from ..model.workspace import Part
from . import prices, shape, yaml_loader

T = TypeVar("T", bound=Part)
SHIPPED = CatalogueSettings()
LIST_PRICES = PriceSettings()


def load(
    catalogue: CatalogueSettings = SHIPPED, costs: PriceSettings = LIST_PRICES, root: Path | None = None
) -> Catalogues:
    """Reads `catalog/*.yaml` and `skus/<cloud>.yaml` below `root`, by default the shipped `presets`.

    Raises InvalidSpec with file, line and field of the first mistake.
    """
    shipped = root or data.path("presets")
    folders = [shipped / "catalog", *([catalogue.folder] if catalogue.folder else [])]
    if not folders[-1].is_dir():
        raise InvalidSpec(f"catalogue.folder {str(folders[-1])!r}: there is no such folder")
    try:
        found = (p for folder in folders for p in _entries(folder, Preset))
        presets = Catalogue.of(_defaulted(found, catalogue.compat), of_repository)
        skus = _entries(shipped / "skus", Sku, f"{catalogue.cloud}.yaml")
        return Catalogues(presets, Catalogue.of(prices.applied(skus, costs)))
    except ValueError as error:
        raise InvalidSpec(str(error)) from None


def _defaulted(presets: Iterable[Preset], compat: str | None) -> Iterator[Preset]:
    """With the default runtime of that Kaito."""
    for preset in presets:
        runtime: Runtime = "transformers" if compat == "v0.3" else "vllm"
        yield preset.served_first_by(runtime) if compat else preset


def templates() -> dict[str, str]:
    """Default `training_config.yaml` by method."""
    folder = data.path("presets/config")
    return {method: (folder / f"{method}.yaml").read_text() for method in ("lora", "qlora")}


def _entries(folder: Path, model: type[T], files: str = "*.yaml") -> Iterator[T]:
    """One entry for each document of each file, in the order of the files' names."""
    for file in sorted(folder.glob(files)):
        content = file.read_bytes()
        stream = yaml_loader.load(content)
        for fault in filter(None, (stream.fault, *(f for d in stream.documents for f in d.faults))):
            raise InvalidSpec(f"{file}:{fault.line}: {fault.rule}")
        for index, document in enumerate(stream.documents):
            try:
                yield model.model_validate(document.value)
            except ValidationError as error:
                found = shape.findings(error, model)[0]
                lines = yaml_loader.lines(content, index + 1)[index]
                raise InvalidSpec(str(found.problem(str(file), line_of(found.at, lines)))) from None
