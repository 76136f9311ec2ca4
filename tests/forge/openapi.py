"""Requests to GitHub against GitHub's own description of them (`tests/data/forge/github_requests.json`)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from reconciler.dev.forge.standin import Asked

DATA = Path(__file__).parents[1] / "data" / "forge" / "github_requests.json"
OPERATIONS: dict[str, Any] = json.loads(DATA.read_text())["operations"]
PATTERNS = {name: re.compile(re.sub(r"\{\w+\}", "[^/]+", name) + "$") for name in OPERATIONS}


def faults(asked: Asked) -> Iterator[str]:
    """What GitHub's description has against a request."""
    line = f"{asked.method} {asked.path.removeprefix('/api/v3')}"
    found = [name for name, pattern in PATTERNS.items() if pattern.match(line)]
    if not found:
        yield f"{line}: no such operation"
        return
    operation = OPERATIONS[found[0]]
    for name, value in asked.query.items():
        if name not in operation["query"]:
            yield f"{line}: no parameter {name}"
            continue
        schema = operation["query"][name]
        yield from _faults(line, schema, int(value) if schema.get("type") == "integer" else value)
    if "body" in operation:
        unknown = set(asked.body) - set(operation["body"]["properties"])
        yield from (f"{line}: no property {name}" for name in unknown)
        yield from _faults(line, operation["body"], asked.body)


def _faults(line: str, schema: dict[str, Any], value: Any) -> Iterator[str]:
    for error in Draft202012Validator(schema).iter_errors(value):
        yield f"{line}: {error.message}"
