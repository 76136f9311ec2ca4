"""The `vllm` map of Kaito's `inference_config.yaml`, read as typed options of `vllm serve`.

Kaito's own server appends `--key str(value)`, so that booleans become `--key True`, which vLLM refuses, and
nested values are no JSON. Here every value keeps its type, and what cannot work is refused with its line.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn, TypeAlias

import yaml
from artifacts.errors import RuntimeFailure

NAME = "inference_config.yaml"
MAX_BYTES = 256 * 1024
"""A quarter of what a ConfigMap can hold."""
MAX_DEPTH = 20

Value: TypeAlias = bool | int | float | str | list[object] | dict[str, object]

_SECTIONS = ("vllm", "max_probe_steps", "kv_cache_cpu_memory_utilization")
_KEY = re.compile(r"[a-z0-9][a-z0-9.-]*")
_OURS = "the workspace decides it; remove the line"
_BEHIND = "vLLM listens behind a proxy of ours, on loopback; remove the line"
_RESERVED = {
    "model": _OURS,
    "model-tag": _OURS,
    "enable-lora": "it follows from the workspace's adapters; remove the line",
    "lora-modules": "name adapters in the workspace's inference.adapters; remove the line",
    "config": "write vLLM's options here instead",
    "headless": _BEHIND,
    "host": _BEHIND,
    "port": _BEHIND,
    "uds": _BEHIND,
    "root-path": _BEHIND,
    "ssl-keyfile": _BEHIND,
    "ssl-certfile": _BEHIND,
    "ssl-ca-certs": _BEHIND,
    "ssl-cert-reqs": _BEHIND,
}


def read(path: Path) -> dict[str, Value]:
    """Options by name, with dashes; none where there is no such file. Raises RuntimeFailure with the line."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    if len(text) > MAX_BYTES:
        _refuse(1, f"the file has {len(text)} bytes", f"write at most {MAX_BYTES}")
    try:
        return dict(_options(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        _refuse(
            mark.line + 1 if mark else 1, f"not YAML: {getattr(error, 'problem', error)}", "mend the line"
        )
    except ValueError as error:
        _refuse(1, f"not readable: {error}", "write plain values")


def flags(options: Mapping[str, Value]) -> list[str]:
    """As `vllm serve` reads them: `--key`, `--no-key`, `--key=value`, `--key a b`, nested values as JSON."""
    return [part for key, value in options.items() for part in _flag(key, value)]


def _flag(key: str, value: Value) -> list[str]:
    if isinstance(value, bool):
        return [f"--{key}" if value else f"--no-{key}"]
    if isinstance(value, list):
        return [f"--{key}", *(_text(each) for each in value)]
    return [f"--{key}={_text(value)}"]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _options(text: bytes) -> Iterator[tuple[str, Value]]:
    _check_shape(text)
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        vllm = _section(root) if root is not None else None
        lines: dict[str, int] = {}
        for key_node, value_node in vllm.value if vllm is not None else ():
            line, key = key_node.start_mark.line + 1, _key(key_node)
            if key in lines:
                _refuse(line, f"{key} stands on line {lines[key]} already", "keep one of the two")
            lines[key] = line
            yield key, _value(line, key, loader.construct_object(value_node, deep=True))
    finally:
        loader.dispose()


def _check_shape(text: bytes) -> None:
    """Before anything is built: what is deep or refers back can take a reader minutes and gigabytes."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            _refuse(line, f"values are nested more than {MAX_DEPTH} deep", "write shallower ones")
        if isinstance(event, yaml.AliasEvent):
            _refuse(line, "aliases (*) are not read", "write the value out")


def _section(root: yaml.Node) -> yaml.MappingNode | None:
    if not isinstance(root, yaml.MappingNode):
        _refuse(1, "the file is no mapping", "write 'vllm:' and options below it")
    found: yaml.MappingNode | None = None
    for key_node, value_node in root.value:
        line, name = key_node.start_mark.line + 1, str(key_node.value)
        if name not in _SECTIONS:
            near = difflib.get_close_matches(name, _SECTIONS, 1)
            _refuse(line, f"unknown key {name}", f"did you mean {near[0]}?" if near else "remove it")
        if name != "vllm" or (
            isinstance(value_node, yaml.ScalarNode) and value_node.value in ("", "null", "~")
        ):
            continue
        if not isinstance(value_node, yaml.MappingNode):
            _refuse(line, "vllm must be a mapping", "write one option on each line")
        found = value_node
    return found


def _key(node: yaml.Node) -> str:
    line, key = node.start_mark.line + 1, str(node.value).replace("_", "-").removeprefix("--")
    if not isinstance(node, yaml.ScalarNode) or not _KEY.fullmatch(key):
        _refuse(
            line, f"{key[:60]!r} is no option", "write the name as in vLLM's manual, without dashes before it"
        )
    # argparse takes an option's beginning for the option.
    for reserved, remedy in _RESERVED.items():
        if key == reserved or reserved.startswith(key) or key == f"no-{reserved}":
            _refuse(line, f"{key} may not be set", remedy)
    return key


def _value(line: int, key: str, value: object) -> Value:
    if value is None or value == []:
        _refuse(line, f"{key} has no value", "write one, or remove the line")
    if isinstance(value, list):
        for each in value:
            if isinstance(each, str) and each.startswith("-"):
                _refuse(
                    line, f"{key} lists {each!r}, which reads as an option", "write it on a line of its own"
                )
    if not isinstance(value, bool | int | float | str | list | dict):
        _refuse(line, f"{key} is a {type(value).__name__}", "put the text in quotes")
    try:
        json.dumps(value)
    except TypeError:
        _refuse(line, f"{key} holds what JSON cannot say", "put dates in quotes, and use texts as keys")
    return value


def _refuse(line: int, what: str, remedy: str) -> NoReturn:
    raise RuntimeFailure("BadConfig", f"{NAME}, line {line}: {what}", remedy)
