"""Server-side apply and field ownership: who owns which field, who must give way, what is dropped.

The rules follow structured-merge-diff: what an applier no longer declares goes, unless someone else owns it
too; a changed field leaves its other owners; a conflict is a changed field that another owns.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import orjson

from reconciler.dev.api import fieldsets as sets
from reconciler.dev.api.errors import ApiError, Cause, cause
from reconciler.dev.api.fieldsets import FieldSet
from reconciler.dev.api.schema import ANY, Type

Object = dict[str, Any]
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BY_VALUE = (
    *("metadata", "spec", "status", "source", "template"),
    *("strategy", "updateStrategy", "resources", "containers"),
)
HEAD = ("name", "namespace", "uid", "creationTimestamp", "generation", "managedFields", "resourceVersion")
OF_THE_SERVER: FieldSet = {".": {}, **{f"f:{name}": {} for name in HEAD}}
NOT_OWNED: FieldSet = {"f:apiVersion": {}, "f:kind": {}, "f:metadata": OF_THE_SERVER}
IDENTITY = ("manager", "operation", "apiVersion", "subresource", "time")
ORDER = ("operation", "time", "manager", "apiVersion", "subresource")


@dataclass(frozen=True)
class Writer:
    """Who writes, how and when: the head of a `managedFields` entry, as `IDENTITY` names it there."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str

    @property
    def identity(self) -> tuple[str, ...]:
        version = "" if self.operation == "Apply" else self.api_version
        return self.manager, self.operation, self.subresource, version

    def __str__(self) -> str:
        below = f' with subresource "{self.subresource}"' if self.subresource else ""
        since = f" using {self.api_version} at {self.time}" if self.operation == "Update" else ""
        return f'"{self.manager}"{below}{since}'


@dataclass(frozen=True)
class Entry:
    writer: Writer
    fields: FieldSet


def entries_of(obj: Mapping[str, Any]) -> list[Entry]:
    given = filter(None, obj.get("metadata", {}).get("managedFields") or ())
    return [Entry(Writer(*(e.get(k, "") for k in IDENTITY)), e.get("fieldsV1") or {}) for e in given]


def rendered(entries: list[Entry]) -> list[Object]:
    found = []
    for entry in entries:
        told = zip(IDENTITY, dataclasses.astuple(entry.writer), strict=True)
        head = {name: value for name, value in told if value}
        found.append({**head, "fieldsType": "FieldsV1", "fieldsV1": entry.fields})
    return sorted(found, key=lambda head: [head.get(name, "") for name in ORDER])


def after_update(live: Object, new: Object, kind: Type, entries: list[Entry], by: Writer) -> list[Entry]:
    """Owners after `by` changed `live` (empty before a create) into `new` by create, update or patch.

    An object that lost all its entries is not tracked again before its next apply.
    """
    if live and not entries:
        return []
    if not live and "x-kubernetes-group-version-kind" in kind.node:
        live = _blank(kind)
    changed, removed = _owned_changes(live, new, kind)
    own, others = _parted(entries, by)
    fields = sets.difference(sets.union(own.fields, changed), removed)
    return _owners(own, others, fields, by, sets.union(changed, removed))


def _blank(kind: Type) -> Object:
    """What a typed server takes an object that is not there for: the structs that are part of it by value."""
    known = ((name, kind.fields[name]) for name in BY_VALUE if name in kind.fields)
    return {name: [] if below.shape == "list" else _blank(below) for name, below in known}


def _owned_changes(live: Object, new: Object, kind: Type) -> tuple[FieldSet, FieldSet]:
    changed, removed = sets.changes(live, new, kind)
    return sets.difference(changed, NOT_OWNED), sets.difference(removed, NOT_OWNED)


def _parted(entries: list[Entry], by: Writer) -> tuple[Entry, list[Entry]]:
    own = next((e for e in entries if e.writer.identity == by.identity), Entry(by, {}))
    return own, [e for e in entries if e is not own]


def _owners(own: Entry, others: list[Entry], fields: FieldSet, by: Writer, taken: FieldSet) -> list[Entry]:
    """Entries once the writer owns `fields`, and the others no longer what was `taken` from them."""
    if taken:
        others = [Entry(e.writer, sets.difference(e.fields, taken)) for e in others]
    if fields == own.fields:
        by = dataclasses.replace(own.writer, api_version=by.api_version)
    return [entry for entry in (*others, Entry(by, fields)) if entry.fields]


