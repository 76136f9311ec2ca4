"""Server-side apply and field ownership: who owns which field, who must give way, what is dropped.

The rules follow structured-merge-diff: what an applier no longer declares goes, unless someone else owns it
too; a changed field leaves its other owners; a conflict is a changed field that another owns.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from reconciler.dev.api.errors import ApiError, cause
from reconciler.dev.api.fieldsets import (
    FieldSet,
    changes,
    difference,
    fields_of,
    intersection,
    is_granular,
    item_key,
    keyed,
    named_as_members,
    paths,
    union,
    without,
)
from reconciler.dev.api.schema import ANY, Type

Object = dict[str, Any]
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BY_VALUE = ("metadata", "spec", "status", "template", "strategy", "updateStrategy", "resources", "containers")
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
    found = filter(None, obj.get("metadata", {}).get("managedFields") or ())
    return [Entry(_writer_of(item), item.get("fieldsV1") or {}) for item in found]


def _writer_of(item: Mapping[str, str]) -> Writer:
    manager, operation = item.get("manager", ""), item.get("operation", "Update")
    rest = (item.get(name, "") for name in ("apiVersion", "subresource", "time"))
    return Writer(manager, operation, *rest)


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
    """Owners after `by` changed `live` (empty before a create) into `new` by create, update or patch.

    An object that lost all its entries is not tracked again before its next apply.
    """
    if live and not entries:
        return []
    changed, removed = _owned_changes(live or blank(kind), new, kind)
    own = next((e for e in entries if e.writer.same_as(by)), Entry(by, {}))
    kept = _released([e for e in entries if e is not own], changed, removed)
    return _with(kept, own, difference(union(own.fields, changed), removed), by)


def blank(kind: Type) -> Object:
    """What a typed server takes an object that is not there for: the structs that are part of it by value."""
    if "x-kubernetes-group-version-kind" not in kind.node:
        return {}
    return _blank(kind)


def _blank(kind: Type) -> Object:
    known = [(name, below) for name, below in kind.fields.items() if name in BY_VALUE]
    return {name: [] if below.shape == "list" else _blank(below) for name, below in known}


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
    """The object after `by` applied `config`, not yet defaulted, and its owners. Raises 409 on conflicts.

    The object is `live` itself where nothing changed.
    """
    entries = entries_of(live)
    given, live = live, _unmanaged(live)
    if live and not entries:
        before = dataclasses.replace(by, manager="before-first-apply", operation="Update")
        entries = _with([], Entry(before, {}), _owned_changes(blank(kind), live, kind)[0], before)
    own = next((e for e in entries if e.writer.same_as(by)), Entry(by, {}))
    others = [entry for entry in entries if entry is not own]
    declared = fields_of(config, kind)
    merged = _merge(live, config, kind)
    if own.fields and difference(own.fields, declared):
        merged = _pruned(merged, own.fields, _claimed(others, declared), kind)
    changed, removed = _owned_changes(live, merged, kind)
    if not force:
        adopted = _last_applied(live, kind, by) if by.manager == KUBECTL else set()
        _refuse_conflicts(others, changed, adopted)
    if by.manager == KUBECTL and _annotation(merged):
        merged = _with_last_applied(merged, config)
    owners = _with(_released(others, changed, removed), own, difference(declared, NOT_OWNED), by)
    return given if merged == live else merged, owners


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
    left: Object = without(merged, gone, kind)
    return left


def _named(value: Object, kind: Type) -> FieldSet:
    return named_as_members(fields_of(value, kind), kind)


def _merge(live: Any, config: Any, kind: Type) -> Any:
    if config is None:
        return live if live and is_granular(live, kind) else None
    if not is_granular(config, kind) or not is_granular(live, kind):
        return config
    if isinstance(config, list):
        return _merged_items(live, config, kind) if isinstance(live, list) else config
    if not isinstance(live, dict):
        return config
    merged = dict(live)
    for name, value in config.items():
        merged[name] = _merge(live[name], value, kind.child(name) or ANY) if name in live else value
    return merged


def _merged_items(live: list[Any], config: list[Any], kind: Type) -> list[Any]:
    """Items of both in `config`'s order, those only in `live` where they stand among their neighbours."""
    before, after = [(item_key(item, kind), item) for item in live], keyed(config, kind)
    known = dict(before)
    shared = [key for key in after if key in known]
    waiting, done, result = list(after), set(), []

    def take(key: str) -> None:
        done.add(key)
        result.append(_merge(known[key], after[key], kind.item) if key in known else after[key])
        if shared and shared[0] == key:
            shared.pop(0)

    for key, item in before:
        if key not in after:
            result.append(item)
            continue
        if key in done or (shared and shared[0] != key):
            continue
        while waiting and key not in done:
            take(waiting.pop(0))
    for key in waiting:
        take(key)
    return result


def _annotation(obj: Object) -> str:
    found: str = (obj.get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED, "")
    return found


def _last_applied(live: Object, kind: Type, by: Writer) -> set[str]:
    """What kubectl's last client-side apply declared and still holds: its server-side apply may take that."""
    text = _annotation(live)
    last = orjson.loads(text) if text else {}
    if last.get("apiVersion") != by.api_version:
        return set()
    changed, removed = changes(last, live, kind)
    return set(paths(difference(difference(fields_of(last, kind), changed), removed)))


def _with_last_applied(merged: Object, config: Object) -> Object:
    """Keep kubectl's annotation in step, so that a later client-side apply knows what was applied."""
    head = config["metadata"]
    told = {**config, "metadata": {**head, "annotations": {**(head.get("annotations") or {})}}}
    told["metadata"]["annotations"].pop(LAST_APPLIED, None)
    if not told["metadata"]["annotations"]:
        del told["metadata"]["annotations"]
    text = orjson.dumps(told, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()
    annotations = {**merged["metadata"]["annotations"], LAST_APPLIED: text}
    return {**merged, "metadata": {**merged["metadata"], "annotations": annotations}}


def _refuse_conflicts(others: list[Entry], changed: FieldSet, adopted: set[str]) -> None:
    found = [(e.writer, path) for e in others for path in paths(intersection(e.fields, changed))]
    found = [(by, path) for by, path in found if path not in adopted]
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
