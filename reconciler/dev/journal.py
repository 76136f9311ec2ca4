"""Keeps the objects of a development API server in a file of JSON lines, so that they survive a restart.

Every commit appends one line `{"resource": [group, plural], "type": "ADDED|MODIFIED|DELETED", "object": …}`
before its answer is sent. Opening the file reads it, writes it anew without what was replaced, and goes on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from .api.store import Event, ResourceKey, Store

Object = dict[str, Any]
Entry = tuple[ResourceKey, str, Object]


class Journal:
    """The journal of one store, which must be empty. Raises ValueError for a file that is none."""

    def __init__(self, path: Path, store: Store) -> None:
        entries = list(_entries(path))
        _restore(entries, store)
        lines = [_line(resource, "ADDED", raw) for resource, raw in _state(store)]
        lines += [_line(r, kind, orjson.dumps(obj)) for r, kind, obj in entries[-1:]]  # for its version
        draft = path.with_suffix(".new")
        draft.write_bytes(b"".join(lines))
        draft.replace(path)
        self._file = path.open("ab", buffering=0)
        store.listeners.append(self._append)

    def _append(self, event: Event) -> None:
        self._file.write(_line(event.resource, event.type, event.record.raw))

    def close(self) -> None:
        self._file.close()


def _restore(entries: list[Entry], store: Store) -> None:
    last = {(resource, obj["metadata"]["uid"]): (kind, obj) for resource, kind, obj in entries}
    for (resource, _), (kind, obj) in last.items():
        if kind != "DELETED":
            store.restore(resource, obj)
    if entries:
        store.version = int(entries[-1][2]["metadata"]["resourceVersion"])
        store.compact()


def _state(store: Store) -> Iterator[tuple[ResourceKey, bytes]]:
    for resource in list(store.tables):
        for record in store.records(resource):
            yield resource, record.raw


def _line(resource: ResourceKey, kind: str, raw: bytes) -> bytes:
    head = orjson.dumps({"resource": resource, "type": kind})
    return head[:-1] + b',"object":' + raw + b"}\n"


def _entries(path: Path) -> Iterator[Entry]:
    """A last line that was cut off in the middle was never answered for, and counts as not written."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith(b"\n"):
            return
        try:
            entry = orjson.loads(line)
            group, plural = entry["resource"]
            yield (group, plural), entry["type"], entry["object"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}, line {number} is no line of a journal: {error}; delete it") from error
