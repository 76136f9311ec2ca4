"""Sets of field paths in the `fieldsV1` form, and what they say about two versions of an object.

A set is a nested dict from path element (`f:name`, `k:{"name":"x"}`, `v:1`) to set. An element belongs to the
set itself when its value is empty or holds `.`. The rules are those of structured-merge-diff.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import orjson

from reconciler.dev.api.schema import ANY, Type

FieldSet = dict[str, Any]
MEMBER = "."
_ABSENT: Any = object()


def is_member(node: FieldSet) -> bool:
    return not node or MEMBER in node


def inner(node: FieldSet) -> FieldSet:
    return {k: v for k, v in node.items() if k != MEMBER} if MEMBER in node else node


def _node(member: bool, children: FieldSet) -> FieldSet | None:
    """A node, or None where it would say nothing."""
    if not children:
        return {} if member else None
    return {MEMBER: {}, **children} if member else children


def union(a: FieldSet, b: FieldSet) -> FieldSet:
    joined = dict(a)
    for key, right in b.items():
        left = a.get(key)
        if left is None:
            joined[key] = right
        elif left != right:
            member = is_member(left) or is_member(right)
            joined[key] = _node(member, union(inner(left), inner(right))) or {}
    return joined


def difference(a: FieldSet, b: FieldSet) -> FieldSet:
    result: FieldSet = {}
    for key, left in a.items():
        right = b.get(key)
        if right is None:
            result[key] = left
        elif left:
            member = MEMBER in left and not is_member(right)
            node = _node(member, difference(inner(left), inner(right)))
            if node is not None:
                result[key] = node
        elif not is_member(right):
            result[key] = left
    return result


def intersection(a: FieldSet, b: FieldSet) -> FieldSet:
    return difference(a, difference(a, b))


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """Every member as text, `.spec.containers[name="web"].image`; those of a level come before any below."""
    named = [(prefix + text_of(key), node) for key, node in sorted(fields.items())]
    yield from (path for path, node in named if is_member(node))
    for path, node in named:
        yield from paths(inner(node), path)


@lru_cache(maxsize=4096)
def text_of(element: str) -> str:
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
    given = item if isinstance(item, dict) else {}
    found = {key: given[key] for key in kind.keys if key in given}
    if len(found) < len(kind.keys) and given:
        known = kind.item.defaults
        found |= {key: known[key] for key in kind.keys if key in known and key not in given}
    return "k:" + orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()


def keyed(items: Sequence[Any], kind: Type) -> dict[str, Any]:
    """Items by path element; those that share one are a tuple, which nothing looks into."""
    found: dict[str, Any] = {}
    for item in items:
        key = item_key(item, kind)
        if key in found:
            before = found[key]
            found[key] = (*before, item) if isinstance(before, tuple) else (before, item)
        else:
            found[key] = item
    return found


def items_of(found: Iterable[Any]) -> list[Any]:
    """The items that `keyed` told apart, those of one key one by one again."""
    return [item for value in found for item in (value if isinstance(value, tuple) else (value,))]


def is_granular(value: Any, kind: Type) -> bool:
    """Whether parts of `value` may have owners of their own."""
    if isinstance(value, dict):
        return not kind.atomic and kind.shape != "scalar"
    return isinstance(value, list) and kind.shape == "list" and not kind.atomic


def parts(value: Any, kind: Type) -> Iterator[tuple[str, Any, Type]]:
    """Path element, value and type of everything directly in a granular value."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield "f:" + name, child, kind.child(name) or ANY
    else:
        for key, item in keyed(value, kind).items():
            yield key, item, kind.item


def fields_of(value: Any, kind: Type) -> FieldSet:
    """What applying the granular `value` claims: leaves, map entries and list items, but no struct itself."""
    found: FieldSet = {}
    for key, child, below in parts(value, kind):
        member = key[2:] not in kind.fields or not key.startswith("f:")
        if is_granular(child, below):
            node = _node(member or child == {}, fields_of(child, below))
            if node is not None:
                found[key] = node
        else:
            found[key] = {}
    return found


def _everything(value: Any, kind: Type) -> FieldSet:
    """The set of a value that is new or gone as a whole: itself and all that is in it."""
    if not is_granular(value, kind) or not value:
        return {}
    return {MEMBER: {}, **{key: _everything(child, below) for key, child, below in parts(value, kind)}}


def changes(old: Any, new: Any, kind: Type) -> tuple[FieldSet, FieldSet]:
    """(added or modified, removed) between two granular values of one type."""
    changed: FieldSet = {}
    removed: FieldSet = {}
    before = {key: (child, below) for key, child, below in parts(old, kind)}
    for key, now, below in parts(new, kind):
        was, _ = before.pop(key, (_ABSENT, below))
        if was is _ABSENT:
            changed[key] = _everything(now, below)
        elif was is not now and was != now:
            more, less = _parts_changed(was, now, below)
            if more is not None:
                changed[key] = more
            if less:
                removed[key] = less
    removed |= {key: _everything(was, below) for key, (was, below) in before.items()}
    return changed, removed


def _parts_changed(was: Any, now: Any, kind: Type) -> tuple[FieldSet | None, FieldSet]:
    """Two values that differ: part by part where one has parts; null has none, but is no other value."""
    before, after = (value if is_granular(value, kind) else None for value in (was, now))
    if not before and not after:
        return {}, {}
    empty: Any = [] if isinstance(before or after, list) else {}
    changed, removed = changes(before or empty, after or empty, kind)
    replaced = any(v is not None and not is_granular(v, kind) for v in (was, now))
    return _node(replaced, changed), removed


def named_as_members(fields: FieldSet, kind: Type) -> FieldSet:
    """`fields` with every declared struct field on the way to a member made a member too."""
    result: FieldSet = {}
    for key, node in fields.items():
        named = key.startswith("f:")
        below = (kind.child(key[2:]) or ANY) if named else kind.item
        member = is_member(node) or (named and key[2:] in kind.fields)
        result[key] = _node(member, named_as_members(inner(node), below)) or {}
    return result


def without(value: Any, fields: FieldSet, kind: Type) -> Any:
    """`value` less the map entries and list items that `fields` names; what this empties stays, empty."""
    if not is_granular(value, kind):
        return value
    kept = {}
    for key, child, below in parts(value, kind):
        node = fields.get(key)
        if node is None or not is_member(node):
            kept[key] = child if node is None else without(child, node, below)
    return (
        {key[2:]: child for key, child in kept.items()}
        if isinstance(value, dict)
        else items_of(kept.values())
    )
