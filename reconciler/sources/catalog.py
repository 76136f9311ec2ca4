"""Loads the catalogues of presets and instance types that ship with the program."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from .. import data
from ..errors import InvalidSpec
from ..model.catalogues import Catalogue, Catalogues
from ..model.preset import Preset
from ..model.sku import Sku
from ..model.workspace import Part
from . import shape, yaml_loader

T = TypeVar("T", bound=Part)


def load(root: Path | None = None) -> Catalogues:
    """Reads `catalog/*.yaml` and `skus/*.yaml` below `root`, by default the shipped `presets`.

    Raises InvalidSpec with file, line and field of the first mistake.
    """
    folder = root or data.path("presets")
    try:
        presets = Catalogue.of(_entries(folder / "catalog", Preset))
        return Catalogues(presets, Catalogue.of(_entries(folder / "skus", Sku)))
    except ValueError as error:
        raise InvalidSpec(str(error)) from None


def templates() -> dict[str, str]:
    """Default `training_config.yaml` by method."""
    folder = data.path("presets/config")
    return {method: (folder / f"{method}.yaml").read_text() for method in ("lora", "qlora")}


def _entries(folder: Path, model: type[T]) -> Iterator[T]:
    """One entry for each document of each file, in the order of the files' names."""
    for file in sorted(folder.glob("*.yaml")):
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
                raise InvalidSpec(
                    str(found.problem(str(file), yaml_loader.line_of(found.at, lines)))
                ) from None
