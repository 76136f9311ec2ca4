"""The operator's loop: marks on every Workspace, machines and workload, report, cleaning up."""

from contextlib import AsyncExitStack
from typing import Any

import yaml

from reconciler import data
from reconciler.cluster.apply import install_crd
from reconciler.cluster.client import Client
from reconciler.dev.clock import Pace
from reconciler.dev.objects import deleting, key_of, ready, uid_of
from reconciler.dev.serve import World
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.model import names
from reconciler.model.names import ObjectKey
from reconciler.model.settings import ClusterSettings
from reconciler.model.world import Manifest

from . import objects
from .eras import ERAS, Era, Line, Progress, state

KINDS = ("Node", "Pod", "Deployment", "Job", "Workspace")
RETRY_SECONDS = 1.0
"""Pause before the cloud is asked again for what it did not have."""


class Operator:
    """`shortages` are instance types the cloud has none of, each with the cloud's words."""

    def __init__(self, view: View, pace: Pace, era: Era) -> None:
        self.shortages: dict[str, str] = {}
        self.queue: WorkQueue[ObjectKey] = WorkQueue(self._reconcile, pace)
        self._view = view
        self._pace = pace
        self._era = era
        self._asked: dict[str, float] = {}
        """When machines were asked for, by the Workspace's uid."""
        view.feed("Workspace", self.queue, owned=("Deployment", "Job"))
        view.subscribe("Pod", self._heed_pod)

    def _heed_pod(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        labels = (new or old or {}).get("metadata", {}).get("labels") or {}
        if name := labels.get(names.WORKSPACE):
            self.queue.add(ObjectKey("Workspace", key.namespace, name))

    async def _reconcile(self, key: ObjectKey) -> None:
        workspace = self._view.get(key)
        if workspace is None:
            return
        if deleting(workspace):
            await self._clean_up(workspace)
            return
        marks = self._missing_marks(workspace)
        if marks:
            await self._view.patch(key, {"metadata": marks})
            return
        await self._report(workspace, await self._advance(workspace))

    def _missing_marks(self, workspace: Manifest) -> dict[str, Any]:
        metadata = workspace["metadata"]
        marks: dict[str, Any] = {}
        finalizers = metadata.get("finalizers") or []
        if names.FOREIGN_FINALIZER not in finalizers:
            marks["finalizers"] = [*finalizers, names.FOREIGN_FINALIZER]
        content = objects.content(workspace)
        annotations = metadata.get("annotations") or {}
        if self._era.annotates and annotations.get(names.FOREIGN_HASH) != content:
            number = int(annotations.get(objects.REVISION, "0")) + 1
            marks["annotations"] = {names.FOREIGN_HASH: content, objects.REVISION: str(number)}
        return marks

    # --- machines and workload

    async def _advance(self, workspace: Manifest) -> Progress:
        seen = Progress(objects.is_tuning(workspace), objects.count(workspace))
        shortage = self.shortages.get(objects.instance_type(workspace), "")
        nodes = self._nodes(workspace)
        if len(nodes) < seen.wanted and shortage:
            self.queue.add_after(key_of(workspace), RETRY_SECONDS)
            return Progress(seen.tuning, seen.wanted, shortage=shortage)
        if len(nodes) < seen.wanted:
            nodes = await self._provision(workspace, seen.wanted, nodes)
        found = tuple(sorted(n["metadata"]["name"] for n in nodes if ready(n)))
        if len(found) < seen.wanted:
            return Progress(seen.tuning, seen.wanted, found)
        return await self._work(workspace, found)

    async def _provision(self, workspace: Manifest, wanted: int, nodes: list[Manifest]) -> list[Manifest]:
        """All machines come at once, some time after they were asked for."""
        began = self._asked.setdefault(uid_of(workspace), self._pace.now())
        left = began + self._pace.speed.node_join_seconds - self._pace.now()
        if left > 0:
            self.queue.add_after(key_of(workspace), left)
            return nodes
        taken = {n["metadata"]["name"] for n in nodes}
        made = [objects.new_node(workspace, number, self._pace.now()) for number in range(wanted)]
        return nodes + [await self._view.create(n) for n in made if n["metadata"]["name"] not in taken]

    async def _work(self, workspace: Manifest, nodes: tuple[str, ...]) -> Progress:
        wanted = objects.workload(workspace)
        live = self._view.get(key_of(wanted))
        if live is not None and _revision(live) != _revision(wanted):
            await self._view.delete(live)
            live = None
        if live is None:
            live = await self._view.create(wanted)
        status = live.get("status", {})
        tuning = objects.is_tuning(workspace)
        return Progress(
            tuning,
            objects.count(workspace),
            nodes,
            active=status.get("active", 0),
            serving=not tuning and objects.all_ready(live),
            succeeded=tuning and objects.ended(live, "Complete"),
            failed=tuning and objects.ended(live, "Failed"),
            trouble=objects.trouble(self._pods(workspace)),
        )

    def _nodes(self, workspace: Manifest) -> list[Manifest]:
        wanted = objects.node_labels(workspace).items()
        return [n for n in self._view.of_kind("Node") if wanted <= n["metadata"]["labels"].items()]

    def _pods(self, workspace: Manifest) -> list[Manifest]:
        name, namespace = workspace["metadata"]["name"], workspace["metadata"]["namespace"]
        return [
            pod
            for pod in self._view.of_kind("Pod")
            if pod["metadata"]["namespace"] == namespace
            and (pod["metadata"].get("labels") or {}).get(names.WORKSPACE) == name
        ]

    # --- what it says

    async def _report(self, workspace: Manifest, seen: Progress) -> None:
        status: dict[str, Any] = {
            "conditions": self._conditions(workspace, list(self._era.lines(seen))),
            "workerNodes": list(seen.nodes),
        }
        if self._era.states:
            status |= {"state": state(seen), "targetNodeCount": seen.wanted}
        await self._view.set_status(workspace, status)

    def _conditions(self, workspace: Manifest, lines: list[Line]) -> list[dict[str, Any]]:
        """`lines` over what was said before: no type is ever taken back."""
        before = {c["type"]: c for c in workspace.get("status", {}).get("conditions") or []}
        generation = workspace["metadata"].get("generation", 0)
        for line in lines:
            was = before.get(line.type, {})
            said = line._asdict()
            if any(was.get(name) != value for name, value in said.items()):
                same = was.get("status") == line.status
                since = was["lastTransitionTime"] if same else self._pace.stamp()
                before[line.type] = {**said, "lastTransitionTime": since, "observedGeneration": generation}
        return list(before.values())

    # --- the end

    async def _clean_up(self, workspace: Manifest) -> None:
        if names.FOREIGN_FINALIZER not in (workspace["metadata"].get("finalizers") or []):
            return
        said = Line("WorkspaceDeleting", "True", "workspaceDeleted", "workspace is being deleted")
        await self._view.set_status(workspace, {"conditions": self._conditions(workspace, [said])})
        for node in self._nodes(workspace):
            await self._view.delete(node)
        began = self._asked.setdefault(f"end of {uid_of(workspace)}", self._pace.now())
        left = began + self._pace.speed.pool_gone_seconds - self._pace.now()
        if left > 0:
            self.queue.add_after(key_of(workspace), left)
            return
        await self._view.patch(key_of(workspace), {"metadata": {"finalizers": None}})


class Operated:
    """An operator of one release at work in a running world, with its definition as from its chart."""

    def __init__(self, world: World, era: str) -> None:
        self._world = world
        self._era = ERAS[era]
        self._open = AsyncExitStack()

    async def start(self) -> Operator:
        settings = ClusterSettings(kubeconfig=self._world.kubeconfig, concurrency=64)
        client = await Client.connect(settings, user_agent="kaito-operator", manager="kaito-operator")
        self._open.push_async_callback(client.close)
        crd = yaml.safe_load(data.path(f"schemas/crds/{names.CRD_NAME}.yaml").read_text())
        await install_crd(client, crd)
        view = View(client, KINDS)
        operator = Operator(view, self._world.pace, self._era)
        operator.queue.start()
        self._open.push_async_callback(operator.queue.close)
        self._open.push_async_callback(view.close)
        await view.start()
        return operator

    async def stop(self) -> None:
        await self._open.aclose()


def _revision(workload: Manifest) -> str:
    return str((workload["metadata"].get("annotations") or {}).get(objects.REVISION, ""))
