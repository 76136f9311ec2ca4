"""What a pod demands of a node: resources, labels, and taints it can stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from reconciler.dev.api.quantity import BINARY, DECIMAL
from reconciler.model.world import Manifest

Resources = Mapping[str, Decimal]
Expression = Mapping[str, Any]
"""As in a manifest: key, operator, values."""
FIELD = "field:"
"""Before the key of an expression about a node's field. No label's key has a colon."""


@lru_cache(maxsize=1024)
def amount(quantity: str) -> Decimal:
    """A resource quantity as a number: `500m` is 0.5, `1Ki` is 1024."""
    suffix = next((each for each in (*BINARY, *DECIMAL) if each and quantity.endswith(each)), "")
    number = Decimal(quantity.removesuffix(suffix))
    return number * (1 << BINARY[suffix]) if suffix in BINARY else number.scaleb(DECIMAL[suffix])


@dataclass(frozen=True, slots=True)
class Demand:
    """`terms` are alternatives, each with expressions that must all be met."""

    requests: Resources
    terms: tuple[tuple[Expression, ...], ...]
    tolerations: tuple[Mapping[str, Any], ...]

    def wants(self, labels: Mapping[str, str]) -> bool:
        return any(all(_met(each, labels) for each in term) for term in self.terms)

    def stands(self, taint: Mapping[str, Any]) -> bool:
        return any(_tolerates(each, taint) for each in self.tolerations)


def demand_of(pod: Manifest) -> Demand:
    spec = pod["spec"]
    selector = tuple(
        {"key": key, "operator": "In", "values": [value]}
        for key, value in (spec.get("nodeSelector") or {}).items()
    )
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    terms = [_expressions(each) for each in required["nodeSelectorTerms"]] if required else [()]
    wanted = tuple(selector + term for term in terms if term or not required)
    return Demand(requests_of(spec), wanted, tuple(spec.get("tolerations") or ()))


def not_modelled(pod: Manifest) -> str:
    """What the pod asks for that no node here is ever judged by; empty where there is nothing."""
    spec = pod["spec"]
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        if (affinity.get(kind) or {}).get("requiredDuringSchedulingIgnoredDuringExecution"):
            return f"required {kind}"
    spread = spec.get("topologySpreadConstraints") or []
    strict = any(each["whenUnsatisfiable"] == "DoNotSchedule" for each in spread)
    return "topologySpreadConstraints with DoNotSchedule" if strict else ""


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


def _expressions(term: Mapping[str, Any]) -> tuple[Expression, ...]:
    fields = ({**each, "key": FIELD + each["key"]} for each in term.get("matchFields") or [])
    return (*(term.get("matchExpressions") or []), *fields)


def _met(expression: Expression, labels: Mapping[str, str]) -> bool:
    value, wanted = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    if value is None or not value.removeprefix("-").isdigit():
        return False
    above = int(value) - int(wanted[0])
    return above > 0 if expression["operator"] == "Gt" else above < 0


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return bool(
        toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", "")
    )
