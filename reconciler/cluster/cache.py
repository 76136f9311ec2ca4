"""The cluster in memory: lists and watches of several selections, and what our own writes answered."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .client import Client
from .feed import Feed, Selection
from .kinds import key_of
from .memory import OnChange

__all__ = ["Cache", "Selection"]


class Cache:
    """Trimmed plain JSON by key. Selections of one kind must not overlap.

    Manifests belong to the cache: read them, never change them. `on_change` is told of changes of
    content only; `on_state` of changes of `unseen`. Both are called in the event loop and must be quick.
    """

    def __init__(
        self,
        client: Client,
        selections: Sequence[Selection],
        on_change: OnChange,
        on_state: Callable[[], None] | None = None,
        *,
        retry_seconds: float = 30.0,
    ) -> None:
        told = on_state or (lambda: None)
        self._feeds = [Feed(client, each, on_change, told, retry_seconds) for each in selections]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins, and returns at once."""
        self._tasks = [asyncio.create_task(feed.run(), name=str(feed.selection)) for feed in self._feeds]

    async def synced(self) -> None:
        """Waits until every selection has been listed once or is `unseen`."""
        for feed in self._feeds:
            await feed.tried.wait()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def get(self, key: ObjectKey) -> Manifest | None:
        for feed in self._of(key.kind):
            if key in feed.memory.objects:
                return feed.memory.objects[key]
        return None

    def of_kind(self, kind: str) -> Iterable[Manifest]:
        return chain.from_iterable(feed.memory.objects.values() for feed in self._of(kind))

    def note(self, manifest: Manifest) -> None:
        """The answer to a write of ours, so that it is read back before the watch tells of it."""
        for feed in self._of(key_of(manifest).kind):
            if feed.selection.holds(manifest):
                feed.memory.note(manifest)

    def forget(self, key: ObjectKey, uid: str) -> None:
        """After the server confirmed that the object we deleted is gone."""
        for feed in self._of(key.kind):
            feed.memory.forget(key, uid)

    @property
    def unseen(self) -> Mapping[str, str]:
        """Kinds that cannot be read now, and why. What was read before is kept meanwhile."""
        return {feed.selection.kind: feed.why for feed in self._feeds if feed.why}

    def retry(self, kind: str) -> None:
        """Read an unseen kind again now, as after its definition was installed."""
        for feed in self._of(kind):
            feed.retry()

    def lag_seconds(self, kind: str) -> float:
        """Time since the last sign of life of the kind's watch; bookmarks come about once a minute."""
        now = time.monotonic()
        return max((now - feed.last_sign for feed in self._of(kind)), default=0.0)

    def _of(self, kind: str) -> list[Feed]:
        return [feed for feed in self._feeds if feed.selection.kind == kind]
