"""The cluster as controllers, scheduler and node agent see and change it.

One watch cache is shared by all of them, with two indexes: what an object controls, and which pods a
node has. What is written shows here at once, before the watch says so.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from reconciler.cluster.cache import Cache, Selection
from reconciler.cluster.client import Client
from reconciler.errors import NotFound
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .objects import controller_of, key_of, uid_of
from .workqueue import WorkQueue

NODE_KINDS = ("Node", "ConfigMap", "Pod")
"""What the node agent looks at."""
KINDS = (*NODE_KINDS, "Deployment", "ReplicaSet", "StatefulSet", "Job")
Heed = Callable[[ObjectKey, Manifest | None, Manifest | None], None]


class View:
    """Made, subscribed to, then started."""

    def __init__(self, client: Client, kinds: Iterable[str] = KINDS) -> None:
        self.client = client
        self._cache = Cache(client, [Selection(kind, whole=True) for kind in kinds], self._heed)
        self._heeding: dict[str, list[Heed]] = defaultdict(list)
        self._controlled: dict[str, dict[ObjectKey, None]] = defaultdict(dict)
        self._bound: dict[str, dict[ObjectKey, None]] = defaultdict(dict)

    async def start(self) -> None:
        """Returns once everything that the server knows is listed."""
        await self._cache.start()
        await self._cache.synced()

    async def close(self) -> None:
        await self._cache.close()

    def subscribe(self, kind: str, heed: Heed) -> None:
        """`heed(key, old, new)` is called for every change; it must be quick."""
        self._heeding[kind].append(heed)

    def feed(self, kind: str, queue: WorkQueue[ObjectKey], owned: Sequence[str] = ()) -> None:
        """Queues every object of `kind` that changed, or controls one of the kinds `owned` that did."""

        def heed_owned(key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
            owner = controller_of(new or old or {"metadata": {}})
            if owner and owner["kind"] == kind:
                queue.add(ObjectKey(kind, key.namespace, owner["name"]))

        self.subscribe(kind, lambda key, _, new: queue.add(key) if new else None)
        for each in owned:
            self.subscribe(each, heed_owned)

    def _heed(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        self._index(key, old, new)
        for heed in self._heeding[key.kind]:
            heed(key, old, new)

    def _index(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        for index, value in ((self._controlled, _owner_uid), (self._bound, _node_name)):
            before, after = old and value(old), new and value(new)
            if before and before != after:
                index[before].pop(key, None)
                if not index[before]:
                    del index[before]
            if after:
                index[after][key] = None

    def get(self, key: ObjectKey) -> Manifest | None:
        return self._cache.get(key)

    def of_kind(self, kind: str) -> Iterable[Manifest]:
        return self._cache.of_kind(kind)

    def controlled(self, owner: Manifest, kind: str) -> list[Manifest]:
        """What `owner` controls, of one kind."""
        keys = self._controlled.get(uid_of(owner), {})
        return [found for key in keys if key.kind == kind and (found := self.get(key))]

    def pods_on(self, node: str) -> list[Manifest]:
        return [found for key in self._bound.get(node, {}) if (found := self.get(key))]

    async def create(self, manifest: Manifest) -> Manifest:
        created = await self.client.create(manifest)
        self._cache.note(created)
        return created

    async def patch(self, key: ObjectKey, body: dict[str, Any], subresource: str = "") -> None:
        """A merge patch; an object that is gone is left at that."""
        try:
            self._cache.note(await self.client.merge_patch(key, body, subresource=subresource))
        except NotFound:
            return

    async def set_status(self, manifest: Manifest, status: dict[str, Any]) -> None:
        """Writes the fields that differ; None removes one."""
        now = manifest.get("status") or {}
        changed = {name: value for name, value in status.items() if now.get(name) != value}
        if changed:
            await self.patch(key_of(manifest), {"status": changed}, "status")

    async def delete(self, manifest: Manifest, *, at_once: bool = False) -> None:
        """`at_once` skips a pod's grace period."""
        key, uid = key_of(manifest), uid_of(manifest)
        await self.client.delete(key, uid=uid, grace_seconds=0 if at_once else None)
        if at_once or key.kind != "Pod":
            self._cache.forget(key, uid)


def _owner_uid(manifest: Manifest) -> str:
    owner = controller_of(manifest)
    return owner["uid"] if owner else ""


def _node_name(manifest: Manifest) -> str:
    return str(manifest["spec"].get("nodeName", "")) if manifest["kind"] == "Pod" else ""
