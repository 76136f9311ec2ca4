"""The three patch formats besides apply: RFC 7386 merge, RFC 6902 JSON patch and strategic merge."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reconciler.dev.api.errors import ApiError
from reconciler.dev.api.schema import ANY, Type

ORDER = "$setElementOrder/"
DELETED = "$deleteFromPrimitiveList/"


def merge_patch(target: Any, patch: Any) -> Any:
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
    if not isinstance(operations, list):
        raise ApiError(400, "a JSON patch is a list of operations")
    holder = {"": copy.deepcopy(target)}
    for operation in operations:
        try:
            _apply_operation(holder, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            message = f"the server rejected our request due to an error in our request: {operation}: {error}"
            raise ApiError(422, message) from error
    return holder[""]


def _apply_operation(holder: dict[str, Any], operation: Mapping[str, Any]) -> None:
    path = operation["path"]
    match operation["op"]:
        case "add":
            _add(holder, path, copy.deepcopy(operation["value"]))
        case "remove":
            _remove(holder, path)
        case "replace":
            _remove(holder, path)
            _add(holder, path, copy.deepcopy(operation["value"]))
        case "move":
            _add(holder, path, _remove(holder, operation["from"]))
        case "copy":
            _add(holder, path, copy.deepcopy(_value_at(holder, operation["from"])))
        case "test":
            if _value_at(holder, path) != operation["value"]:
                raise ValueError("testing value failed")
        case other:
            raise ValueError(f"unknown operation {other}")


def _steps(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]


def _value_at(holder: Any, pointer: str) -> Any:
    for step in _steps(pointer):
        holder = holder[int(step)] if isinstance(holder, list) else holder[step]
    return holder


def _parent(holder: Any, pointer: str) -> tuple[Any, str]:
    *above, last = _steps(pointer)
    for step in above:
        holder = holder[int(step)] if isinstance(holder, list) else holder[step]
    return holder, last


def _add(holder: Any, pointer: str, value: Any) -> None:
    parent, last = _parent(holder, pointer)
    if not isinstance(parent, list):
        parent[last] = value
        return
    index = len(parent) if last == "-" else int(last)
    if not 0 <= index <= len(parent):
        raise IndexError("index out of bounds")
    parent.insert(index, value)


def _remove(holder: Any, pointer: str) -> Any:
    parent, last = _parent(holder, pointer)
    return parent.pop(int(last)) if isinstance(parent, list) else parent.pop(last)


def strategic_patch(target: Mapping[str, Any], patch: Mapping[str, Any], kind: Type) -> dict[str, Any]:
    directive = patch.get("$patch")
    if directive == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    if directive == "delete":
        return {}
    retained = patch.get("$retainKeys", target)
    result = {k: v for k, v in target.items() if k in retained}
    for key, value in patch.items():
        if key.startswith(DELETED):
            name = key.removeprefix(DELETED)
            result[name] = [item for item in result.get(name, []) if item not in value]
        elif value is None:
            result.pop(key, None)
        elif not key.startswith("$"):
            result[key] = _strategic_value(result.get(key), value, kind.child(key) or ANY)
    for name in [key.removeprefix(ORDER) for key in patch if key.startswith(ORDER)]:
        if name in result:
            result[name] = _reordered(result[name], patch[ORDER + name], kind.child(name) or ANY)
    return result


def _strategic_value(old: Any, value: Any, kind: Type) -> Any:
    if isinstance(value, dict):
        return strategic_patch(old if isinstance(old, dict) else {}, value, kind)
    if isinstance(value, list) and "merge" in kind.node.get("x-kubernetes-patch-strategy", ""):
        return _merged_list(old or [], value, kind)
    return value


def _merged_list(old: list[Any], items: list[Any], kind: Type) -> list[Any]:
    key = kind.node.get("x-kubernetes-patch-merge-key")
    if key is None:
        return [*old, *(item for item in items if item not in old)]
    if any(item.get("$patch") == "replace" for item in items):
        return [item for item in items if "$patch" not in item]
    merged = {item.get(key): item for item in old}
    for item in items:
        if key not in item:
            raise ApiError(400, f"map: {item} does not contain declared merge key: {key}")
        if item.get("$patch") == "delete":
            merged.pop(item[key], None)
        else:
            merged[item[key]] = strategic_patch(merged.get(item[key], {}), item, kind.item)
    return list(merged.values())


def _reordered(items: list[Any], order: list[Any], kind: Type) -> list[Any]:
    key = kind.node.get("x-kubernetes-patch-merge-key")

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    by_id = {identity(item): item for item in items}
    wanted = [identity(item) for item in order if identity(item) in by_id]
    return interleaved(by_id, wanted, lambda name: by_id[name])


def interleaved(live: Iterable[Any], wanted: Iterable[Any], take: Callable[[Any], Any]) -> list[Any]:
    """Items of both in `wanted`'s order, those only in `live` before whatever follows them there."""
    known = dict.fromkeys(wanted)
    waiting = iter(known)
    done: dict[Any, None] = {}
    for key in live:
        if key not in known:
            done[key] = None
        while key not in done:
            done[next(waiting)] = None
    done.update(dict.fromkeys(waiting))
    return [take(key) for key in done]
