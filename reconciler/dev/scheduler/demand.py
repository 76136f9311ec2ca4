"""What a pod demands of a node: resources, labels, and taints it can stand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from reconciler.model.fields import quantity
from reconciler.model.world import Manifest

Resources = Mapping[str, Decimal]


@lru_cache(maxsize=1024)
def amount(text: str) -> Decimal:
    """A resource quantity as a number: `500m` is 0.5, `1Ki` is 1024."""
    return quantity(text) or Decimal(0)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression over a node's labels."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def met(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        return _TESTS[self.operator](value, self.values)


_TESTS: Mapping[str, Callable[[str | None, tuple[str, ...]], bool]] = {
    "In": lambda value, wanted: value in wanted,
    "NotIn": lambda value, unwanted: value not in unwanted,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, bound: _is_number(value) and int(value or 0) > int(bound[0]),
    "Lt": lambda value, bound: _is_number(value) and int(value or 0) < int(bound[0]),
}


def _is_number(value: str | None) -> bool:
    return value is not None and value.removeprefix("-").isdigit()


Term = tuple[Requirement, ...]
"""Requirements that must all be met."""


@dataclass(frozen=True, slots=True)
class Demand:
    """`terms` are alternatives; there is always one, possibly empty."""

    requests: Resources
    terms: tuple[Term, ...]
    tolerations: tuple[Mapping[str, Any], ...]

    def wants(self, labels: Mapping[str, str]) -> bool:
        return any(all(each.met(labels) for each in term) for term in self.terms)

    def stands(self, taint: Mapping[str, Any]) -> bool:
        return any(_tolerates(each, taint) for each in self.tolerations)


def demand_of(pod: Manifest) -> Demand:
    spec = pod["spec"]
    selector = tuple(
        Requirement(key, "In", (value,)) for key, value in (spec.get("nodeSelector") or {}).items()
    )
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    alternatives = (required or {}).get("nodeSelectorTerms") or [{}]
    terms = tuple(selector + _term(each) for each in alternatives)
    return Demand(requests_of(spec), terms, tuple(spec.get("tolerations") or ()))


def _term(term: Mapping[str, Any]) -> Term:
    return tuple(
        Requirement(each["key"], each["operator"], tuple(each.get("values") or ()))
        for each in term.get("matchExpressions") or []
    )


def requests_of(spec: Mapping[str, Any]) -> dict[str, Decimal]:
    """The sum over containers, or the largest init container where that is more; and one pod."""
    total: dict[str, Decimal] = {"pods": Decimal(1)}
    for container in spec.get("containers") or []:
        for name, value in _wanted(container).items():
            total[name] = total.get(name, Decimal(0)) + value
    for container in spec.get("initContainers") or []:
        for name, value in _wanted(container).items():
            total[name] = max(total.get(name, Decimal(0)), value)
    return total


def _wanted(container: Mapping[str, Any]) -> dict[str, Decimal]:
    resources = container.get("resources") or {}
    wanted = (resources.get("limits") or {}) | (resources.get("requests") or {})
    return {name: amount(str(value)) for name, value in wanted.items()}


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return bool(
        toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", "")
    )
