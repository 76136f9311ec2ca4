"""The stages a simulated container goes through, read from a short YAML table."""

import random
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from .runtime import Work

DEFAULT_STAGES = Path(__file__).with_name("stages.yaml")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Selector(_Entry):
    init: bool | None = None
    owner_kind: str | None = None
    image: str = "*"

    def meets(self, work: Work) -> bool:
        owners = {owner["kind"] for owner in work.pod["metadata"].get("ownerReferences") or []}
        return (
            self.init in (None, work.init)
            and (self.owner_kind is None or self.owner_kind in owners)
            and fnmatchcase(work.container["image"], self.image)
        )


class Stage(_Entry):
    to: Literal["running", "ready", "completed"]
    delay: float = Field(default=0.0, ge=0)
    jitter: float = Field(default=0.0, ge=0, le=1)
    failure_rate: float = Field(default=0.0, ge=0, le=1)

    def seconds(self, chance: random.Random) -> float:
        return self.delay * (1 + self.jitter * chance.uniform(-1, 1))


class StageTable(_Entry):
    """One row: which containers, which stages."""

    selector: Selector
    stages: tuple[Stage, ...]


def load(path: Path = DEFAULT_STAGES) -> tuple[StageTable, ...]:
    return TypeAdapter(tuple[StageTable, ...]).validate_python(yaml.safe_load(path.read_text()))


def stages_of(work: Work, table: Sequence[StageTable]) -> tuple[Stage, ...]:
    return next((row.stages for row in table if row.selector.meets(work)), ())
