"""YAML files that hold a list of rows."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from reconciler.errors import InvalidSpec


class Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


T = TypeVar("T", bound=Row)


def load(path: Path, row: type[T]) -> tuple[T, ...]:
    """Raises InvalidSpec naming the file, the row (from 1) and the key."""
    try:
        rows = yaml.safe_load(path.read_text()) or []
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidSpec(f"{path} cannot be read: {error}") from None
    return tuple(_checked(each, row, f"{path}, row {number}") for number, each in enumerate(rows, 1))


def _checked(found: object, row: type[T], where: str) -> T:
    try:
        return row.model_validate(found)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InvalidSpec(f"{where}: {told}") from None
