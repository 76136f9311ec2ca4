"""Sets of field paths in the `fieldsV1` form, and what they say about two versions of an object.

A set is a nested dict from path element (`f:name`, `k:{"name":"x"}`, `v:1`) to set. An element belongs to the
set itself when its value is empty or holds `.`. The rules are those of structured-merge-diff.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from reconciler.dev.api.schema import ANY, Type

FieldSet = dict[str, Any]
MEMBER = "."
EMPTIED: Any = object()


def is_member(node: FieldSet) -> bool:
    return not node or MEMBER in node


def _node(member: bool, children: FieldSet) -> FieldSet | None:
    """A node, or None where it would say nothing."""
    if not children:
        return {} if member else None
    return {MEMBER: {}, **children} if member else children


def union(a: FieldSet, b: FieldSet) -> FieldSet:
    joined = dict(a)
    for key, right in b.items():
        left = a.get(key)
        if left is None or key == MEMBER:
            joined[key] = right
            continue
        children = union(inner(left), inner(right))
        joined[key] = _node(is_member(left) or is_member(right), children) or {}
    return joined


def inner(node: FieldSet) -> FieldSet:
    return {k: v for k, v in node.items() if k != MEMBER} if MEMBER in node else node


def difference(a: FieldSet, b: FieldSet) -> FieldSet:
    return _combined(a, b, keep=False)


def intersection(a: FieldSet, b: FieldSet) -> FieldSet:
    return _combined({k: v for k, v in a.items() if k in b}, b, keep=True)


def _combined(a: FieldSet, b: FieldSet, *, keep: bool) -> FieldSet:
    result: FieldSet = {}
    for key, left in a.items():
        right = b.get(key)
        if right is None:
            result[key] = left
            continue
        member = is_member(left) and (is_member(right) == keep)
        below, above = inner(left), inner(right)
        children = intersection(below, above) if keep else difference(below, above)
        node = _node(member, children)
        if node is not None:
            result[key] = node
    return result


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """Every member as text: `.spec.containers[name="web"].image`."""
    for key, node in fields.items():
        if key == MEMBER:
            continue
        path = prefix + _text(key)
        if is_member(node):
            yield path
        yield from paths(node, path)


def _text(element: str) -> str:
    kind, _, value = element.partition(":")
    if kind == "f":
        return f".{value}"
    if kind == "k":
        pairs = orjson.loads(value).items()
        return "[" + ",".join(f"{k}={orjson.dumps(v).decode()}" for k, v in pairs) + "]"
    return f"[={value}]"


def item_key(item: Any, kind: Type) -> str:
    """The path element of one item of a set or map list."""
    if not kind.keys:
        return "v:" + orjson.dumps(item).decode()
    found = {}
    for key in sorted(kind.keys):
        known = kind.item.fields.get(key)
        value = item.get(key) if isinstance(item, dict) else None
        found[key] = value if value is not None or known is None else known.node.get("default")
    return "k:" + orjson.dumps({k: v for k, v in found.items() if v is not None}).decode()


def keyed(items: list[Any], kind: Type) -> dict[str, Any]:
    return {item_key(item, kind): item for item in items}


def duplicate(value: Any, kind: Type, path: str = "") -> str:
    """The first list item whose key an earlier one has; empty where there is none."""
    if isinstance(value, dict) and not kind.atomic:
        below = (duplicate(v, kind.child(k) or ANY, f"{path}.{k}") for k, v in value.items())
        return next(filter(None, below), "")
    if not is_granular(value, kind):
        return ""
    found: dict[str, Any] = {}
    for item in value:
        key = item_key(item, kind)
        if key in found:
            return f"{path}: duplicate entries for key {_text(key)}"
        found[key] = item
    return next(filter(None, (duplicate(v, kind.item, path + _text(k)) for k, v in found.items())), "")


def fields_of(value: Any, kind: Type) -> FieldSet | None:
    """What applying `value` claims; None for a container that claims nothing."""
    if isinstance(value, dict) and not kind.atomic and kind.shape != "scalar":
        found: FieldSet = {}
        for name, child in value.items():
            declared = name in kind.fields
            below = fields_of(child, kind.child(name) or ANY)
            node = _node(below == {} or child == {} or not declared, below or {})
            if node is not None:
                found["f:" + name] = node
        return found or None
    if isinstance(value, list) and kind.shape == "list" and not kind.atomic:
        found = {}
        for key, item in keyed(value, kind).items():
            found[key] = _node(True, fields_of(item, kind.item) or {}) if kind.keys else {}
        return found or None
    return {}


def is_granular(value: Any, kind: Type) -> bool:
    if isinstance(value, dict):
        return not kind.atomic and kind.shape != "scalar"
    return isinstance(value, list) and kind.shape == "list" and not kind.atomic


def changes(old: Any, new: Any, kind: Type) -> tuple[FieldSet, FieldSet]:
    """(added or modified, removed) between two values of one type, both granular."""
    changed: FieldSet = {}
    removed: FieldSet = {}
    for key, was, now, below, member in _pairs(old, new, kind):
        if was is now or (was == now and type(was) is type(now)):
            continue
        if was is _ABSENT or now is _ABSENT:
            value, target = (now, changed) if was is _ABSENT else (was, removed)
            node = _node(member or value is None or value == {}, _claims(value, below))
            if node is not None:
                target[key] = node
        elif _comparable(was, now, below):
            more, less = changes(was, now, below)
            if more:
                changed[key] = more
            if less:
                removed[key] = less
        else:
            changed[key] = {}
    return changed, removed


_ABSENT: Any = object()


def _comparable(was: Any, now: Any, kind: Type) -> bool:
    """Whether two values differ by parts; null counts as an empty container."""
    present = [value for value in (was, now) if value is not None]
    return len({type(v) for v in present}) == 1 and all(is_granular(v, kind) for v in present)


def _claims(value: Any, kind: Type) -> FieldSet:
    return (fields_of(value, kind) or {}) if is_granular(value, kind) else {}


def _pairs(old: Any, new: Any, kind: Type) -> Iterator[tuple[str, Any, Any, Type, bool]]:
    if isinstance(new, list) or isinstance(old, list):
        before, after = keyed(old or [], kind), keyed(new or [], kind)
        for key in {**before, **after}:
            yield key, before.get(key, _ABSENT), after.get(key, _ABSENT), kind.item, True
        return
    old, new = old or {}, new or {}
    for name in {**old, **new}:
        below = kind.child(name) or ANY
        leaf = name not in kind.fields
        value = new.get(name, old.get(name))
        yield (
            "f:" + name,
            old.get(name, _ABSENT),
            new.get(name, _ABSENT),
            below,
            (leaf or not is_granular(value, below)),
        )


def named_as_members(fields: FieldSet, kind: Type) -> FieldSet:
    """`fields` with every declared struct field on the way to a member made a member too."""
    result: FieldSet = {}
    for key, node in fields.items():
        if key == MEMBER:
            result[key] = node
            continue
        name = key[2:]
        below = (kind.child(name) or ANY) if key.startswith("f:") else kind.item
        member = is_member(node) or (key.startswith("f:") and name in kind.fields)
        result[key] = _node(member, named_as_members(inner(node), below)) or {}
    return result


def without(value: Any, fields: FieldSet, kind: Type) -> Any:
    """`value` less the map entries and list items that `fields` names; what this empties is `EMPTIED`."""
    if isinstance(value, dict) and not kind.atomic:
        kept = {}
        for name, child in value.items():
            node = fields.get("f:" + name)
            if node is None:
                kept[name] = child
            elif not is_member(node):
                kept[name] = without(child, node, kind.child(name) or ANY)
        return kept or EMPTIED
    if isinstance(value, list) and kind.shape == "list" and not kind.atomic:
        nodes = [(item, fields.get(key)) for key, item in keyed(value, kind).items()]
        items = [
            item if node is None else without(item, node, kind.item)
            for item, node in nodes
            if node is None or not is_member(node)
        ]
        return items or EMPTIED
    return value
