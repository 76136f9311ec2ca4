"""What the cluster holds: immutable records per resource, one resourceVersion over all, and an event log."""

import asyncio
import bisect
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

Object = dict[str, Any]
Key = tuple[str, str]
ResourceKey = tuple[str, str]
LOG_LENGTH = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One committed object. `raw` starts with apiVersion and kind; `copy()` is the way to a dict."""

    raw: bytes
    version: int
    uid: str
    key: Key
    labels: dict[str, str]
    owners: tuple[str, ...]

    def copy(self) -> Object:
        return orjson.loads(self.raw)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """`record` is the new state (for DELETED the last one, with a new version); `before` the one it replaced."""

    type: str
    resource: ResourceKey
    record: Record
    before: Record | None


Listener = Callable[[Event], None]


class Watcher:
    """Events of one resource from the tick it was registered in; None ends it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue()


class Table:
    """The records of one resource, its recent events and those who follow them."""

    def __init__(self, floor: int) -> None:
        self.records: dict[Key, Record] = {}
        self.log: deque[Event] = deque()
        self.floor = floor
        self.watchers: set[Watcher] = set()
        self._sorted: list[Key] | None = []

    def keys(self) -> list[Key]:
        if self._sorted is None:
            self._sorted = sorted(self.records)
        return self._sorted

    def select(self, namespace: str | None) -> list[Record]:
        """Records in key order, of one namespace or (None) of all."""
        keys = self.keys()
        if namespace is not None:
            keys = keys[
                bisect.bisect_left(keys, (namespace, "")) : bisect.bisect_left(keys, (namespace + "\0", ""))
            ]
        return [self.records[key] for key in keys]

    def as_of(self, version: int) -> list[Record]:
        """Records in key order as they were at `version`, by undoing the log. Needs version ≥ floor."""
        past = dict(self.records)
        for event in reversed(self.log):
            if event.record.version <= version:
                break
            past.pop(event.record.key, None)
            if event.before is not None:
                past[event.before.key] = event.before
        return [past[key] for key in sorted(past)]

    def append(self, event: Event) -> None:
        key = event.record.key
        if event.type == "DELETED":
            del self.records[key]
            self._sorted = None
        else:
            if key not in self.records:
                self._sorted = None
            self.records[key] = event.record
        self.log.append(event)
        if len(self.log) > LOG_LENGTH:
            self.floor = self.log.popleft().record.version
        for watcher in self.watchers:
            watcher.queue.put_nowait(event)


class Store:
    """All tables. Listeners are called synchronously after every commit, in commit order."""

    def __init__(self) -> None:
        self.version = 1
        self.tables: dict[ResourceKey, Table] = {}
        self.listeners: list[Listener] = []

    def table(self, resource: ResourceKey) -> Table:
        if resource not in self.tables:
            self.tables[resource] = Table(self.version)
        return self.tables[resource]

    def get(self, resource: ResourceKey, namespace: str, name: str) -> Record | None:
        return self.table(resource).records.get((namespace, name))

    def list(self, resource: ResourceKey, namespace: str | None = None) -> list[Record]:
        return self.table(resource).select(namespace)

    def owned_by(self, uid: str) -> Iterable[tuple[ResourceKey, Record]]:
        for resource, table in list(self.tables.items()):
            for record in list(table.records.values()):
                if uid in record.owners:
                    yield resource, record

    def has_uid(self, uid: str) -> bool:
        return any(r.uid == uid for table in self.tables.values() for r in table.records.values())

    def commit(self, resource: ResourceKey, obj: Object) -> Record:
        """Store `obj` (which gets its resourceVersion) as added or modified."""
        record = self._record(obj)
        before = self.table(resource).records.get(record.key)
        self._publish(Event("ADDED" if before is None else "MODIFIED", resource, record, before))
        return record

    def delete(self, resource: ResourceKey, obj: Object) -> Record:
        """Remove `obj`; its last state is published with a new resourceVersion."""
        record = self._record(obj)
        before = self.table(resource).records[record.key]
        self._publish(Event("DELETED", resource, record, before))
        return record

    def compact(self) -> None:
        """Forget every past event, so that a watch from an older version gets 410."""
        for table in self.tables.values():
            table.log.clear()
            table.floor = self.version

    def drop_watches(self, resource: ResourceKey | None = None) -> None:
        """End the watches of one resource, or of all."""
        for key, table in self.tables.items():
            if resource in (None, key):
                for watcher in table.watchers:
                    watcher.queue.put_nowait(None)

    def _record(self, obj: Object) -> Record:
        self.version += 1
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(self.version)
        return Record(
            raw=orjson.dumps({"apiVersion": obj["apiVersion"], "kind": obj["kind"], **obj}),
            version=self.version,
            uid=metadata["uid"],
            key=(metadata.get("namespace", ""), metadata["name"]),
            labels=metadata.get("labels") or {},
            owners=tuple(owner["uid"] for owner in metadata.get("ownerReferences") or ()),
        )

    def _publish(self, event: Event) -> None:
        self.table(event.resource).append(event)
        for listener in self.listeners:
            listener(event)
