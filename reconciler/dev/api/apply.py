"""Server-side apply and field ownership: who owns which field, who must give way, what is dropped.

The rules follow structured-merge-diff: what an applier no longer declares goes, unless someone else owns it
too; a changed field leaves its other owners; a conflict is a changed field that another owns.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.dev.api.errors import ApiError, cause
from reconciler.dev.api.fieldsets import (
    EMPTIED,
    FieldSet,
    changes,
    difference,
    fields_of,
    intersection,
    is_granular,
    keyed,
    named_as_members,
    paths,
    union,
    without,
)
from reconciler.dev.api.patches import interleaved
from reconciler.dev.api.schema import ANY, Type

Object = dict[str, Any]
NOT_OWNED: FieldSet = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {
        ".": {},
        **{f"f:{name}": {} for name in ("name", "namespace", "uid", "selfLink", "creationTimestamp")},
        **{f"f:{name}": {} for name in ("generation", "managedFields", "resourceVersion", "clusterName")},
    },
}


@dataclass(frozen=True)
class Writer:
    """Who writes, how and when: the identity of a `managedFields` entry."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str

    def same_as(self, other: "Writer") -> bool:
        mine = (self.manager, self.operation, self.subresource)
        theirs = (other.manager, other.operation, other.subresource)
        return mine == theirs and (self.operation == "Apply" or self.api_version == other.api_version)

    def __str__(self) -> str:
        text = f'"{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == "Update":
            text += f" using {self.api_version} at {self.time}"
        return text


@dataclass(frozen=True)
class Entry:
    writer: Writer
    fields: FieldSet


def entries_of(obj: Mapping[str, Any]) -> list[Entry]:
    return [
        Entry(
            Writer(
                item.get("manager", ""),
                item.get("operation", "Update"),
                item.get("apiVersion", ""),
                item.get("subresource", ""),
                item.get("time", ""),
            ),
            item.get("fieldsV1") or {},
        )
        for item in obj.get("metadata", {}).get("managedFields") or ()
        if item
    ]


def rendered(entries: list[Entry]) -> list[Object]:
    return [_rendered(entry) for entry in sorted(entries, key=_order)]


def _order(entry: Entry) -> tuple[str, ...]:
    by = entry.writer
    return by.operation, by.time, by.manager, by.api_version, by.subresource


def _rendered(entry: Entry) -> Object:
    by = entry.writer
    item = {
        "manager": by.manager,
        "operation": by.operation,
        "apiVersion": by.api_version,
        "time": by.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": entry.fields,
    }
    return {**item, "subresource": by.subresource} if by.subresource else item


def after_update(live: Object, new: Object, kind: Type, entries: list[Entry], by: Writer) -> list[Entry]:
    """Owners after `by` changed `live` into `new` by create, update or patch."""
    changed, removed = _owned_changes(live, new, kind)
    own = next((e for e in entries if e.writer.same_as(by)), Entry(by, {}))
    kept = _released([e for e in entries if e is not own], changed, removed)
    return _with(kept, own, difference(union(own.fields, changed), removed), by)


def _owned_changes(live: Object, new: Object, kind: Type) -> tuple[FieldSet, FieldSet]:
    changed, removed = changes(_unmanaged(live), _unmanaged(new), kind)
    return difference(changed, NOT_OWNED), difference(removed, NOT_OWNED)


def _unmanaged(obj: Object) -> Object:
    if "managedFields" not in obj.get("metadata", {}):
        return obj
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}


def _released(entries: list[Entry], changed: FieldSet, removed: FieldSet) -> list[Entry]:
    if not changed and not removed:
        return entries
    left = [Entry(e.writer, difference(difference(e.fields, changed), removed)) for e in entries]
    return [entry for entry in left if entry.fields]


def _with(others: list[Entry], own: Entry, fields: FieldSet, by: Writer) -> list[Entry]:
    if not fields:
        return others
    if fields == own.fields:
        by = dataclasses.replace(own.writer, api_version=by.api_version)
    return [*others, Entry(by, fields)]


def apply(live: Object, config: Object, kind: Type, by: Writer, *, force: bool) -> tuple[Object, list[Entry]]:
    """The object after `by` applied `config`, not yet defaulted, and its owners. Raises 409 on conflicts."""
    entries = entries_of(live)
    live = _unmanaged(live)
    own = next((e for e in entries if e.writer.same_as(by)), Entry(by, {}))
    others = [entry for entry in entries if entry is not own]
    declared = fields_of(config, kind) or {}
    merged = _merge(live, config, kind)
    if own.fields and difference(own.fields, declared):
        merged = _pruned(merged, own.fields, _claimed(others, declared), kind)
    changed, removed = _owned_changes(live, merged, kind)
    if not force:
        _refuse_conflicts(others, changed)
    fields = difference(declared, NOT_OWNED)
    return merged, _with(_released(others, changed, removed), own, fields, by)


def _claimed(others: list[Entry], declared: FieldSet) -> FieldSet:
    for entry in others:
        declared = union(declared, entry.fields)
    return declared


def _pruned(merged: Object, last: FieldSet, managed: FieldSet, kind: Type) -> Object:
    """`merged` less what only `last` claimed, keeping what is `managed` and what `last` never owned."""
    last = named_as_members(last, kind)
    everything = _named(merged, kind)
    first = without(merged, last, kind)
    kept = union(_named(first, kind), named_as_members(managed, kind))
    second = without(merged, difference(everything, kept), kind)
    gone = intersection(difference(everything, _named(second, kind)), last)
    left: Object = _without_emptied(without(merged, gone, kind))
    return left


def _without_emptied(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_emptied(item) for item in value if item is not EMPTIED]
    if isinstance(value, dict):
        return {name: _without_emptied(child) for name, child in value.items() if child is not EMPTIED}
    return value


def _named(value: Object, kind: Type) -> FieldSet:
    return named_as_members(fields_of(value, kind) or {}, kind)


def _merge(live: Any, config: Any, kind: Type) -> Any:
    if isinstance(live, dict) and isinstance(config, dict) and not kind.atomic:
        merged = dict(live)
        for name, value in config.items():
            merged[name] = _merge(live[name], value, kind.child(name) or ANY) if name in live else value
        return merged
    if isinstance(live, list) and isinstance(config, list) and kind.shape == "list" and not kind.atomic:
        before, after = keyed(live, kind), keyed(config, kind)

        def take(key: str) -> Any:
            if key in before and key in after:
                return _merge(before[key], after[key], kind.item)
            return after[key] if key in after else before[key]

        return interleaved(before, after, take)
    return live if config is None and is_granular(live, kind) else config


def _refuse_conflicts(others: list[Entry], changed: FieldSet) -> None:
    found = [(e.writer, path) for e in others for path in paths(intersection(e.fields, changed))]
    if not found:
        return
    causes = [cause("FieldManagerConflict", path, f"conflict with {by}") for by, path in found]
    raise ApiError(409, _conflict_text(found), causes=causes)


def _conflict_text(found: list[tuple[Writer, str]]) -> str:
    if len(found) == 1:
        by, path = found[0]
        return f"Apply failed with 1 conflict: conflict with {by}: {path}"
    lines = [f"Apply failed with {len(found)} conflicts:"]
    seen = ""
    for by, path in found:
        if str(by) != seen:
            seen = str(by)
            lines.append(f"conflicts with {seen}:")
        lines.append(f"- {path}")
    return f"{lines[0]} " + "\n".join(lines[1:])
