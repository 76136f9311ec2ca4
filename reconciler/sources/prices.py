"""What machines cost to this user: a list of prices, less what was agreed upon."""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import orjson
from pydantic import BaseModel, ValidationError

from .. import data
from ..errors import InvalidSpec
from ..model.settings import PriceSettings
from ..model.sku import Price, Sku


class PriceList(BaseModel):
    """$/h by region and instance type, as read on `date`."""

    date: date
    regions: dict[str, dict[str, float]]


def applied(skus: Iterable[Sku], paid: PriceSettings) -> Iterator[Sku]:
    """The machines with the prices that count. Raises InvalidSpec for a list that cannot be read."""
    listed = _listed(paid)
    for sku in skus:
        price = listed.get(sku.name.lower(), sku.price)
        share = 1 - paid.discount.get(sku.name, paid.discount.get(sku.quota_family, 0))
        if price is not None and share != 1:
            price = price.model_copy(update={"dollars_per_hour": round(price.dollars_per_hour * share, 6)})
        yield sku if price is sku.price else sku.model_copy(update={"price": price})


def _listed(paid: PriceSettings) -> dict[str, Price]:
    """By lower-case instance type; nothing where the prices that come with the machines are meant."""
    if paid == PriceSettings(discount=paid.discount, reserved=paid.reserved):
        return {}
    file = paid.file or data.path("presets/prices/azure.json")
    found = _read(file)
    if paid.region not in found.regions:
        known = ", ".join(sorted(found.regions))
        raise InvalidSpec(f"prices.region {paid.region!r}: {file} knows no such region; it knows {known}")
    prices = found.regions[paid.region].items()
    return {name.lower(): _price(cost, paid.region, found.date) for name, cost in prices}


def _price(cost: float, region: str, seen: date) -> Price:
    return Price.model_validate({"dollarsPerHour": cost, "region": region, "seen": seen})


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
