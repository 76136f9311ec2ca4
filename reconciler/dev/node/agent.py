"""The node agent: runs the pods bound to simulated nodes and writes their status.

A node is ours by the annotation `dev.reconciler.dev/simulated`. Nothing is written while nothing
changes: there are no heartbeats. A node that is not ready is silent, as a lost machine would be.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from reconciler.dev.clock import Pace
from reconciler.dev.cloud.nodes import SIMULATED
from reconciler.dev.objects import deleting, finished, key_of, ready, uid_of
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.errors import Conflict, NotFound
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .mounts import missing, mounted, wanted
from .pod import Addresses, PodRun
from .runtime import Runtime

RuntimeTable = Sequence[tuple[str, Runtime]]


class NodeAgent:
    """`runtimes` is a table from image globs to what runs them; the first match counts."""

    def __init__(self, view: View, pace: Pace, runtimes: RuntimeTable) -> None:
        self._view = view
        self._pace = pace
        self._runtimes = runtimes
        self._runs: dict[ObjectKey, PodRun] = {}
        self._awaited: dict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        self._writes: WorkQueue[ObjectKey] = WorkQueue(self._write, pace, lanes=8)
        view.subscribe("Pod", self._heed_pod)
        view.subscribe("Node", self._heed_node)
        view.subscribe("ConfigMap", self._heed_config)

    def start(self) -> None:
        self._writes.start()

    async def close(self) -> None:
        await self._writes.close()
        for run in self._runs.values():
            run.stop()

    async def logs(self, namespace: str, pod: str, container: str = "") -> str:
        """What a pod's container said. Raises NotFound where the pod runs on none of our nodes."""
        run = self._runs.get(ObjectKey("Pod", namespace, pod))
        if run is None:
            raise NotFound(f"pod {namespace}/{pod} runs on no simulated node")
        return run.logs(container)

    def _heed_pod(self, key: ObjectKey, _: Manifest | None, pod: Manifest | None) -> None:
        run = self._runs.get(key)
        if run and (pod is None or uid_of(pod) != uid_of(run.pod)):
            del self._runs[key]
            run.stop()
            run = None
        if pod is None:
            return
        if run:
            run.pod = pod
            self._end_if_asked(key, run)
        elif self._is_ours(pod):
            self._take(key, pod)

    def _is_ours(self, pod: Manifest) -> bool:
        node = self._view.get(ObjectKey("Node", "", pod["spec"].get("nodeName", "")))
        return node is not None and SIMULATED in (node["metadata"].get("annotations") or {})

    def _take(self, key: ObjectKey, pod: Manifest) -> None:
        if finished(pod) and not deleting(pod):
            return
        node = self._view.get(ObjectKey("Node", "", pod["spec"]["nodeName"]))
        addresses = Addresses(_pod_address(uid_of(pod)), _node_address(node or {}))
        run = self._runs[key] = PodRun(pod, addresses, self._pace, lambda: self._writes.add(key))
        if not deleting(pod):
            self._begin(key, run)
        self._end_if_asked(key, run)

    def _begin(self, key: ObjectKey, run: PodRun) -> None:
        """Starts it once every ConfigMap it mounts is there."""
        maps: Mapping[ObjectKey, Manifest | None] = {each: self._view.get(each) for each in wanted(run.pod)}
        if absent := missing(run.pod, maps):
            for each in absent:
                self._awaited[each].add(key)
            run.hold("waiting for " + ", ".join(str(each) for each in absent))
        else:
            run.begin(self._runtime, mounted(run.pod, maps))

    def _runtime(self, image: str) -> Runtime:
        return next(runtime for glob, runtime in self._runtimes if fnmatchcase(image, glob))

    def _end_if_asked(self, key: ObjectKey, run: PodRun) -> None:
        if deleting(run.pod):
            run.stop()
            self._writes.add(key)

    def _heed_config(self, key: ObjectKey, _: Manifest | None, new: Manifest | None) -> None:
        if new is None:
            return
        for pod in self._awaited.pop(key, ()):
            run = self._runs.get(pod)
            if run and not run.began:
                self._begin(pod, run)

    def _heed_node(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        if new is None or (old is not None and ready(old) == ready(new)):
            return
        for pod in self._view.pods_on(key.name):
            found = key_of(pod)
            if found in self._runs:
                self._writes.add(found)
            else:
                self._heed_pod(found, None, pod)

    async def _write(self, key: ObjectKey) -> None:
        run = self._runs.get(key)
        pod = self._view.get(key)
        if run is None or pod is None or uid_of(pod) != uid_of(run.pod) or not self._node_ready(pod):
            return
        if deleting(pod) and run.ended:
            await self._remove(pod)
        elif not deleting(pod):
            await self._view.set_status(pod, run.status())

    def _node_ready(self, pod: Manifest) -> bool:
        node = self._view.get(ObjectKey("Node", "", pod["spec"]["nodeName"]))
        return node is not None and ready(node)

    async def _remove(self, pod: Manifest) -> None:
        try:
            await self._view.delete(pod, at_once=True)
        except Conflict:
            return  # another pod has the name now


def _pod_address(uid: str) -> str:
    first, second, third = hashlib.sha256(uid.encode()).digest()[:3]
    return f"10.{first % 64 + 64}.{second}.{third or 1}"


def _node_address(node: Manifest) -> str:
    addresses = node.get("status", {}).get("addresses") or []
    return next((each["address"] for each in addresses if each["type"] == "InternalIP"), "127.0.0.1")
