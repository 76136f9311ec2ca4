"""The cluster as controllers, scheduler and node agent see and change it.

One watch cache is shared by all of them, with indexes: what an object controls, which pods a node has,
which pods a Service means. What is written shows here at once, before the watch says so.
"""

import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from reconciler.cluster.cache import Cache, Selection
from reconciler.cluster.client import Client
from reconciler.errors import Conflict, NotFound, ReconcilerError
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .clock import Pace, timestamp
from .objects import controller_of, deleting, key_of, labels_of, selects, uid_of
from .workqueue import WorkQueue

NODE_KINDS = ("Node", "ConfigMap", "Pod")
"""What the node agent looks at."""
KINDS = (
    *NODE_KINDS,
    *("Deployment", "ReplicaSet", "StatefulSet", "Job"),
    *("Service", "EndpointSlice", "PersistentVolumeClaim"),
)
Index = Callable[[Manifest], Iterable[object]]
"""The values under which an object is found."""
Heed = Callable[[ObjectKey, Manifest | None, Manifest | None], None]


class View:
    """Made, subscribed to, then started."""

    def __init__(self, client: Client, kinds: Iterable[str] = KINDS) -> None:
        self.client = client
        self._cache = Cache(client, [Selection(kind, whole=True) for kind in kinds], self._heed)
        self._heeding: dict[str, list[Heed]] = defaultdict(list)
        self._indexed: dict[Index, dict[object, dict[ObjectKey, None]]] = {
            values: defaultdict(dict) for values in (_owner, _node, _labels, _selector)
        }

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

    def controller(
        self, kind: str, work: Callable[[Manifest], Awaitable[None]], pace: Pace, owned: Sequence[str] = ()
    ) -> WorkQueue[ObjectKey]:
        """A queue that gives `work` each living object of `kind` that it is fed."""

        async def reconcile(key: ObjectKey) -> None:
            found = self.get(key)
            if found is not None and not deleting(found):
                await work(found)

        queue: WorkQueue[ObjectKey] = WorkQueue(reconcile, pace)
        self.feed(kind, queue, owned)
        return queue

    def _heed(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        self._index(key, old, new)
        for heed in self._heeding[key.kind]:
            heed(key, old, new)

    def _index(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        for values, index in self._indexed.items():
            before = set(values(old)) if old else set()
            after = set(values(new)) if new else set()
            for value in before - after:
                del index[value][key]
                if not index[value]:
                    del index[value]
            for value in after - before:
                index[value][key] = None

    def _found(self, values: Index, value: object) -> list[Manifest]:
        return [found for key in self._indexed[values].get(value, ()) if (found := self.get(key))]

    def get(self, key: ObjectKey) -> Manifest | None:
        return self._cache.get(key)

    def of_kind(self, kind: str) -> Iterable[Manifest]:
        return self._cache.of_kind(kind)

    def controlled(self, owner: Manifest, kind: str) -> list[Manifest]:
        """What `owner` controls, of one kind."""
        return [each for each in self._found(_owner, uid_of(owner)) if each["kind"] == kind]

    def pods_on(self, node: str) -> list[Manifest]:
        return self._found(_node, node)

    def selected(self, service: Manifest) -> list[Manifest]:
        """The pods that a Service's selector means; none where it has none."""
        found = [self._found(_labels, value) for value in _selector(service)]
        return [pod for pod in min(found, key=len, default=[]) if selects(service, pod)]

    def selecting(self, pod: Manifest) -> list[Manifest]:
        """The Services that mean this pod."""
        services = (each for value in _labels(pod) for each in self._found(_selector, value))
        return list({uid_of(each): each for each in services if selects(each, pod)}.values())

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

    async def tell(
        self, about: Manifest, reason: str, message: str, source: str, type: str = "Normal"
    ) -> None:
        """An Event of an object, as `kubectl describe` shows; lost where it cannot be written."""
        metadata, at = about["metadata"], timestamp(time.time())
        name = f"{metadata['name']}.{secrets.token_hex(8)}"
        involved = {"kind": about["kind"], "apiVersion": about["apiVersion"]}
        involved |= {part: metadata[part] for part in ("name", "namespace", "uid")}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": involved,
            "type": type,
            "reason": reason,
            "message": message,
            "source": {"component": source},
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
        with suppress(ReconcilerError):
            await self.client.create(event)

    async def delete(self, manifest: Manifest, *, at_once: bool = False) -> None:
        """`at_once` skips a pod's grace period. Another object of its name stays."""
        key, uid = key_of(manifest), uid_of(manifest)
        with suppress(Conflict):
            await self.client.delete(key, uid=uid, grace_seconds=0 if at_once else None)
        if at_once or key.kind != "Pod":
            self._cache.forget(key, uid)


def _owner(manifest: Manifest) -> Iterable[object]:
    owner = controller_of(manifest)
    return [owner["uid"]] if owner else []


def _node(manifest: Manifest) -> Iterable[object]:
    node = manifest["spec"].get("nodeName") if manifest["kind"] == "Pod" else None
    return [node] if node else []


def _labels(manifest: Manifest) -> Iterable[object]:
    if manifest["kind"] != "Pod":
        return ()
    return ((manifest["metadata"]["namespace"], *each) for each in labels_of(manifest).items())


def _selector(manifest: Manifest) -> Iterable[object]:
    if manifest["kind"] != "Service":
        return ()
    wanted = manifest["spec"].get("selector") or {}
    return ((manifest["metadata"]["namespace"], *each) for each in wanted.items())
