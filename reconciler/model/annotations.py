"""What our annotations say, on a manifest in Git or on the live object."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from . import names

CHOICES: Mapping[str, tuple[str, ...]] = {
    names.PROTECT: ("true", "false"),
    names.ADOPT: ("true", "false"),
    names.SERVE: ("true", "false"),
    names.ON_IMMUTABLE_CHANGE: ("replace", "hold"),
    names.DRIFT: ("correct", "report"),
    names.BYPASS_RESOURCE_CHECKS: ("true", "false"),
    names.RUNTIME: ("transformers", "vllm"),
    "kaito.sh/performance-mode": ("balanced", "interactivity", "throughput"),
    "kaito.sh/use-local-weights": ("true", "false"),
    "kaito.sh/disable-benchmark": ("true", "false"),
    "kaito.sh/node-image-family": ("ubuntu", "azurelinux"),
}
"""Annotations with a closed set of values. Kaito takes any value of some of its own silently."""

KAITO = (
    *(name for name in CHOICES if not name.startswith(names.PREFIX)),
    "kaito.sh/enablelb",
    "kaito.sh/model-streaming",
    "kaito.sh/model-mirror-storage-class",
    "kaito.sh/node-class-name",
    "kaito.sh/streaming-service-account",
)
"""Annotations of a Workspace that Kaito reads, up to 0.12; it ignores any other silently."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Suspension:
    """Nothing is changed before `until` (epoch seconds), because `who` says `why`."""

    until: float
    who: str
    why: str


def weights_gib(annotations: Mapping[str, str]) -> float | None:
    """What the workspace says of its model's size; None where it says nothing that can be used."""
    said = annotations.get(names.WEIGHTS_GIB, "")
    return None if weights_fault(said) else float(said)


def weights_fault(text: str) -> str:
    """Why it is no size of weights, or an empty string."""
    good = re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text, re.ASCII) and float(text) > 0
    return "" if good else "it must be a number of GiB above 0 and below 10000"


def suspension(annotations: Mapping[str, str]) -> Suspension | None:
    """What the suspend annotation says; None where there is none or it is refused."""
    said = annotations.get(names.SUSPEND, "")
    if suspension_fault(said):
        return None
    time, who, why = said.split(maxsplit=2)
    return Suspension(datetime.fromisoformat(time).timestamp(), who, why.strip())


def suspension_fault(text: str) -> str:
    """Why `<RFC 3339 time> <who> <why>` is refused, or an empty string."""
    words = text.split(maxsplit=2)
    if not words or not _is_time(words[0]):
        return "it must begin with an RFC 3339 time such as 2026-01-31T18:00:00Z"
    return "" if len(words) == 3 else "after the time it must say who suspends and why"


def _is_time(text: str) -> bool:
    try:
        return bool(_RFC3339.fullmatch(text) and datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return False
