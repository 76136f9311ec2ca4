"""Pruning, defaulting and validation of an object by its schema."""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from reconciler.dev.api.errors import Cause, cause
from reconciler.dev.api.fieldsets import item_key, keyed, text_of
from reconciler.dev.api.quantity import canonical
from reconciler.dev.api.schema import Type

PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def pruned(value: Any, kind: Type, path: str, unknown: list[str], *, typed: bool) -> Any:
    """`value` without fields the schema does not know (their paths go to `unknown`).

    `typed` is how built-in kinds and all metadata are decoded: null, empty collections and most zeros vanish,
    quantities become canonical.
    """
    if isinstance(value, dict) and kind.shape in ("struct", "map"):
        return _pruned_fields(value, kind, path, unknown, typed=typed)
    if isinstance(value, list) and kind.shape == "list":
        return [pruned(item, kind.item, f"{path}[{i}]", unknown, typed=typed) for i, item in enumerate(value)]
    if typed and kind.node.get("format") == "quantity":
        return canonical(value)
    return value


def _pruned_fields(
    value: dict[str, Any], kind: Type, path: str, unknown: list[str], *, typed: bool
) -> dict[str, Any]:
    kept = {}
    for name, child in value.items():
        below = kind.child(name)
        where = f"{path}.{name}" if path else name
        decoded = typed or where == "metadata"
        if child is None and decoded and kind.shape == "map" and below and below.node.get("type") == "string":
            child = ""
        if below is None:
            unknown.append(where)
        elif child is None and kind.drops_null(name) and name not in kind.defaults:
            continue
        elif not (decoded and (_empty(child, below) or (name in kind.fields and _zero(name, child, kind)))):
            kept[name] = pruned(child, below, where, unknown, typed=decoded)
    return kept


def _empty(value: Any, kind: Type) -> bool:
    return value is None or (value in ({}, []) and kind.shape in ("map", "list"))


ZERO_IS_ABSENT = {
    *("hostIPC", "hostNetwork", "hostPID", "hostPort", "minReadySeconds", "nodePort", "paused", "readOnly"),
    *("publishNotReadyAddresses", "stdin", "stdinOnce", "tty", "unschedulable", "initialDelaySeconds"),
    *("periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold", "observedGeneration"),
}
EMPTY_TEXT_COUNTS = {"apiGroup", "storageClassName", "holderIdentity", "service", "reportingComponent"}


def _zero(name: str, value: Any, kind: Type) -> bool:
    """Whether a scalar is its type's zero, where Kubernetes' own types do not tell that from absent."""
    if value == "":
        return name not in kind.required and name not in EMPTY_TEXT_COUNTS
    return name in ZERO_IS_ABSENT and value in (0, False)


def mistyped(value: Any, kind: Type, path: str = "", *, keyed: bool = False) -> Iterator[str]:
    """Why `value` cannot be decoded: fields that are not known, wrong types, nulls in lists.

    `keyed` is how an apply is: its items of a set or map list are known by their keys, so none has none and
    no two have the same.
    """
    wanted = {"list": "array", "scalar": kind.node.get("type", "")}.get(kind.shape, "object")
    if value is None or kind.shape == "any":
        return
    if not (_is_a(value, wanted) if wanted in PYTHON_TYPES and not _lenient(kind) else _is_scalar(value)):
        yield f"{path}: expected {wanted or 'a scalar'}, got {_type_name(value)}"
    elif isinstance(value, dict):
        for name, child in value.items():
            if below := kind.child(name):
                yield from mistyped(child, below, f"{path}.{name}", keyed=keyed)
            else:
                yield f"{path}.{name}: field not declared in schema"
    elif isinstance(value, list):
        yield from _mistyped_items(value, kind, path, keyed=keyed)


def _mistyped_items(value: list[Any], kind: Type, path: str, *, keyed: bool) -> Iterator[str]:
    keys = [text_of(item_key(item, kind)) if keyed and not kind.atomic else "" for item in value]
    for index, item in enumerate(value):
        where = path + (keys[index] or f"[{index}]")
        if item is None or keys[index] == "[]":
            yield f"{where}: element {index} is null or omits all keys"
        elif keys[index] and keys[index] in keys[:index]:
            yield f"{path}: duplicate entries for key {keys[index]}"
        yield from mistyped(item, kind.item, where, keyed=keyed)


def _lenient(kind: Type) -> bool:
    """Strings of a format of their own are read from numbers too."""
    return kind.node.get("type") == "string" and kind.node.get("format", "byte") != "byte"


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def defaulted(value: Any, kind: Type) -> None:
    """Fill in the schema's defaults, in place, for nulls that may not be null too."""
    if isinstance(value, list):
        for item in value:
            defaulted(item, kind.item)
    elif isinstance(value, dict):
        for name, default in kind.defaults.items():
            if name not in value or (value[name] is None and kind.drops_null(name)):
                value[name] = copy.deepcopy(default) if isinstance(default, dict | list) else default
        for name, child in value.items():
            if isinstance(child, dict | list) and (below := kind.child(name)):
                defaulted(child, below)


def violations(value: Any, kind: Type, path: str = "") -> Iterator[Cause]:
    """Every way in which `value` breaks its schema, first things first."""
    node = kind.node
    if value is None:
        if not node.get("nullable") and node.get("type"):
            yield _wrong_type(path, value, node["type"])
        return
    expected = node.get("type")
    if node.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield _wrong_type(path, value, "integer or string")
            return
    elif expected and not _is_a(value, expected):
        yield _wrong_type(path, value, expected)
        return
    if kind.ruled:
        yield from _broken_rules(value, node, path)
    if isinstance(value, dict):
        yield from _object_violations(value, kind, path)
    elif isinstance(value, list):
        yield from _list_violations(value, kind, path)


