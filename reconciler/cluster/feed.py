"""Keeps the memory of one selection true: list, watch, and begin again whatever happens to the line."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from reconciler.errors import InvalidSpec, NotFound, ReconcilerError, Unavailable
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .client import Client
from .failures import Gone
from .kinds import key_of
from .memory import Memory, OnChange

_log = structlog.get_logger(__name__)
_SHORT = 1.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects to follow. `labels` is a selector without set operators; an empty part means all."""

    kind: str
    labels: str = ""
    namespace: str = ""
    name: str = ""
    whole: bool = False
    """Keep objects untrimmed, for those who run them rather than decide about them."""

    def __post_init__(self) -> None:
        if "(" in self.labels:
            raise InvalidSpec(f"the selector {self.labels!r} uses a set; use =, != or the key alone")

    @property
    def fields(self) -> str:
        """A field selector: access rules that name one object allow a list and a watch by it."""
        return f"metadata.name={self.name}" if self.name else ""

    def holds(self, manifest: Manifest) -> bool:
        metadata = manifest["metadata"]
        if self.namespace and metadata.get("namespace") != self.namespace:
            return False
        if self.name and metadata["name"] != self.name:
            return False
        labels = metadata.get("labels") or {}
        return all(_meets(labels, part) for part in self.labels.split(",") if part)


def _meets(labels: Mapping[str, str], requirement: str) -> bool:
    key, equals, value = requirement.replace("==", "=").partition("=")
    if not equals:
        return (key[1:] not in labels) if key.startswith("!") else key in labels
    if key.endswith("!"):
        return labels.get(key[:-1]) != value
    return labels.get(key) == value


class Feed:
    """One selection. `why` tells why it cannot be read now; empty when all is well."""

    def __init__(
        self,
        client: Client,
        selection: Selection,
        on_change: OnChange,
        on_state: Callable[[], None],
        pause: float,
    ) -> None:
        self.selection = selection
        self.memory = Memory(on_change, whole=selection.whole)
        self.why = ""
        self.tried = asyncio.Event()
        self.last_sign = time.monotonic()
        self._client = client
        self._on_state = on_state
        self._pause = pause
        self._wake = asyncio.Event()
        self._at = ""

    async def run(self) -> None:
        """Never returns; cancel it."""
        while True:
            began = time.monotonic()
            try:
                await self._read()
            except Gone:
                pause = 0.0 if time.monotonic() - began > _SHORT else _SHORT
            except ReconcilerError as error:
                lasting = isinstance(error, NotFound | InvalidSpec)
                pause = self._pause if lasting else min(self._pause, 2 * _SHORT)
                self._state("not served" if isinstance(error, NotFound) else str(error))
            except Exception as bug:
                _log.exception("watch failed", kind=self.selection.kind, reason="Bug")
                pause = self._pause
                self._state(f"Bug: {bug!r}")
            await self._wait(pause)

    def retry(self) -> None:
        """Look again now, if it was waiting to."""
        self._wake.set()

    async def _read(self) -> None:
        await self._list()
        self._state("")
        broken = False
        while True:
            began = time.monotonic()
            try:
                if await self._watch():
                    broken = False
            except (Gone, NotFound):
                raise
            except Unavailable:
                if broken:
                    raise
                broken = True  # the first break is taken up where it was; the second begins anew
            if time.monotonic() - began < _SHORT:
                await self._wait(_SHORT / 4)

    async def _list(self) -> None:
        chosen, listed = self.selection, set[ObjectKey]()
        listing = self._client.pages(
            chosen.kind, chosen.namespace, labels=chosen.labels, fields=chosen.fields
        )
        async with aclosing(listing) as pages:
            first = True
            async for items, version in pages:
                if first:
                    self.memory.begin(version)
                    self._at, first = version, False
                for item in items:
                    listed.add(key_of(item))
                    self.memory.see(item)
                self.last_sign = time.monotonic()
        self.memory.settle(listed)

    async def _watch(self) -> bool:
        """One connection; True where anything came."""
        chosen, lively = self.selection, False
        events = self._client.watch(
            chosen.kind,
            chosen.namespace,
            labels=chosen.labels,
            fields=chosen.fields,
            resource_version=self._at,
        )
        async with aclosing(events):
            async for what, manifest in events:
                lively = True
                self.last_sign = time.monotonic()
                if what == "DELETED":
                    self.memory.drop(manifest)
                elif what != "BOOKMARK":
                    self.memory.see(manifest)
                self._at = str(manifest["metadata"]["resourceVersion"])
                self.memory.progress(self._at)
        self.last_sign = time.monotonic()
        return lively

    def _state(self, why: str) -> None:
        changed, self.why = why != self.why, why
        self.tried.set()
        if changed:
            self._on_state()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds * random.uniform(0.8, 1.2)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
