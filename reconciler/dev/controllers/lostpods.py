"""Pods of lost nodes: not ready at once, evicted after a while, gone when the node is.

As in a real cluster an evicted pod stays, terminating, until its node comes back or is removed: nobody
knows whether it still runs. A Deployment replaces it meanwhile, a StatefulSet does not.
"""

from reconciler.dev.clock import Pace, epoch
from reconciler.dev.objects import condition, deleting, finished, ready, stated
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest


class LostPods:
    """Keyed by node."""

    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self._pace = pace
        self.queue: WorkQueue[ObjectKey] = WorkQueue(self._reconcile, pace)
        view.subscribe("Node", self._heed_node)
        view.subscribe("Pod", self._heed_pod)

    def _heed_node(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        if new is None or not ready(new) or (old is not None and not ready(old)):
            self.queue.add(key)

    def _heed_pod(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        node = (new or {"spec": {}})["spec"].get("nodeName")
        if node and (old is None or not old["spec"].get("nodeName")):
            self.queue.add(ObjectKey("Node", "", node))

    async def _reconcile(self, key: ObjectKey) -> None:
        node = self._view.get(key)
        if node is None:
            for pod in self._view.pods_on(key.name):
                await self._view.delete(pod, at_once=True)
            return
        lost = condition(node, "Ready")
        if lost is None or lost["status"] == "True":
            return
        left = epoch(lost["lastTransitionTime"]) + self._pace.speed.eviction_seconds - self._pace.now()
        for pod in self._view.pods_on(key.name):
            await self._mark(pod)
            if left <= 0 and not deleting(pod) and not finished(pod):
                await self._view.delete(pod)
        if left > 0:
            self.queue.add_after(key, left)

    async def _mark(self, pod: Manifest) -> None:
        if finished(pod) or not ready(pod):
            return
        words = ("Ready", "False", "NodeNotReady", "the node stopped answering")
        turned = stated(pod, words, self._pace.stamp())
        conditions = [turned if c["type"] == "Ready" else c for c in pod["status"]["conditions"]]
        status = {"conditions": conditions, "reason": "NodeLost", "message": turned["message"]}
        await self._view.set_status(pod, status)
