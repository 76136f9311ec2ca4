"""ReplicaSet: as many pods as asked for. `minReadySeconds` is not modelled: ready is available."""

from reconciler.dev.clock import Pace
from reconciler.dev.objects import deleting, ready
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .pods import cheapest_first, new_pod, standing, suffixed


class ReplicaSets:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self.queue: WorkQueue[ObjectKey] = WorkQueue(self._reconcile, pace)
        view.feed("ReplicaSet", self.queue, owned=("Pod",))

    async def _reconcile(self, key: ObjectKey) -> None:
        owner = self._view.get(key)
        if owner is None or deleting(owner):
            return
        pods = standing(self._view.controlled(owner, "Pod"))
        surplus = len(pods) - int(owner["spec"].get("replicas", 1))
        for _ in range(-surplus):
            pods.append(await self._view.create(new_pod(owner, suffixed(key.name), {})))
        for pod in cheapest_first(pods)[: max(surplus, 0)]:
            await self._view.delete(pod)
            pods.remove(pod)
        await self._report(owner, pods)

    async def _report(self, owner: Manifest, pods: list[Manifest]) -> None:
        good = sum(map(ready, pods))
        status = {
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": good,
            "availableReplicas": good,
            "observedGeneration": owner["metadata"].get("generation", 1),
        }
        await self._view.set_status(owner, status)
