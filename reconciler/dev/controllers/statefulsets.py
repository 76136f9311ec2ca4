"""StatefulSet: pods with stable names and claims, one after the other unless the policy is Parallel.

An update replaces pods from the highest ordinal down, each once all others are available. Claims are
retained, whatever becomes of their pod.
"""

import math

from reconciler.dev.clock import Pace
from reconciler.dev.objects import deleting, finished, key_of, labels_of, ready
from reconciler.dev.view import View
from reconciler.model.world import Manifest

from .pods import new_pod, readiness, replicas_of, template_hash, until_available

REVISION = "controller-revision-hash"
Pods = dict[int, Manifest]


class StatefulSets:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self._pace = pace
        self.queue = view.controller("StatefulSet", self._reconcile, pace, owned=("Pod",))

    async def _reconcile(self, owner: Manifest) -> None:
        revision = f"{owner['metadata']['name']}-{template_hash(owner['spec']['template'])}"
        pods = {_ordinal(pod): pod for pod in self._view.controlled(owner, "Pod")}
        if not await self._shrink(owner, pods):
            await self._grow(owner, pods, revision)
            await self._renew(owner, pods, revision)
        await self._report(owner, pods, revision)

    async def _shrink(self, owner: Manifest, pods: Pods) -> bool:
        """Gives up pods that are too many or finished; true while an ordered step is awaited."""
        surplus = sorted((n for n in pods if n >= replicas_of(owner)), reverse=True)
        for ordinal in surplus if _parallel(owner) else surplus[:1]:
            await self._give_up(pods, ordinal)
        for ordinal in [n for n, pod in pods.items() if finished(pod)]:
            await self._give_up(pods, ordinal)
        return bool(surplus) and not _parallel(owner)

    async def _give_up(self, pods: Pods, ordinal: int) -> None:
        """It stays in `pods` until it is gone, for its name is taken until then."""
        if not deleting(pods[ordinal]):
            await self._view.delete(pods[ordinal])

    async def _grow(self, owner: Manifest, pods: Pods, revision: str) -> None:
        for ordinal in range(replicas_of(owner)):
            if ordinal not in pods:
                pods[ordinal] = await self._create(owner, ordinal, revision)
            if not self._available(owner, pods[ordinal]) and not _parallel(owner):
                return

    async def _create(self, owner: Manifest, ordinal: int, revision: str) -> Manifest:
        pod = _pod(owner, ordinal, revision)
        claims = {each["metadata"]["name"]: _claim(owner, each, pod) for each in _templates(owner)}
        others = [each for each in pod["spec"].get("volumes") or [] if each["name"] not in claims]
        for name, claim in claims.items():
            others.append({"name": name, "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}})
            if self._view.get(key_of(claim)) is None:
                await self._view.create(claim)
        pod["spec"]["volumes"] = others
        made = await self._view.create(pod)
        told = f"create Pod {pod['metadata']['name']} in StatefulSet {owner['metadata']['name']} successful"
        await self._view.tell(owner, "SuccessfulCreate", told, "statefulset-controller")
        return made

    async def _renew(self, owner: Manifest, pods: Pods, revision: str) -> None:
        strategy = owner["spec"].get("updateStrategy") or {}
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return
        first = int((strategy.get("rollingUpdate") or {}).get("partition", 0))
        old = [n for n, pod in pods.items() if n >= first and not _is_of(pod, revision)]
        broken = [n for n in old if not ready(pods[n])]
        if broken or (old and all(self._available(owner, pod) for pod in pods.values())):
            await self._give_up(pods, max(broken or old))

    def _available(self, owner: Manifest, pod: Manifest) -> bool:
        return until_available(pod, owner, self._pace.now()) == 0

    async def _report(self, owner: Manifest, pods: Pods, revision: str) -> None:
        status, wait = readiness(pods.values(), owner, self._pace.now())
        if wait < math.inf:
            self.queue.add_after(key_of(owner), wait)
        updated = sum(_is_of(pod, revision) for pod in pods.values())
        done = updated == len(pods) == replicas_of(owner) == status["readyReplicas"]
        before = owner.get("status", {}).get("currentRevision") or revision
        status |= {
            "replicas": len(pods),
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


def _templates(owner: Manifest) -> list[Manifest]:
    return owner["spec"].get("volumeClaimTemplates") or []


def _claim(owner: Manifest, template: Manifest, pod: Manifest) -> Manifest:
    """Without an owner: it outlives the set."""
    metadata = {
        "name": f"{template['metadata']['name']}-{pod['metadata']['name']}",
        "namespace": pod["metadata"]["namespace"],
        "labels": owner["spec"]["selector"].get("matchLabels") or {},
    }
    spec = template["spec"]
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _ordinal(pod: Manifest) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


def _is_of(pod: Manifest, revision: str) -> bool:
    return bool(labels_of(pod).get(REVISION) == revision)


def _parallel(owner: Manifest) -> bool:
    return bool(owner["spec"].get("podManagementPolicy") == "Parallel")
