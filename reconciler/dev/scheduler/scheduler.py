"""Binds pods to nodes, one decision at a time.

A pod that fits nowhere waits until a node comes, changes or has more room that it could use. What is
preferred only (`preferredDuringScheduling…`, `ScheduleAnyway`) is not looked at; nobody is preempted;
required rules between pods are not modelled, and such a pod waits for ever and says so.
"""

from collections import defaultdict

from reconciler.dev.clock import Pace
from reconciler.dev.objects import condition, deleting, finished, stated, uid_of
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .demand import demand_of, not_modelled, requests_of
from .rooms import Label, Rooms

NAME = "default-scheduler"


class Scheduler:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self._pace = pace
        self._rooms = Rooms()
        self._parked: dict[Label | None, set[ObjectKey]] = defaultdict(set)
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
        for label in (None, *self._rooms.labels(node)) if node else ():
            for key in self._parked.pop(label, ()):
                self.queue.add(key)

    async def _schedule(self, key: ObjectKey) -> None:
        pod = self._view.get(key)
        if pod is None or pod["spec"].get("nodeName") or deleting(pod):
            return
        if pod["spec"].get("schedulerName", NAME) != NAME:
            return
        if strange := not_modelled(pod):
            await self._explain(pod, f"this development cluster does not model {strange}")
            return
        demand = demand_of(pod)
        node, why = self._rooms.choose(demand)
        if not node:
            self._parked[self._rooms.key(demand)].add(key)
            await self._explain(pod, why)
            return
        self._rooms.place(uid_of(pod), node, demand.requests)
        try:
            await self._view.patch(key, {"spec": {"nodeName": node}})
        except Exception:
            self._rooms.release(uid_of(pod))
            raise
        await self._view.tell(
            pod, "Scheduled", f"Successfully assigned {key.namespace}/{key.name} to {node}", NAME
        )

    async def _explain(self, pod: Manifest, why: str) -> None:
        if (condition(pod, "PodScheduled") or {}).get("message") == why:
            return
        said = stated(pod, ("PodScheduled", "False", "Unschedulable", why), self._pace.stamp())
        others = [c for c in pod.get("status", {}).get("conditions") or [] if c["type"] != "PodScheduled"]
        await self._view.set_status(pod, {"conditions": [*others, said]})
        await self._view.tell(pod, "FailedScheduling", why, NAME, "Warning")
