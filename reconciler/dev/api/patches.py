"""The patch formats besides apply: RFC 7386 merge, RFC 6902 JSON and strategic merge, as servers do them."""

import copy
from collections.abc import Mapping
from typing import Any

from reconciler.dev.api.errors import ApiError
from reconciler.dev.api.schema import ANY, Type

ORDER = "$setElementOrder/"
DELETED = "$deleteFromPrimitiveList/"


def merge_patch(target: Any, patch: Any) -> Any:
    """Nulls vanish from the items of a new list too."""
    if isinstance(patch, list):
        return [merge_patch(None, item) for item in patch]
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: Any, operations: Any) -> Any:
    """Raises 400 for what is no JSON patch and 422 for one that does not fit.

    Replacing, testing or copying a key that an object does not have takes it for null, and a negative index
    counts from the end: the reason for no library here.
    """
    if not isinstance(operations, list):
        raise ApiError(400, "a JSON patch is a list of operations")
    holder = {"": copy.deepcopy(target)}
    for operation in operations:
        try:
            _apply_operation(holder, operation)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
            raise ApiError(422, f"{operation} does not apply: {error!r}") from error
    return holder[""]


def _apply_operation(holder: dict[str, Any], operation: Mapping[str, Any]) -> None:
    parent, key = _place(holder, operation["path"])
    given = copy.deepcopy(operation.get("value"))
    match operation["op"]:
        case "add":
            _add(parent, key, given)
        case "remove":
            del parent[key]
        case "replace":
            parent[key] = given
        case "move":
            source, name = _place(holder, operation["from"])
            value = source.pop(name)
            _add(*_place(holder, operation["path"]), value)
        case "copy":
            _add(parent, key, copy.deepcopy(_value(*_place(holder, operation["from"]))))
        case "test":
            if _value(parent, key) != given:
                raise ValueError("testing value failed")
        case other:
            raise ValueError(f"unknown operation {other}")


def _place(holder: Any, pointer: str) -> tuple[Any, Any]:
    """The container that `pointer` leads into, and the key or index there."""
    *above, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/"))
    for step in above:
        holder = holder[int(step)] if isinstance(holder, list) else holder[step]
    return holder, int(last) if isinstance(holder, list) and last != "-" else last


def _value(parent: Any, key: Any) -> Any:
    return parent[key] if isinstance(parent, list) else parent.get(key)


def _add(parent: Any, key: Any, value: Any) -> None:
    if not isinstance(parent, list):
        parent[key] = value
        return
    size = len(parent) + 1
    index = size - 1 if key == "-" else key + size if key < 0 else key
    if not 0 <= index < size:
        raise IndexError("index out of bounds")
    parent.insert(index, value)


def strategic_patch(target: Mapping[str, Any], patch: Mapping[str, Any], kind: Type) -> dict[str, Any]:
    """Raises 500, as a real server does, for lists that lack their keys or contradict their order."""
    said = {key: value for key, value in patch.items() if not key.startswith("$")}
    if patch.get("$patch") in ("replace", "delete"):
        return said if patch["$patch"] == "replace" else {}
    retained = patch.get("$retainKeys", target)
    result = {key: value for key, value in target.items() if key in retained}
    for key, value in said.items():
        if value is None:
            result.pop(key, None)
        else:
            below = kind.child(key) or ANY
            result[key] = _strategic_value(result.get(key), value, below, patch.get(ORDER + key))
    for key, value in patch.items():
        name = key.partition("/")[2]
        if key.startswith(DELETED) and name in result:
            result[name] = [item for item in result[name] if item not in value]
        elif key.startswith(ORDER) and name in result and name not in said:
            result[name] = _merged_list(result[name], [], kind.child(name) or ANY, value)
    return result


def _strategic_value(old: Any, value: Any, kind: Type, order: Any) -> Any:
    if isinstance(value, dict) and isinstance(old, dict):
        return strategic_patch(old, value, kind)
    merges = "merge" in kind.node.get("x-kubernetes-patch-strategy", "")
    if merges and isinstance(value, list) and isinstance(old, list | None):
        return _merged_list(old or [], value, kind, order)
    return _taken(value)


def _taken(value: Any) -> Any:
    """A value without counterpart: its nulls and directives say nothing."""
    if isinstance(value, list):
        return [_taken(item) for item in value if not (isinstance(item, dict) and "$patch" in item)]
    if not isinstance(value, dict):
        return value
    said = {k: v for k, v in value.items() if v is not None and not k.startswith("$")}
    return {k: _taken(v) for k, v in said.items() if not (isinstance(v, dict) and "$patch" in v)}


def _merged_list(old: list[Any], items: list[Any], kind: Type, order: Any) -> list[Any]:
    key = kind.node.get("x-kubernetes-patch-merge-key")
    if key is None:
        return _ordered(list(dict.fromkeys([*old, *items])), order or items, old)
    if any(not isinstance(i, dict) or (key not in i and i.get("$patch") != "replace") for i in items):
        raise ApiError(500, f"map: {items} does not contain declared merge key: {key}", reason="")
    plain = [item for item in items if "$patch" not in item]
    names = [item[key] for item in plain]
    if order is not None and names and [o.get(key) for o in order if o.get(key) in names] != names:
        raise ApiError(500, f"The order in patch list {names} doesn't match {ORDER[:-1]} list", reason="")
    if any(item.get("$patch") == "replace" for item in items):
        return [_taken(item) for item in plain]
    gone = [item[key] for item in items if item.get("$patch") == "delete"]
    merged = [item for item in old if item.get(key) not in gone]
    for item in plain:
        at = next((i for i, known in enumerate(merged) if known.get(key) == item[key]), None)
        if at is None:
            merged.append(_taken(item))
        else:
            merged[at] = strategic_patch(merged[at], item, kind.item)
    return _ordered(merged, order or plain, old, key)


def _ordered(items: list[Any], wanted: list[Any], live: list[Any], key: str = "") -> list[Any]:
    """`items` as `wanted` has them, each other one before what it precedes in `live`."""

    def identity(item: Any) -> Any:
        return item.get(key) if key else item

    names, place = [identity(item) for item in wanted], [identity(item) for item in live]
    rest = [item for item in items if identity(item) not in names]
    done: list[Any] = []
    for item in sorted((i for i in items if identity(i) in names), key=lambda i: names.index(identity(i))):
        while rest and identity(item) in place and identity(rest[0]) in place[: place.index(identity(item))]:
            done.append(rest.pop(0))
        done.append(item)
    return done + rest
