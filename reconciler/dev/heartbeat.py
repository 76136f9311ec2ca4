"""Heartbeats of nodes: upstream's control plane holds a node lost that is silent for 40 seconds."""

from datetime import UTC, datetime

from reconciler.dev.clock import Pace
from reconciler.dev.cloud.nodes import SIMULATED
from reconciler.dev.objects import ready, uid_of
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.model.names import ObjectKey

SECONDS = 10.0
"""As kubelets do."""


class Heartbeat:
    """Renews the Lease of every node of ours that is ready."""

    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self.queue: WorkQueue[ObjectKey] = WorkQueue(self._beat, pace)
        view.subscribe("Node", lambda key, *_: self.queue.add(key))

    async def _beat(self, key: ObjectKey) -> None:
        node = self._view.get(key)
        if node is None or not ready(node) or SIMULATED not in (node["metadata"].get("annotations") or {}):
            return
        owner = {"apiVersion": "v1", "kind": "Node", "name": key.name, "uid": uid_of(node)}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": key.name, "namespace": "kube-node-lease", "ownerReferences": [owner]},
            "spec": {"holderIdentity": key.name, "leaseDurationSeconds": 40, "renewTime": now},
        }
        await self._view.client.apply(lease)
        self.queue.add_after(key, SECONDS)
