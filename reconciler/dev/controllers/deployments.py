"""Deployment: one ReplicaSet a template, rolled over within maxSurge and maxUnavailable."""

from typing import Any

from reconciler.dev.clock import Pace, epoch
from reconciler.dev.objects import condition, deleting
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .pods import owner_reference, template_hash
from .rollout import REVISION, bounds, counts, is_complete, next_revision, replicas_of, revision_of, rollout

HASH = "pod-template-hash"


class Deployments:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self._pace = pace
        self.queue: WorkQueue[ObjectKey] = WorkQueue(self._reconcile, pace)
        view.feed("Deployment", self.queue, owned=("ReplicaSet",))

    async def _reconcile(self, key: ObjectKey) -> None:
        deployment = self._view.get(key)
        if deployment is None or deleting(deployment):
            return
        sets = self._view.controlled(deployment, "ReplicaSet")
        name = f"{key.name}-{template_hash(deployment['spec']['template'])}"
        new = next((each for each in sets if each["metadata"]["name"] == name), None)
        old = [each for each in sets if each is not new]
        if not deployment["spec"].get("paused"):
            if new is None:
                new = await self._begin(deployment, _replica_set(deployment, name, next_revision(old)), old)
            await self._roll(deployment, new, old)
            await self._prune(deployment, old)
        await self._report(deployment, new, old)

    async def _begin(self, deployment: Manifest, new: Manifest, old: list[Manifest]) -> Manifest:
        """Creates it at the size it may have at once."""
        new["spec"]["replicas"] = rollout(deployment, new, old)[-1][1]
        return await self._view.create(new)

    async def _roll(self, deployment: Manifest, new: Manifest, old: list[Manifest]) -> None:
        for each, size in rollout(deployment, new, old):
            if each["spec"]["replicas"] != size:
                key = ObjectKey("ReplicaSet", each["metadata"]["namespace"], each["metadata"]["name"])
                await self._view.patch(key, {"spec": {"replicas": size}})

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
        complete = is_complete(deployment, status)
        status["conditions"] = [
            self._available(deployment, status),
            self._progressing(deployment, status, complete),
        ]
        await self._view.set_status(deployment, status)

    def _available(self, deployment: Manifest, status: dict[str, Any]) -> dict[str, str]:
        least = replicas_of(deployment) - bounds(deployment)[1]
        if status["availableReplicas"] >= least:
            return self._turned(deployment, "Available", "True", "MinimumReplicasAvailable", "")
        return self._turned(deployment, "Available", "False", "MinimumReplicasUnavailable", "")

    def _progressing(self, deployment: Manifest, status: dict[str, Any], complete: bool) -> dict[str, str]:
        if complete:
            return self._turned(deployment, "Progressing", "True", "NewReplicaSetAvailable", "")
        progress = "/".join(
            str(status[each]) for each in ("updatedReplicas", "readyReplicas", "availableReplicas")
        )
        message = f"updated/ready/available replicas: {progress} of {replicas_of(deployment)}"
        was = condition(deployment, "Progressing")
        moved = was is None or was.get("message") != message or was["reason"] == "NewReplicaSetAvailable"
        if was is None or moved or _new_generation(deployment):
            self._look_again(deployment, self._pace.now())
            updated = self._turned(deployment, "Progressing", "True", "ReplicaSetUpdated", message)
            return updated | {"lastUpdateTime": self._pace.stamp()}
        due = epoch(was["lastUpdateTime"]) + _deadline(deployment)
        if self._pace.now() >= due:
            return self._turned(deployment, "Progressing", "False", "ProgressDeadlineExceeded", message)
        self._look_again(deployment, epoch(was["lastUpdateTime"]))
        return was

    def _look_again(self, deployment: Manifest, since: float) -> None:
        metadata = deployment["metadata"]
        key = ObjectKey("Deployment", metadata["namespace"], metadata["name"])
        self.queue.add_after(key, since + _deadline(deployment) - self._pace.now() + 1)

    def _turned(
        self, deployment: Manifest, kind: str, status: str, reason: str, message: str
    ) -> dict[str, str]:
        """The condition, with its times kept where it says what it said."""
        now = self._pace.stamp()
        was = condition(deployment, kind) or {}
        same = was.get("status") == status and was.get("reason") == reason
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastUpdateTime": was["lastUpdateTime"] if same else now,
            "lastTransitionTime": was["lastTransitionTime"] if was.get("status") == status else now,
        }


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
            "selector": selector,
            "template": template | {"metadata": own | {"labels": labels}},
        },
    }


def _deadline(deployment: Manifest) -> float:
    return float(deployment["spec"].get("progressDeadlineSeconds", 600))


def _new_generation(deployment: Manifest) -> bool:
    seen = deployment.get("status", {}).get("observedGeneration")
    return bool(seen != deployment["metadata"].get("generation", 1))
