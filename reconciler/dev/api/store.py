"""What the cluster holds: immutable records per resource, one resourceVersion over all, and an event log."""

import asyncio
import bisect
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

Object = dict[str, Any]
Key = tuple[str, str]
ResourceKey = tuple[str, str]
LOG_LENGTH = 10_000


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
    """`record` is the new state (of DELETED the last, with a new version), `before` the one it replaced."""

    type: str
    resource: ResourceKey
    record: Record
    before: Record | None


Listener = Callable[[Event], None]
Place = tuple[ResourceKey, Key]


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

    def select(self, namespace: str | None, version: int | None = None) -> list[Record]:
        """Records in key order, of one namespace or all (None), as of `version` ≥ floor."""
        if version is not None:
            past = self._as_of(version)
            return [past[key] for key in sorted(past) if namespace in (None, key[0])]
        keys = self._sorted = sorted(self.records) if self._sorted is None else self._sorted
        if namespace is not None:
            first, end = (bisect.bisect_left(keys, (name, "")) for name in (namespace, namespace + "\0"))
            keys = keys[first:end]
        return [self.records[key] for key in keys]

    def _as_of(self, version: int) -> dict[Key, Record]:
        """By undoing the log."""
        past = dict(self.records)
        for event in reversed(self.log):
            if event.record.version <= version:
                break
            past.pop(event.record.key, None)
            if event.before is not None:
                past[event.before.key] = event.before
        return past

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
        self.floor = 0
        self.tables: dict[ResourceKey, Table] = {}
        self.listeners: list[Listener] = []
        self._places: dict[str, Place] = {}
        self._dependents: dict[str, dict[Place, None]] = {}

    def table(self, resource: ResourceKey) -> Table:
        if resource not in self.tables:
            self.tables[resource] = Table(self.floor)
        return self.tables[resource]

    def get(self, resource: ResourceKey, namespace: str, name: str) -> Record | None:
        return self.table(resource).records.get((namespace, name))

    def records(self, resource: ResourceKey, namespace: str | None = None) -> list[Record]:
        """In key order; `None` is every namespace."""
        return self.table(resource).select(namespace)

    def dependents(self, uid: str) -> list[tuple[ResourceKey, Record]]:
        """The objects that name `uid` as an owner."""
        places = self._dependents.get(uid, {})
        return [(resource, self.table(resource).records[key]) for resource, key in places]

    def by_uid(self, uid: str) -> tuple[ResourceKey, Record] | None:
        place = self._places.get(uid)
        return None if place is None else (place[0], self.table(place[0]).records[place[1]])

    def commit(self, resource: ResourceKey, obj: Object) -> Record:
        """Store `obj` (which gets its resourceVersion) as added or modified."""
        record = self._versioned(obj)
        before = self.table(resource).records.get(record.key)
        self._publish(Event("ADDED" if before is None else "MODIFIED", resource, record, before))
        return record

    def restore(self, resource: ResourceKey, obj: Object) -> None:
        """Put `obj` back under the resourceVersion it has; no listener is told."""
        event = Event("ADDED", resource, _record(obj), None)
        self.table(resource).append(event)
        self._index(event)

    def delete(self, resource: ResourceKey, obj: Object) -> Record:
        """Remove `obj`; its last state is published with a new resourceVersion."""
        record = self._versioned(obj)
        before = self.table(resource).records[record.key]
        self._publish(Event("DELETED", resource, record, before))
        return record

    def compact(self) -> None:
        """Forget every past event, so that a watch from an older version gets 410."""
        self.floor = self.version
        for table in self.tables.values():
            table.log.clear()
            table.floor = self.version

    def drop_watches(self, resource: ResourceKey | None = None) -> None:
        """End the watches of one resource, or of all."""
        for key, table in self.tables.items():
            if resource in (None, key):
                for watcher in table.watchers:
                    watcher.queue.put_nowait(None)

    def _versioned(self, obj: Object) -> Record:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        return _record(obj)

    def _publish(self, event: Event) -> None:
        self.table(event.resource).append(event)
        self._index(event)
        for listener in self.listeners:
            listener(event)

    def _index(self, event: Event) -> None:
        place = (event.resource, event.record.key)
        for uid in event.before.owners if event.before else ():
            self._dependents[uid].pop(place, None)
            if not self._dependents[uid]:
                del self._dependents[uid]
        if event.type == "DELETED":
            del self._places[event.record.uid]
            return
        self._places[event.record.uid] = place
        for uid in event.record.owners:
            self._dependents.setdefault(uid, {})[place] = None


def _record(obj: Object) -> Record:
    metadata = obj["metadata"]
    return Record(
        raw=orjson.dumps({"apiVersion": obj["apiVersion"], "kind": obj["kind"], **obj}),
        version=int(metadata["resourceVersion"]),
        uid=metadata["uid"],
        key=(metadata.get("namespace", ""), metadata["name"]),
        labels=metadata.get("labels") or {},
        owners=tuple(owner["uid"] for owner in metadata.get("ownerReferences") or ()),
    )
