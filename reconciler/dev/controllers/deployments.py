"""Deployment: one ReplicaSet a template, rolled over within maxSurge and maxUnavailable.

A paused one is left as it is, size included.
"""

from typing import Any

from reconciler.dev.clock import Pace, epoch
from reconciler.dev.objects import Words, condition, key_of, owner_reference, stated
from reconciler.dev.view import View
from reconciler.model.world import Manifest

from .pods import replicas_of, template_hash
from .rollout import REVISION, bounds, counts, is_complete, revision_of, rollout

HASH = "pod-template-hash"
NAME = "deployment-controller"


class Deployments:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self._pace = pace
        self.queue = view.controller("Deployment", self._reconcile, pace, owned=("ReplicaSet",))

    async def _reconcile(self, deployment: Manifest) -> None:
        sets = self._view.controlled(deployment, "ReplicaSet")
        name = f"{deployment['metadata']['name']}-{template_hash(deployment['spec']['template'])}"
        new = next((each for each in sets if each["metadata"]["name"] == name), None)
        old = [each for each in sets if each is not new]
        if not deployment["spec"].get("paused"):
            if new is None:
                number = max(map(revision_of, old), default=0) + 1
                new = await self._begin(deployment, _replica_set(deployment, name, number), old)
            await self._roll(deployment, new, old)
            await self._prune(deployment, old)
        await self._report(deployment, new, old)

    async def _begin(self, deployment: Manifest, new: Manifest, old: list[Manifest]) -> Manifest:
        """Creates it at the size it may have at once."""
        new["spec"]["replicas"] = rollout(deployment, new, old)[-1][1]
        made = await self._view.create(new)
        await self._scaled(deployment, made, 0)
        return made

    async def _scaled(self, deployment: Manifest, each: Manifest, before: int) -> None:
        name, size = each["metadata"]["name"], each["spec"]["replicas"]
        if size != before:
            word = "up" if size > before else "down"
            told = f"Scaled {word} replica set {name} from {before} to {size}"
            await self._view.tell(deployment, "ScalingReplicaSet", told, NAME)

    async def _roll(self, deployment: Manifest, new: Manifest, old: list[Manifest]) -> None:
        least = deployment["spec"].get("minReadySeconds", 0)
        for each, size in rollout(deployment, new, old):
            wanted = {"replicas": size, "minReadySeconds": least}
            if changed := {k: v for k, v in wanted.items() if each["spec"].get(k, 0) != v}:
                await self._view.patch(key_of(each), {"spec": changed})
                before = each["spec"].get("replicas", 0)
                sized = each | {"spec": each["spec"] | changed}
                await self._scaled(deployment, sized, before)

    async def _prune(self, deployment: Manifest, old: list[Manifest]) -> None:
        spare = [
            each
            for each in old
            if each["spec"]["replicas"] == 0 and not each.get("status", {}).get("replicas")
        ]
        spare.sort(key=revision_of)
        keep = int(deployment["spec"].get("revisionHistoryLimit", 10))
        for each in spare[: max(len(spare) - keep, 0)]:
            await self._view.delete(each)

    async def _report(self, deployment: Manifest, new: Manifest | None, old: list[Manifest]) -> None:
        status = counts(deployment, new, old)
        status["conditions"] = [self._available(deployment, status), self._progressing(deployment, status)]
        await self._view.set_status(deployment, status)

    def _available(self, deployment: Manifest, status: dict[str, Any]) -> dict[str, Any]:
        enough = status["availableReplicas"] >= replicas_of(deployment) - bounds(deployment)[1]
        word, has = ("Available", "has") if enough else ("Unavailable", "does not have")
        message = f"Deployment {has} minimum availability."
        return self._said(deployment, ("Available", str(enough), f"MinimumReplicas{word}", message))

    def _progressing(self, deployment: Manifest, status: dict[str, Any]) -> dict[str, Any]:
        if is_complete(deployment, status):
            message = "The ReplicaSet has successfully progressed."
            return self._said(deployment, ("Progressing", "True", "NewReplicaSetAvailable", message))
        names = ("updatedReplicas", "readyReplicas", "availableReplicas")
        progress = "/".join(str(status[each]) for each in names)
        message = f"updated/ready/available replicas: {progress} of {replicas_of(deployment)}"
        was = condition(deployment, "Progressing")
        limit = float(deployment["spec"].get("progressDeadlineSeconds", 600))
        if was is None or was.get("message") != message or _new_generation(deployment):
            self.queue.add_after(key_of(deployment), limit + 1)
            moved = self._said(deployment, ("Progressing", "True", "ReplicaSetUpdated", message))
            return moved | {"lastUpdateTime": self._pace.stamp()}
        left = epoch(was["lastUpdateTime"]) + limit - self._pace.now()
        if left <= 0:
            return self._said(deployment, ("Progressing", "False", "ProgressDeadlineExceeded", message))
        self.queue.add_after(key_of(deployment), left + 1)
        return was

    def _said(self, deployment: Manifest, words: Words) -> dict[str, Any]:
        """The condition, with its times kept where it says what it said."""
        now, was = self._pace.stamp(), condition(deployment, words[0]) or {}
        same = (was.get("status"), was.get("reason")) == words[1:3]
        return stated(deployment, words, now) | {"lastUpdateTime": was["lastUpdateTime"] if same else now}


def _replica_set(deployment: Manifest, name: str, revision: int) -> Manifest:
    metadata, spec = deployment["metadata"], deployment["spec"]
    mark = {HASH: name.rpartition("-")[2]}
    template = dict(spec["template"])
    own = template.get("metadata") or {}
    labels = (own.get("labels") or {}) | mark
    selector = dict(spec["selector"])
    selector["matchLabels"] = (selector.get("matchLabels") or {}) | mark
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": {REVISION: str(revision)},
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "selector": selector,
            "template": template | {"metadata": own | {"labels": labels}},
        },
    }


def _new_generation(deployment: Manifest) -> bool:
    seen = deployment.get("status", {}).get("observedGeneration")
    return bool(seen != deployment["metadata"].get("generation", 1))
