"""StatefulSet: pods with stable names, one after the other unless the policy is Parallel.

An update replaces pods from the highest ordinal down, each once all others are ready. Volume claim
templates are not modelled.
"""

from reconciler.dev.clock import Pace
from reconciler.dev.objects import deleting, finished, ready
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .pods import new_pod, template_hash

REVISION = "controller-revision-hash"


class StatefulSets:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self.queue: WorkQueue[ObjectKey] = WorkQueue(self._reconcile, pace)
        view.feed("StatefulSet", self.queue, owned=("Pod",))

    async def _reconcile(self, key: ObjectKey) -> None:
        owner = self._view.get(key)
        if owner is None or deleting(owner):
            return
        revision = f"{key.name}-{template_hash(owner['spec']['template'])}"
        pods = {_ordinal(pod): pod for pod in self._view.controlled(owner, "Pod")}
        if not await self._shrink(owner, pods):
            await self._grow(owner, pods, revision)
            await self._renew(owner, pods, revision)
        await self._report(owner, pods, revision)

    async def _shrink(self, owner: Manifest, pods: dict[int, Manifest]) -> bool:
        """Gives up pods that are too many or finished; true while an ordered step is awaited."""
        surplus = sorted((n for n in pods if n >= _replicas(owner)), reverse=True)
        for ordinal in surplus if _parallel(owner) else surplus[:1]:
            await self._give_up(pods, ordinal)
        for ordinal in [n for n, pod in pods.items() if finished(pod)]:
            await self._give_up(pods, ordinal)
        return bool(surplus) and not _parallel(owner)

    async def _give_up(self, pods: dict[int, Manifest], ordinal: int) -> None:
        """It stays in `pods` until it is gone, for its name is taken until then."""
        if not deleting(pods[ordinal]):
            await self._view.delete(pods[ordinal])

    async def _grow(self, owner: Manifest, pods: dict[int, Manifest], revision: str) -> None:
        for ordinal in range(_replicas(owner)):
            if ordinal not in pods:
                pods[ordinal] = await self._view.create(_pod(owner, ordinal, revision))
            if not ready(pods[ordinal]) and not _parallel(owner):
                return

    async def _renew(self, owner: Manifest, pods: dict[int, Manifest], revision: str) -> None:
        strategy = owner["spec"].get("updateStrategy") or {}
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return
        first = int((strategy.get("rollingUpdate") or {}).get("partition", 0))
        old = [n for n, pod in pods.items() if n >= first and not _is_of(pod, revision)]
        broken = [n for n in old if not ready(pods[n])]
        if broken or (old and all(ready(pod) and not deleting(pod) for pod in pods.values())):
            await self._give_up(pods, max(broken or old))

    async def _report(self, owner: Manifest, pods: dict[int, Manifest], revision: str) -> None:
        good = sum(ready(pod) and not deleting(pod) for pod in pods.values())
        updated = sum(_is_of(pod, revision) for pod in pods.values())
        done = updated == len(pods) == _replicas(owner) == good
        before = owner.get("status", {}).get("currentRevision") or revision
        status = {
            "observedGeneration": owner["metadata"].get("generation", 1),
            "replicas": len(pods),
            "readyReplicas": good,
            "availableReplicas": good,
            "updatedReplicas": updated,
            "currentReplicas": sum(_is_of(pod, before) for pod in pods.values()),
            "currentRevision": revision if done else before,
            "updateRevision": revision,
        }
        await self._view.set_status(owner, status)


def _pod(owner: Manifest, ordinal: int, revision: str) -> Manifest:
    name = f"{owner['metadata']['name']}-{ordinal}"
    labels = {
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(ordinal),
        REVISION: revision,
    }
    pod = new_pod(owner, name, labels)
    pod["spec"] |= {"hostname": name, "subdomain": owner["spec"].get("serviceName", "")}
    return pod


def _ordinal(pod: Manifest) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


def _is_of(pod: Manifest, revision: str) -> bool:
    return bool((pod["metadata"].get("labels") or {}).get(REVISION) == revision)


def _replicas(owner: Manifest) -> int:
    return int(owner["spec"].get("replicas", 1))


def _parallel(owner: Manifest) -> bool:
    return bool(owner["spec"].get("podManagementPolicy") == "Parallel")
