"""Pods of lost nodes: not ready at once, and deleted once the node is gone or stays away for long."""

from reconciler.dev.clock import Pace, epoch
from reconciler.dev.objects import condition, deleting, finished, key_of, ready
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.errors import Conflict
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
        if new is None or (old is not None and ready(old) != ready(new)):
            self.queue.add(key)

    def _heed_pod(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        node = (new or {"spec": {}})["spec"].get("nodeName")
        if node and (old is None or not old["spec"].get("nodeName")):
            self.queue.add(ObjectKey("Node", "", node))

    async def _reconcile(self, key: ObjectKey) -> None:
        node = self._view.get(key)
        if node is not None and (ready(node) or condition(node, "Ready") is None):
            return
        left = self._patience(node)
        for pod in self._view.pods_on(key.name):
            if left > 0:
                await self._mark(pod)
            else:
                await self._remove(pod)
        if left > 0:
            self.queue.add_after(key, left)

    def _patience(self, node: Manifest | None) -> float:
        """Seconds until pods on it are given up."""
        since = condition(node, "Ready") if node else None
        if since is None or node is None or deleting(node):
            return 0.0
        return epoch(since["lastTransitionTime"]) + self._pace.speed.eviction_seconds - self._pace.now()

    async def _mark(self, pod: Manifest) -> None:
        if finished(pod) or not ready(pod):
            return
        turned = {
            "status": "False",
            "reason": "NodeNotReady",
            "message": "the node stopped answering",
            "lastTransitionTime": self._pace.stamp(),
        }
        conditions = [c | turned if c["type"] == "Ready" else c for c in pod["status"]["conditions"]]
        await self._view.patch(key_of(pod), {"status": {"conditions": conditions}}, "status")

    async def _remove(self, pod: Manifest) -> None:
        try:
            await self._view.delete(pod, at_once=True)
        except Conflict:
            return  # another pod has the name now
