"""Binds pods to nodes, one decision at a time.

A pod that fits nowhere waits until a node comes, changes or has more room that it could use.
"""

from collections import defaultdict

from reconciler.dev.clock import Pace
from reconciler.dev.objects import condition, deleting, finished, uid_of
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .demand import demand_of, requests_of
from .rooms import Label, Rooms


class Scheduler:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self._pace = pace
        self._rooms = Rooms()
        self._parked: dict[Label | None, dict[ObjectKey, None]] = defaultdict(dict)
        self.queue: WorkQueue[ObjectKey] = WorkQueue(self._schedule, pace, lanes=8)
        view.subscribe("Node", self._heed_node)
        view.subscribe("Pod", self._heed_pod)

    def _heed_node(self, key: ObjectKey, _: Manifest | None, node: Manifest | None) -> None:
        if node is None:
            self._rooms.drop_node(key.name)
        else:
            self._rooms.set_node(node)
            self._wake(key.name)

    def _heed_pod(self, key: ObjectKey, old: Manifest | None, pod: Manifest | None) -> None:
        if old and (pod is None or uid_of(pod) != uid_of(old) or finished(pod)):
            self._wake(self._rooms.release(uid_of(old)))
        if pod is None or finished(pod):
            return
        if node := pod["spec"].get("nodeName"):
            self._rooms.place(uid_of(pod), node, requests_of(pod["spec"]))
        elif old is None or uid_of(old) != uid_of(pod):
            self.queue.add(key)

    def _wake(self, node: str) -> None:
        """Those that may fit now that `node` came, changed or has more room."""
        if not node:
            return
        for label in (None, *self._rooms.labels(node)):
            for key in self._parked.pop(label, ()):
                self.queue.add(key)

    async def _schedule(self, key: ObjectKey) -> None:
        pod = self._view.get(key)
        if pod is None or pod["spec"].get("nodeName") or deleting(pod):
            return
        demand = demand_of(pod)
        node, why = self._rooms.choose(demand)
        if node:
            self._rooms.place(uid_of(pod), node, demand.requests)
            await self._bind(key, pod, node)
            return
        labels = self._rooms.keys(demand)
        for label in (None,) if labels is None else labels:
            self._parked[label][key] = None
        await self._explain(pod, why)

    async def _bind(self, key: ObjectKey, pod: Manifest, node: str) -> None:
        try:
            await self._view.patch(key, {"spec": {"nodeName": node}})
        except Exception:
            self._rooms.release(uid_of(pod))
            raise

    async def _explain(self, pod: Manifest, why: str) -> None:
        was = condition(pod, "PodScheduled") or {}
        if was.get("message") == why:
            return
        said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
        since = was.get("lastTransitionTime") or self._pace.stamp()
        await self._view.set_status(pod, {"conditions": [said | {"lastTransitionTime": since}]})
