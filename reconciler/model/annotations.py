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
}
"""Annotations with a closed set of values. Kaito itself takes any value of its own two silently."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Suspension:
    """Nothing is changed before `until` (epoch seconds), because `who` says `why`."""

    until: float
    who: str
    why: str


def parse_suspension(text: str) -> Suspension:
    """Reads `<RFC 3339 time> <who> <why>`; raises ValueError with what is missing."""
    time, _, rest = text.strip().partition(" ")
    who, _, why = rest.strip().partition(" ")
    if not _RFC3339.fullmatch(time):
        raise ValueError("it must begin with an RFC 3339 time such as 2026-01-31T18:00:00Z")
    if not who or not why.strip():
        raise ValueError("after the time it must say who suspends and why")
    return Suspension(datetime.fromisoformat(time).timestamp(), who, why.strip())


def suspension(annotations: Mapping[str, str]) -> Suspension | None:
    """The suspension in force or past; None where there is none or it cannot be read."""
    try:
        return parse_suspension(annotations[names.SUSPEND])
    except (KeyError, ValueError, OverflowError):
        return None
