"""What a bare API server lacks: garbage collection by owner, namespace cleanup, cleanup of custom resources.

It follows the store's events in the order they come, as a controller manager does, so results are not
synchronous with the delete that caused them.
"""

import asyncio
import logging
from contextlib import suppress

from reconciler.dev.api import crds
from reconciler.dev.api.admission import Call
from reconciler.dev.api.deletion import FOREGROUND, ORPHAN, Deletion, must_wait
from reconciler.dev.api.errors import ApiError
from reconciler.dev.api.kinds import Resource
from reconciler.dev.api.store import Event, Object, Record, ResourceKey
from reconciler.dev.api.verbs import NAMESPACES, Verbs

LOG = logging.getLogger(__name__)
AGENT = "garbage-collector"


class GarbageCollector:
    """Runs in the server's process on the store's events."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs
        self._store = verbs.store
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._store.listeners.append(self._take)

    def start(self) -> None:
        """Goes on with what a restart interrupted."""
        for resource in list(self._store.tables):
            for record in self._store.records(resource):
                self._take(Event("ADDED", resource, record, None))
        self._task = asyncio.create_task(self._run(), name="garbage-collector")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _take(self, event: Event) -> None:
        """Definitions are served or forgotten in the tick of their commit; the rest is for later."""
        if event.resource == crds.KEY:
            self._follow_definition(event)
        if event.type == "DELETED" or b'"deletionTimestamp"' in event.record.raw or event.record.owners:
            self._events.put_nowait(event)

    def _follow_definition(self, event: Event) -> None:
        crd = event.record.copy()
        if event.type != "DELETED":
            self._verbs.registry.define(crd)
            return
        key = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        self._verbs.registry.forget(key)
        self._store.drop_watches(key)

    async def _run(self) -> None:
        while True:
            event = await self._events.get()
            try:
                self._collect(event)
            except ApiError as error:
                LOG.warning("garbage collection of %s: %s", event.record.key, error)
            await asyncio.sleep(0)

    def _collect(self, event: Event) -> None:
        obj = event.record.copy()
        deleting = "deletionTimestamp" in obj["metadata"]
        if event.type == "DELETED":
            self._release_dependents(event.record.uid)
            self._finish_waiting(event)
        elif deleting:
            self._advance(event.resource, event.record, obj)
        elif event.type == "ADDED" and not self._has_owner(event.record):
            self._delete(event.resource, event.record)

    def _has_owner(self, record: Record) -> bool:
        return any(self._store.by_uid(uid) for uid in record.owners)

    def _release_dependents(self, uid: str) -> None:
        """The owner is gone: so are dependents with no other owner."""
        for resource, record in self._store.dependents(uid):
            if not any(self._store.by_uid(other) for other in record.owners if other != uid):
                self._delete(resource, record)

    def _finish_waiting(self, event: Event) -> None:
        """Something went that an owner, a namespace or a definition may have waited for."""
        for uid in event.record.owners:
            owner = self._store.by_uid(uid)
            if owner is not None and FOREGROUND.encode() in owner[1].raw:
                self._advance(*owner, owner[1].copy())
        home = self._store.get(NAMESPACES, "", event.record.key[0])
        if home is not None and b'"Terminating"' in home.raw:
            self._advance(NAMESPACES, home, home.copy())
        name = f"{event.resource[1]}.{event.resource[0]}"
        definition = self._store.get(crds.KEY, "", name)
        if definition is not None and b'"deletionTimestamp"' in definition.raw:
            self._advance(crds.KEY, definition, definition.copy())

    def _advance(self, key: ResourceKey, record: Record, obj: Object) -> None:
        """One step of a deletion that waits for others."""
        finalizers = obj["metadata"].get("finalizers", [])
        if ORPHAN in finalizers:
            self._orphan(record.uid)
            self._without_finalizer(key, obj, ORPHAN)
        elif FOREGROUND in finalizers:
            if not self._delete_blocking(record.uid):
                self._without_finalizer(key, obj, FOREGROUND)
        elif key == NAMESPACES and not self._empty_namespace(record.key[1]):
            obj["spec"]["finalizers"] = []
            self._settle(key, obj)
        elif key == crds.KEY and crds.CLEANUP in finalizers:
            spec = obj["spec"]
            if not self._delete_all((spec["group"], spec["names"]["plural"]), None):
                self._without_finalizer(key, obj, crds.CLEANUP)

    def _orphan(self, uid: str) -> None:
        for key, record in self._store.dependents(uid):
            obj = record.copy()
            owners = [o for o in obj["metadata"]["ownerReferences"] if o["uid"] != uid]
            obj["metadata"].pop("ownerReferences")
            if owners:
                obj["metadata"]["ownerReferences"] = owners
            self._store.commit(key, obj)

    def _delete_blocking(self, uid: str) -> bool:
        """Delete the dependents; whether any still blocks its owner."""
        blocked = False
        for key, record in self._store.dependents(uid):
            references = record.copy()["metadata"]["ownerReferences"]
            blocks = any(o["uid"] == uid and o.get("blockOwnerDeletion") for o in references)
            self._delete(key, record, policy="Foreground")
            still = self._store.get(key, *record.key)
            blocked = blocked or (blocks and still is not None and still.uid == record.uid)
        return blocked

    def _empty_namespace(self, namespace: str) -> bool:
        """Delete what a namespace holds; whether anything is left."""
        keys = {r.key for r in self._verbs.registry if r.namespaced}
        left = [self._delete_all(key, namespace) for key in sorted(keys)]
        return any(left)

    def _delete_all(self, key: ResourceKey, namespace: str | None) -> bool:
        for record in self._store.records(key, namespace):
            self._delete(key, record)
        return bool(self._store.records(key, namespace))

    def _delete(self, key: ResourceKey, record: Record, policy: str = "Background") -> None:
        resource = self._verbs.registry.any_version(key)
        live = self._store.get(key, *record.key)
        if resource is None or live is None or live.uid != record.uid:
            return
        if policy == "Background" and b'"deletionTimestamp"' in live.raw:
            return
        self._verbs.delete(self._call(resource, record), Deletion(policy=policy))

    def _call(self, resource: Resource, record: Record) -> Call:
        return Call(resource, *record.key, "", {}, AGENT)

    def _without_finalizer(self, key: ResourceKey, obj: Object, finalizer: str) -> None:
        obj["metadata"]["finalizers"].remove(finalizer)
        self._settle(key, obj)

    def _settle(self, key: ResourceKey, obj: Object) -> None:
        """Commit `obj`, or remove it where nothing holds it any more."""
        resource = self._verbs.registry.any_version(key)
        if self._store.get(key, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]) is None:
            return
        if resource is not None and must_wait(resource, obj):
            self._store.commit(key, obj)
        else:
            self._store.delete(key, obj)
