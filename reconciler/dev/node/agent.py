"""The node agent: runs the pods bound to simulated nodes and writes their status.

A node is ours by the annotation `dev.reconciler.dev/simulated`. Nothing is written while nothing
changes, heartbeats apart. A node that is not ready is silent, as a lost machine would be.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

from reconciler.dev.clock import Pace
from reconciler.dev.cloud.nodes import SIMULATED
from reconciler.dev.logs import Log
from reconciler.dev.objects import deleting, finished, key_of, ready, uid_of
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.errors import Conflict, NotFound
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .events import Told, events
from .pod import PodRun
from .runtime import Place, Runtime
from .sources import references
from .status import Json

RuntimeTable = Sequence[tuple[str, Runtime]]


class NodeAgent:
    """`runtimes` is a table from image globs to what runs them; the first match counts."""

    def __init__(self, view: View, pace: Pace, runtimes: RuntimeTable) -> None:
        self._view = view
        self._pace = pace
        self._runtimes = runtimes
        self._runs: dict[ObjectKey, PodRun] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._pods: WorkQueue[ObjectKey] = WorkQueue(self._sync, pace, lanes=8)
        view.subscribe("Pod", self._heed_pod)
        view.subscribe("Node", self._heed_node)

    def start(self) -> None:
        self._pods.start()

    async def close(self) -> None:
        """Returns once no process is left."""
        await self._pods.close()
        await asyncio.gather(*self._leaving, *(run.close() for run in self._runs.values()))

    def log(self, namespace: str, pod: str, container: str, previous: bool) -> Log:
        """What a pod's container said. Raises NotFound where there is nothing."""
        run = self._runs.get(ObjectKey("Pod", namespace, pod))
        if run is None:
            raise NotFound(f"pod {namespace}/{pod} runs on no node of this agent")
        return run.log(container, previous)

    def _heed_pod(self, key: ObjectKey, _: Manifest | None, pod: Manifest | None) -> None:
        run = self._runs.get(key)
        if run and (pod is None or uid_of(pod) != uid_of(run.pod)):
            leaving = asyncio.create_task(self._runs.pop(key).close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            run = None
        if pod is None:
            return
        if run:
            run.pod = pod
        elif (node := self._node(pod)) and (deleting(pod) or not finished(pod)):
            run = self._runs[key] = self._taken(key, pod, node)
            self._pods.add(key)
        if run and deleting(pod):
            run.stop()
            self._pods.add(key)

    def _node(self, pod: Manifest) -> Manifest | None:
        """The pod's, where it is ours."""
        node = self._view.get(ObjectKey("Node", "", pod["spec"].get("nodeName", "")))
        return node if node and SIMULATED in (node["metadata"].get("annotations") or {}) else None

    def _taken(self, key: ObjectKey, pod: Manifest, node: Manifest) -> PodRun:
        images = [each["image"] for each in pod["spec"]["containers"]]
        network = "127" if any(self._runtime(image).local for image in images) else "10"
        place = Place(node, _pod_address(network, uid_of(pod)))
        return PodRun(pod, place, self._runtime, self._pace, lambda: self._pods.add(key))

    def _notes(self, before: Json, pod: Manifest) -> list[Told]:
        notes = {self._runtime(each["image"]).note for each in pod["spec"]["containers"]}
        return [("Normal", "StandIn", each) for each in notes if each and not before.get("containerStatuses")]

    def _runtime(self, image: str) -> Runtime:
        return next(runtime for glob, runtime in self._runtimes if fnmatchcase(image, glob))

    def _heed_node(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        if new is None or (old is not None and ready(old) == ready(new)):
            return
        for pod in self._view.pods_on(key.name):
            self._heed_pod(key_of(pod), None, pod)
            self._pods.add(key_of(pod))

    async def _sync(self, key: ObjectKey) -> None:
        run, pod = self._runs.get(key), self._view.get(key)
        if run is None or pod is None or uid_of(pod) != uid_of(run.pod):
            return
        node = self._node(pod)
        if node is None or not ready(node):
            return
        if deleting(pod):
            if run.ended:
                with suppress(Conflict):  # another pod has the name now
                    await self._view.delete(pod, at_once=True)
            return
        if run.due:
            # Secrets are not watched, and a ConfigMap may be newer than the watch.
            find = self._view.client.get
            run.start({each: self._view.get(each) or await find(each) for each in references(pod)})
        before, after = pod.get("status") or {}, run.status()
        await self._view.set_status(pod, after)
        for kind, reason, message in (*events(before, after), *self._notes(before, pod)):
            await self._view.tell(pod, reason, message, "kubelet", kind)


def _pod_address(network: str, uid: str) -> str:
    """Of the pod network; of the loopback network, which Linux routes without being told, for processes."""
    first, second, third = hashlib.sha256(uid.encode()).digest()[:3]
    return f"{network}.{first % 64 + 64}.{second}.{third or 1}"