def apply(live: Object, config: Object, kind: Type, by: Writer, *, force: bool) -> tuple[Object, list[Entry]]:
    """The object after `by` applied `config`, not yet defaulted, and its owners. Raises 409 on conflicts.

    The object is `live` itself where nothing changed.
    """
    entries = entries_of(live)
    if live and not entries:
        before = dataclasses.replace(by, manager="before-first-apply", operation="Update")
        entries = after_update({}, live, kind, [], before)
    own, others = _parted(entries, by)
    declared = sets.fields_of(config, kind)
    merged = _merge(live, config, kind)
    if own.fields and sets.difference(own.fields, declared):
        merged = _pruned(merged, own.fields, reduce(sets.union, (e.fields for e in others), declared), kind)
    changed, removed = _owned_changes(live, merged, kind)
    told = (merged["metadata"].get("annotations") or {}).get(LAST_APPLIED) if by.manager == "kubectl" else ""
    if not force:
        _refuse_conflicts(others, changed, _adopted(told, live, kind, by) if told else set())
    if told:
        merged = _with_last_applied(merged, config)
    owners = _owners(own, others, sets.difference(declared, NOT_OWNED), by, sets.union(changed, removed))
    return live if merged == live else merged, owners


def _pruned(merged: Object, last: FieldSet, managed: FieldSet, kind: Type) -> Object:
    """`merged` less what only `last` claimed, keeping what is `managed` and what `last` never owned."""
    last = sets.named_as_members(last, kind)
    everything = _named(merged, kind)
    first = sets.without(merged, last, kind)
    kept = sets.union(_named(first, kind), sets.named_as_members(managed, kind))
    second = sets.without(merged, sets.difference(everything, kept), kind)
    gone = sets.intersection(sets.difference(everything, _named(second, kind)), last)
    left: Object = sets.without(merged, gone, kind)
    return left


def _named(value: Object, kind: Type) -> FieldSet:
    return sets.named_as_members(sets.fields_of(value, kind), kind)


def _merge(live: Any, config: Any, kind: Type) -> Any:
    if config is None and live and sets.is_granular(live, kind):
        return live
    if type(live) is not type(config) or not sets.is_granular(config, kind):
        return config
    if isinstance(config, list):
        return _merged_items(live, config, kind)
    merged = dict(live)
    for name, value in config.items():
        merged[name] = _merge(live[name], value, kind.child(name) or ANY) if name in live else value
    return merged


def _merged_items(live: list[Any], config: list[Any], kind: Type) -> list[Any]:
    """Items of both in `config`'s order, those only in `live` where they stand among their neighbours."""
    before, after = sets.keyed(live, kind), sets.keyed(config, kind)
    waiting, shared = list(after), [key for key in after if key in before]
    result: list[Any] = []

    def take(count: int) -> None:
        for key in waiting[:count]:
            item = _merge(before[key], after[key], kind.item) if key in before else after[key]
            result.append(item)
        del waiting[:count]

    for key, item in before.items():
        if key not in after:
            result += sets.items_of([item])
        elif key == shared[0]:
            take(waiting.index(shared.pop(0)) + 1)
    take(len(waiting))
    return result


def _adopted(told: str, live: Object, kind: Type, by: Writer) -> set[str]:
    """What kubectl's last client-side apply declared and still holds: its server-side apply may take that."""
    try:
        last = orjson.loads(told)
    except orjson.JSONDecodeError:
        return set()
    if not isinstance(last, dict) or last.get("apiVersion") != by.api_version:
        return set()
    changed, removed = sets.changes(last, live, kind)
    return set(sets.paths(sets.difference(sets.difference(sets.fields_of(last, kind), changed), removed)))


def _with_last_applied(merged: Object, config: Object) -> Object:
    """Keep kubectl's annotation in step, so that a later client-side apply knows what was applied."""
    told = orjson.loads(orjson.dumps(config))
    (told["metadata"].get("annotations") or {}).pop(LAST_APPLIED, None)
    text = orjson.dumps(told, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()
    annotations = {**merged["metadata"]["annotations"], LAST_APPLIED: text}
    return {**merged, "metadata": {**merged["metadata"], "annotations": annotations}}


def _refuse_conflicts(others: list[Entry], changed: FieldSet, adopted: set[str]) -> None:
    causes: list[Cause] = []
    told: dict[str, list[str]] = {}
    for entry in others if changed else ():
        for path in sets.paths(sets.intersection(entry.fields, changed)):
            if path not in adopted:
                causes.append(cause("FieldManagerConflict", path, f"conflict with {entry.writer}"))
                told.setdefault(f"conflicts with {entry.writer}:", []).append(f"- {path}")
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
        raise ApiError(409, text, causes=causes)
    if causes:
        lines = [line for by in sorted(told) for line in (by, *told[by])]
        raise ApiError(409, f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines), causes=causes)
