"""The catalogues as frozen values, looked up without regard to case."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .preset import Preset
from .sku import Sku
from .suggestion import nearest


class Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


def _nothing(_: str) -> None:
    return None


@dataclass(frozen=True)
class Catalogue(Generic[T]):
    """Entries by lower-case name and alias; build it with `of`."""

    entries: Mapping[str, T]
    otherwise: Callable[[str], T | None] = _nothing
    """Makes an entry of a name that is not listed."""

    @classmethod
    def of(cls, entries: Iterable[T], otherwise: Callable[[str], T | None] = _nothing) -> "Catalogue[T]":
        """Raises ValueError where two entries share a name or alias."""
        found: dict[str, T] = {}
        for entry in entries:
            for name in (entry.name, *getattr(entry, "aliases", ())):
                if found.setdefault(name.lower(), entry) is not entry:
                    raise ValueError(f"{name} is in the catalogue twice")
        return cls(found, otherwise)

    def get(self, name: str) -> T | None:
        return self.entries.get(name.lower()) or self.otherwise(name)

    def suggest(self, name: str) -> str:
        """The entry somebody probably meant; empty where nothing is near."""
        near = nearest(name, self.entries)
        return self.entries[near].name if near else ""

    def __iter__(self) -> Iterator[T]:
        """Each entry once, in the order given."""
        return iter({entry.name: entry for entry in self.entries.values()}.values())


@dataclass(frozen=True)
class Catalogues:
    """Everything known of presets and instance types at one moment."""

    presets: Catalogue[Preset]
    skus: Catalogue[Sku]

    @property
    def prices(self) -> dict[str, float]:
        """$/h of one node by instance type, where they are known."""
        return {sku.name: sku.price.dollars_per_hour for sku in self.skus if sku.price is not None}
