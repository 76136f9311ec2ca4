"""Resource quantities as a server stores them: `1000m` is `1`, `0.5` is `500m`, `1024Mi` is `1Gi`."""

from decimal import Decimal
from typing import Any

from reconciler.model.fields import quantity

BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def canonical(value: Any) -> Any:
    """The canonical spelling; a value that is no quantity comes back as it is, for validation to refuse."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    text = str(value).strip()
    number = quantity(text)
    if number is None:
        return value
    return _binary(number) if text[-2:] in BINARY else _decimal(number)


def _binary(number: Decimal) -> str:
    if number != number.to_integral_value() or abs(number) < 1024:
        return _decimal(number)
    whole = int(number)
    for suffix, power in sorted(BINARY.items(), key=lambda item: -item[1]):
        if whole % (1 << power) == 0:
            return f"{whole >> power}{suffix}"
    return str(whole)


def _decimal(number: Decimal) -> str:
    if number == 0:
        return "0"
    for suffix, power in sorted(DECIMAL.items(), key=lambda item: -item[1]):
        scaled = number.scaleb(-power)
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return f"{int(number.scaleb(9).to_integral_value())}n"
