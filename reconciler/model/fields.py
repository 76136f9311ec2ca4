"""Structural comparison of a declared manifest with a live one.

Only declared fields count: what defaulting, other controllers and injected sidecars add is theirs.
Lists of objects are matched by their natural key (`name`, `containerPort` …), as server-side apply
does, lists of anything else as a whole.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Segment = str | tuple[str, Any]
"""A field's name, or (key, value) of a list's item."""
Path = tuple[Segment, ...]

MISSING: Any = object()
_LIST_KEYS = ("name", "mountPath", "containerPort", "port", "key", "type", "ip")
_QUANTITY_FIELDS = frozenset({"limits", "requests", "capacity", "allocatable", "sizeLimit", "hard"})
_TRUE_UNLESS_SAID = frozenset(
    {"automountServiceAccountToken", "allowPrivilegeEscalation", "enableServiceLinks", "hostUsers"}
)
"""Fields of a pod whose absence means true, so that a missing `false` is a difference."""
_SUFFIXES = {
    **{s: Decimal(1).scaleb(-3 * (i + 1)) for i, s in enumerate(("m", "u", "n"))},
    **{s: Decimal(1000) ** (i + 1) for i, s in enumerate(("k", "M", "G", "T", "P", "E"))},
    **{s: Decimal(1024) ** (i + 1) for i, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))},
}


@dataclass(frozen=True, slots=True)
class Difference:
    """`live` is MISSING where the server has no such field."""

    path: Path
    declared: Any
    live: Any

    @property
    def field(self) -> str:
        return dotted(self.path)


def dotted(path: Path) -> str:
    """`spec.containers[name=web].image`."""
    text = ""
    for segment in path:
        if isinstance(segment, tuple):
            text += f"[{segment[0]}={segment[1]}]"
        else:
            text += f".{segment}" if text else segment
    return text


def differences(declared: Any, live: Any, at: Path = ()) -> Iterator[Difference]:
    """Every declared leaf that is not so in `live`."""
    if live is MISSING and is_empty(declared, at[-1] if at else ""):
        return
    match declared:
        case dict() if isinstance(live, dict):
            for name, value in declared.items():
                yield from differences(value, live.get(name, MISSING), (*at, name))
        case list() if isinstance(live, list):
            yield from _in_lists(declared, live, at)
        case _ if not _same_scalar(declared, live, at):
            yield Difference(at, declared, live)


def is_empty(value: Any, name: Segment = "") -> bool:
    """Values an API server leaves out when it stores an object (`omitempty`); `name` is the field's."""
    if isinstance(value, dict):
        return all(is_empty(v, k) for k, v in value.items())
    if value is False:
        return name not in _TRUE_UNLESS_SAID
    return value is None or value in ("", [])


def list_key(items: list[Any]) -> str | None:
    """The field that tells these items apart, or None where the list is one value."""
    if not items or not all(isinstance(i, dict) for i in items):
        return None
    for key in _LIST_KEYS:
        values = [i.get(key) for i in items]
        if None not in values and len(set(map(str, values))) == len(values):
            return key
    return None


def _in_lists(declared: list[Any], live: list[Any], at: Path) -> Iterator[Difference]:
    key = list_key(declared)
    if key is not None:
        have = {str(i.get(key)): i for i in live if isinstance(i, dict)}
        for item in declared:
            found = have.get(str(item[key]), MISSING)
            yield from differences(item, found, (*at, (key, item[key])))
    elif len(declared) != len(live):
        yield Difference(at, declared, live)
    else:
        pairs = zip(declared, live, strict=True)
        if any(True for want, have in pairs for _ in differences(want, have, at)):
            yield Difference(at, declared, live)


def _same_scalar(declared: Any, live: Any, at: Path) -> bool:
    if declared == live:
        return isinstance(declared, bool) == isinstance(live, bool)
    if live is MISSING or not _QUANTITY_FIELDS.intersection(s for s in at if isinstance(s, str)):
        return False
    have, want = quantity(live), quantity(declared)
    return have is not None and have == want


def quantity(value: Any) -> Decimal | None:
    """A Kubernetes resource quantity as a number; None where it is none."""
    text = str(value)
    for length in (2, 1):
        scale = _SUFFIXES.get(text[-length:])
        if scale is not None and len(text) > length:
            text, factor = text[:-length], scale
            break
    else:
        factor = Decimal(1)
    try:
        return Decimal(text) * factor
    except InvalidOperation:
        return None


# --- who set a field -------------------------------------------------------------------------------


def other_manager(path: Path, managed_fields: Sequence[Mapping[str, Any]], ours: str) -> tuple[str, str]:
    """(manager, subresource) of the last other manager that owns `path`; empty where none does."""
    found = ("", "")
    for entry in managed_fields:
        if entry.get("manager") == ours and entry.get("operation") == "Apply":
            continue
        if _owns(entry.get("fieldsV1") or {}, path):
            found = (str(entry.get("manager", "")), str(entry.get("subresource", "")))
    return found


def _owns(fields: Mapping[str, Any], path: Path) -> bool:
    for segment in path:
        below = _child(fields, segment)
        if below is None:
            return False
        fields = below
    return True


def _child(fields: Mapping[str, Any], segment: Segment) -> Mapping[str, Any] | None:
    if isinstance(segment, str):
        found: Mapping[str, Any] | None = fields.get(f"f:{segment}")
        return found
    key, value = segment
    for name, below in fields.items():
        if name.startswith("k:") and json.loads(name[2:]).get(key) == value:
            return dict(below)
    return None
