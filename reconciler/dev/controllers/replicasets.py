"""ReplicaSet: as many pods as asked for."""

import math

from reconciler.dev.clock import Pace
from reconciler.dev.objects import key_of
from reconciler.dev.view import View
from reconciler.model.world import Manifest

from .pods import cheapest_first, new_pod, readiness, replicas_of, standing, suffixed

NAME = "replicaset-controller"


class ReplicaSets:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self._pace = pace
        self.queue = view.controller("ReplicaSet", self._reconcile, pace, owned=("Pod",))

    async def _reconcile(self, owner: Manifest) -> None:
        pods = standing(self._view.controlled(owner, "Pod"))
        surplus = len(pods) - replicas_of(owner)
        for _ in range(-surplus):
            name = suffixed(owner["metadata"]["name"])
            pods.append(await self._view.create(new_pod(owner, name, {})))
            await self._view.tell(owner, "SuccessfulCreate", f"Created pod: {name}", NAME)
        for pod in cheapest_first(pods)[: max(surplus, 0)]:
            await self._view.delete(pod)
            pods.remove(pod)
            told = f"Deleted pod: {pod['metadata']['name']}"
            await self._view.tell(owner, "SuccessfulDelete", told, NAME)
        counted, wait = readiness(pods, owner, self._pace.now())
        if wait < math.inf:
            self.queue.add_after(key_of(owner), wait)
        total = {"replicas": len(pods), "fullyLabeledReplicas": len(pods)}
        await self._view.set_status(owner, counted | total)
