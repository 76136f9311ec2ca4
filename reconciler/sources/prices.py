"""What machines cost to this user: a list of prices, less what was agreed upon."""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import BaseModel, Field, ValidationError

from .. import data
from ..errors import InvalidSpec
from ..model.settings import PriceSettings
from ..model.sku import Price, Sku


class PriceList(BaseModel):
    """$/h by region and instance type, as read on `date`."""

    date: date
    regions: dict[str, dict[str, Annotated[float, Field(ge=0)]]]


def applied(skus: Iterable[Sku], settings: PriceSettings) -> Iterator[Sku]:
    """The machines with the prices that count. Raises InvalidSpec for a list that cannot be read."""
    listed = _listed(settings)
    for sku in skus:
        price = listed.get(sku.name.lower())
        share = 1 - settings.discount.get(sku.name, settings.discount.get(sku.quota_family, 0))
        if price is not None and share != 1:
            price = price.model_copy(update={"dollars_per_hour": round(price.dollars_per_hour * share, 6)})
        yield sku if price is None else sku.model_copy(update={"price": price})


def _listed(settings: PriceSettings) -> dict[str, Price]:
    """By lower-case instance type: of the region, or the cheapest elsewhere where that does not sell it."""
    file = settings.file or data.path("presets/prices/azure.json")
    found = _read(file)
    if settings.region not in found.regions:
        known = ", ".join(sorted(found.regions))
        raise InvalidSpec(f"prices.region {settings.region!r}: {file} knows no such region; it knows {known}")
    sold = [
        (region != settings.region, cost, region, name.lower())
        for region, prices in found.regions.items()
        for name, cost in prices.items()
    ]
    return {name: _price(cost, region, found.date) for _, cost, region, name in sorted(sold, reverse=True)}


def _price(cost: float, region: str, seen: date) -> Price:
    return Price.model_construct(dollars_per_hour=cost, region=region, seen=seen)


def _read(file: Path) -> PriceList:
    try:
        return PriceList.model_validate(orjson.loads(file.read_bytes()))
    except OSError as error:
        raise InvalidSpec(f"prices.file {file}: {(error.strerror or 'it cannot be read').lower()}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"]))
        raise InvalidSpec(f"prices.file {file}: {at}: {first['msg'].lower()}") from None
    except ValueError as error:
        raise InvalidSpec(f"prices.file {file}: it is no JSON: {error}") from None