def _is_a(value: Any, expected: str) -> bool:
    if isinstance(value, bool):
        return expected == "boolean"
    return isinstance(value, PYTHON_TYPES[expected]) or (
        expected == "integer" and isinstance(value, float) and value.is_integer()
    )


def _wrong_type(path: str, value: Any, expected: str) -> Cause:
    shown = "null" if value is None else orjson.dumps(_type_name(value)).decode()
    message = f"Invalid value: {shown}: {path or '<root>'} in body must be of type {expected}: {shown}"
    return cause("FieldValueTypeInvalid", path or "<root>", message)


def _type_name(value: Any) -> str:
    return next((name for name in PYTHON_TYPES if _is_a(value, name)), "null")


def _object_violations(value: dict[str, Any], kind: Type, path: str) -> Iterator[Cause]:
    for name in kind.required:
        if name not in value:
            yield cause("FieldValueRequired", f"{path}.{name}".lstrip("."), "Required value")
    for name, child in value.items():
        below = kind.child(name)
        if below is not None:
            yield from violations(child, below, f"{path}.{name}".lstrip("."))


def _list_violations(value: list[Any], kind: Type, path: str) -> Iterator[Cause]:
    seen = set()
    for index, item in enumerate(value):
        where = f"{path}[{index}]"
        yield from violations(item, kind.item, where)
        if (kind.keys and "x-kubernetes-patch-merge-key" not in kind.node) or kind.unique:
            key = item_key(item, kind)
            if key in seen:
                shown = key.partition(":")[2]
                yield cause("FieldValueDuplicate", where, f"Duplicate value: {shown}")
            seen.add(key)


NUMBER = (int, float)
RULES: Mapping[str, tuple[type | tuple[type, ...], Callable[[Any, Any], bool], str]] = {
    "minimum": (NUMBER, lambda v, limit: v >= limit, "should be greater than or equal to {}"),
    "maximum": (NUMBER, lambda v, limit: v <= limit, "should be less than or equal to {}"),
    "multipleOf": (NUMBER, lambda v, step: v % step == 0, "should be a multiple of {}"),
    "minLength": (str, lambda v, limit: len(v) >= limit, "should be at least {} chars long"),
    "maxLength": (str, lambda v, limit: len(v) <= limit, "should be at most {} chars long"),
    "pattern": (str, lambda v, pattern: re.search(pattern, v) is not None, "should match '{}'"),
    "minItems": (list, lambda v, limit: len(v) >= limit, "should have at least {} items"),
    "maxItems": (list, lambda v, limit: len(v) <= limit, "should have at most {} items"),
    "minProperties": (dict, lambda v, limit: len(v) >= limit, "should have at least {} properties"),
    "maxProperties": (dict, lambda v, limit: len(v) <= limit, "should have at most {} properties"),
}
COMBINATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "allOf": lambda value, options: all(_fits(value, o) for o in options),
    "anyOf": lambda value, options: any(_fits(value, o) for o in options),
    "oneOf": lambda value, options: sum(_fits(value, o) for o in options) == 1,
    "not": lambda value, option: not _fits(value, option),
}


def _broken_rules(value: Any, node: Mapping[str, Any], path: str) -> Iterator[Cause]:
    shown = orjson.dumps(value).decode()
    if "enum" in node and value not in node["enum"]:
        supported = ", ".join(orjson.dumps(v).decode() for v in node["enum"])
        message = f"Unsupported value: {shown}: supported values: {supported}"
        yield cause("FieldValueNotSupported", path, message)
    for name, (types, holds, text) in RULES.items():
        if name in node and isinstance(value, types) and not holds(value, node[name]):
            message = f"Invalid value: {shown}: {path} in body {text.format(node[name])}"
            yield cause("FieldValueInvalid", path, message)
    for word, holds in COMBINATIONS.items():
        if word in node and not holds(value, node[word]):
            message = f"Invalid value: {path} in body must validate {word} of the given schemas"
            yield cause("FieldValueInvalid", path, message)


def _fits(value: Any, node: Mapping[str, Any]) -> bool:
    """Whether a value-validation-only schema holds; such schemas declare no structure of their own."""
    expected = node.get("type")
    if (expected and not _is_a(value, expected)) or any(_broken_rules(value, node, "")):
        return False
    if not isinstance(value, dict):
        return True
    below = node.get("properties") or {}
    return all(name in value for name in node.get("required", ())) and all(
        _fits(value[name], below[name]) for name in below if name in value
    )


def rule_violations(value: Any, old: Any, kind: Type, path: str = "") -> Iterator[Cause]:
    """CEL rules that do not hold; `old` is None where the value has no known predecessor."""
    for rule in kind.rules:
        if why := rule.failure(value, old):
            yield cause(rule.reason, path or "<nil>", f'Invalid value: "{_type_name(value)}": {why}')
    if isinstance(value, dict):
        for name, child in value.items():
            below = kind.child(name)
            if below is not None and below.guarded:
                was = old.get(name) if isinstance(old, dict) else None
                yield from rule_violations(child, was, below, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list) and kind.item.guarded:
        before = keyed(old, kind) if kind.keys and isinstance(old, list) else {}
        for index, item in enumerate(value):
            was = before.get(item_key(item, kind)) if before else None
            yield from rule_violations(item, was, kind.item, f"{path}[{index}]")
