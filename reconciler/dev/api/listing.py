"""Lists and watches: pages of records, and the events that follow them."""

import asyncio
import base64
import bisect
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import orjson

from reconciler.dev.api.admission import Call
from reconciler.dev.api.errors import ApiError, expired
from reconciler.dev.api.kinds import Resource
from reconciler.dev.api.selectors import selection
from reconciler.dev.api.store import Event, Object, Record, Store, Table, Watcher
from reconciler.dev.api.verbs import shown

TRUE = ("1", "t", "T", "true", "TRUE", "True")
BOOKMARK_SECONDS = 30.0
BOOKMARK_LEAD = 2.0
"""A watch hears a bookmark this long before it ends, as long as nothing else happens."""


@dataclass(frozen=True)
class Page:
    records: list[Record]
    metadata: Object


def page(store: Store, call: Call) -> Page:
    """The records a list asks for. Raises 400, 410 and 504."""
    table = store.table(call.resource.key)
    selected = selection(call.resource, call.params)
    version, after = _start(store, table, call)
    records = table.select(call.namespace or None, None if version == store.version else version)
    if after:
        records = records[bisect.bisect_right(records, after, key=lambda record: record.key) :]
    if selected is not None:
        records = [record for record in records if selected(record)]
    metadata: Object = {"resourceVersion": str(version)}
    limit = _number(call.params, "limit")
    if limit and len(records) > limit:
        if selected is None:
            metadata["remainingItemCount"] = len(records) - limit
        records = records[:limit]
        metadata["continue"] = _token(version, records[-1])
    return Page(records, metadata)


def _start(store: Store, table: Table, call: Call) -> tuple[int, tuple[str, ...]]:
    """The version a list shows and the key it starts after."""
    after: list[str] = []
    if token := call.params.get("continue"):
        try:
            wanted, *after = orjson.loads(base64.urlsafe_b64decode(token))
        except ValueError as error:
            raise ApiError(400, "continue key is not valid") from error
    else:
        wanted = _number(call.params, "resourceVersion")
        _refuse_future(store, wanted)
        if call.params.get("resourceVersionMatch") != "Exact":
            return store.version, ()
    if wanted < table.floor:
        raise expired(f"too old resource version: {wanted} ({table.floor})")
    return wanted, tuple(after)


def _token(version: int, last: Record) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([version, *last.key])).decode()


def _number(params: Mapping[str, str], name: str) -> int:
    text = params.get(name) or "0"
    if not text.isdigit():
        raise ApiError(400, f'invalid {name}: "{text}"')
    return int(text)


def _refuse_future(store: Store, version: int) -> None:
    if version > store.version:
        error = ApiError(504, f"Too large resource version: {version}, current: {store.version}")
        error.retry_after = 1
        raise error


def list_body(resource: Resource, found: Page) -> bytes:
    """Items of built-in lists carry no apiVersion and kind, as on a real server."""
    head = orjson.dumps(
        {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": found.metadata}
    )
    if resource.custom:
        opening, items = b"", [memoryview(shown(resource, record)) for record in found.records]
    else:
        skipped = len(orjson.dumps({"apiVersion": resource.api_version, "kind": resource.kind})[:-1]) + 1
        opening, items = b"{", [memoryview(record.raw)[skipped:] for record in found.records]
    pieces = [piece for item in items for piece in (b"," + opening, item)]
    pieces[:1] = [opening] if items else []
    return b"".join((head[:-1], b',"items":[', *pieces, b"]}"))  # slices are not copied before


class Encoder:
    """How objects appear in watch events: as they are. Tables have their own."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    def object(self, record: Record) -> bytes:
        return shown(self.resource, record)

    def bookmark(self, version: int, *, initial: bool) -> bytes:
        metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
        if initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        return orjson.dumps(
            {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": metadata}
        )


def frame(kind: str, body: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"


class Watch:
    """One watch, registered on construction; iterate it for chunks of frames. Raises 400 and 504."""

    def __init__(self, store: Store, call: Call, encoder: Encoder) -> None:
        self._store = store
        self._table = store.table(call.resource.key)
        self._namespace = call.namespace
        self._selected = selection(call.resource, call.params)
        self._encoder = encoder
        self._bookmarks = call.params.get("allowWatchBookmarks") in TRUE
        self._initial = call.params.get("sendInitialEvents") in TRUE
        self._timeout = _number(call.params, "timeoutSeconds") or 3600
        since = _number(call.params, "resourceVersion")
        _refuse_future(store, since)
        self._watcher = Watcher()
        self._backlog = list(self._replay(since))
        self._table.watchers.add(self._watcher)

    def _replay(self, since: int) -> Iterator[bytes]:
        """Frames for what is before now: existing objects, or the events after `since`."""
        if since and not self._initial and since < self._table.floor:
            yield frame("ERROR", orjson.dumps(expired(f"too old resource version: {since}").status()))
            self._watcher.queue.put_nowait(None)
            return
        if since and not self._initial:
            recent = []
            for event in reversed(self._table.log):
                if event.record.version <= since:
                    break
                recent.append(event)
            yield from filter(None, map(self._frame_of, reversed(recent)))
            return
        for record in self._table.select(self._namespace or None):
            if self._selected is None or self._selected(record):
                yield frame("ADDED", self._encoder.object(record))
        if self._initial and self._bookmarks:
            yield frame("BOOKMARK", self._encoder.bookmark(self._store.version, initial=True))

    def _frame_of(self, event: Event) -> bytes | None:
        """The event as this watch sees it: entering its selection is ADDED, leaving is DELETED."""
        if self._namespace and event.record.key[0] != self._namespace:
            return None
        selected = self._selected
        if selected is None:
            return frame(event.type, self._encoder.object(event.record))
        was = event.before is not None and selected(event.before)
        now = event.type != "DELETED" and selected(event.record)
        if not was and not now:
            return None
        if now:
            return frame("MODIFIED" if was else "ADDED", self._encoder.object(event.record))
        return frame("DELETED", self._encoder.object(_left(event)))

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout):
                    if self._backlog:
                        yield b"".join(self._backlog)
                        self._backlog = []
                    async for chunk in self._live():
                        yield chunk
        finally:
            self._table.watchers.discard(self._watcher)

    async def _live(self) -> AsyncGenerator[bytes, None]:
        pause = min(BOOKMARK_SECONDS, max(self._timeout - BOOKMARK_LEAD, 1.0))
        while True:
            try:
                async with asyncio.timeout(pause if self._bookmarks else None):
                    events = [await self._watcher.queue.get()]
            except TimeoutError:
                yield frame("BOOKMARK", self._encoder.bookmark(self._store.version, initial=False))
                continue
            while not self._watcher.queue.empty():
                events.append(self._watcher.queue.get_nowait())
            frames = [self._frame_of(event) for event in events if event is not None]
            if chunk := b"".join(filter(None, frames)):
                yield chunk
            if None in events:
                return


def _left(event: Event) -> Record:
    """The last state that was selected, under the version in which it left."""
    if event.before is None or event.type == "DELETED":
        return event.record
    obj = event.before.copy()
    obj["metadata"]["resourceVersion"] = str(event.record.version)
    before = event.before
    return Record(
        orjson.dumps(obj), event.record.version, before.uid, before.key, before.labels, before.owners
    )
