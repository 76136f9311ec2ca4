"""`reconciler why`: from the line in Git to what is there, and what it waits for."""

import asyncio
import time
from collections.abc import Iterator

from ..model.names import WORKSPACE, WORKSPACE_NAMESPACE, WorkspaceId
from ..model.settings import ClusterSettings
from ..model.status import WorkspaceStatus
from ..model.world import Manifest, ObservedNode, ObservedPod
from .cluster import connected, statuses
from .options import Format, OptionalSettings, Verbose
from .output import age, say, say_json
from .statuses import Name, Place, StatusRefName, StatusUrl, TokenFile, one_of, place, read

Parts = tuple[list[ObservedNode], list[ObservedPod]]
"""Nodes and pods, as the cluster has them now."""

Told = list[tuple[WorkspaceStatus, Parts | None]]
"""Without parts where only the status ref was asked."""


def why(
    workspace: Name = None,
    settings_file: OptionalSettings = None,
    status_url: StatusUrl = None,
    ref: StatusRefName = None,
    token_file: TokenFile = None,
    output: Format = "text",
    verbose: Verbose = False,
) -> None:
    """Explain a workspace: where it is declared, what is held or done next, and what is observed.

    Without a name, all that are not ready. Reads the cluster, or with --status-url and --ref the
    status ref alone, which also knows holds and steps.

    Exit status: 0 it could be explained, 1 it could not.
    """
    told = asyncio.run(_told(place(settings_file, status_url, ref, token_file), workspace))
    if output == "json":
        say_json([_as_json(*each) for each in told])
        return
    now = time.time()
    for status, parts in told:
        say("\n".join(lines(status, parts, now)))
    if not told:
        say("every workspace is ready")


async def _told(where: Place, name: str | None) -> Told:
    if not isinstance(where, ClusterSettings):
        return [(status, None) for status in _chosen(await read(where), name)]
    async with connected(where) as client:
        chosen = _chosen(await statuses(client), name)
        nodes, _ = await client.list("Node", labels=WORKSPACE)
        pods, _ = await client.list("Pod", labels=WORKSPACE)
    return [(status, _parts(status.id, nodes, pods)) for status in chosen]


def _chosen(found: dict[WorkspaceId, WorkspaceStatus], name: str | None) -> list[WorkspaceStatus]:
    if name is not None:
        return [one_of(name, found)]
    return [found[id] for id in sorted(found) if not found[id].ready]


def _parts(id: WorkspaceId, nodes: list[Manifest], pods: list[Manifest]) -> Parts:
    from ..loop import parts

    mine = [n for n in nodes if (_label(n, WORKSPACE_NAMESPACE), _label(n, WORKSPACE)) == id]
    its = [p for p in pods if (p["metadata"].get("namespace"), _label(p, WORKSPACE)) == id]
    return [parts.node(node) for node in mine], [parts.pod(pod) for pod in its]


def _label(manifest: Manifest, name: str) -> str:
    return str((manifest["metadata"].get("labels") or {}).get(name, ""))


def lines(status: WorkspaceStatus, parts: Parts | None, now: float) -> Iterator[str]:
    since = f" for {age(status.since, now)}" if status.since else ""
    yield f"{status.id}: {status.phase}{since}: {status.reason}"
    for label, text in _facts(status, parts):
        yield f"  {label:<11} {' '.join(text.split())}"


def _facts(status: WorkspaceStatus, parts: Parts | None) -> Iterator[tuple[str, str]]:
    if status.path:
        commit = f" in commit {status.commit[:12]}" if status.commit else ""
        yield "declared", f"{status.path}:{status.line}{commit}"
    yield from _reasons(status)
    if status.pool:
        yield "pool", f"{status.pool} {status.instance_type}"
    yield from _observed(status, parts)
    for condition in status.conditions:
        yield "condition", f"{condition.type}={condition.status} {condition.reason}"
    if status.endpoint and status.ready:
        yield "endpoint", status.endpoint
    if status.artifact is not None:
        yield "artifact", str(status.artifact)


def _reasons(status: WorkspaceStatus) -> Iterator[tuple[str, str]]:
    if status.message:
        yield "because", status.message
    for reason, text, group in status.holds:
        remedy = f" (to let it through: reconciler ack {group})" if group else ""
        if text != status.message or group:
            yield "held", f"{reason}: {text}{remedy}"
    for step in status.steps:
        yield "next", step


def _observed(status: WorkspaceStatus, parts: Parts | None) -> Iterator[tuple[str, str]]:
    if parts is None:
        if status.nodes:
            yield "nodes", f"{', '.join(status.nodes)} ready"
        return
    nodes, pods = parts
    for node in nodes:
        yield "node", f"{node.name} {'ready' if node.ready else 'not ready'}, {node.gpus} GPUs"
    for pod in pods:
        state = "ready" if pod.ready else ": ".join(filter(None, (pod.phase, pod.reason, pod.message)))
        yield "pod", f"{pod.name} {state}" + (f", {pod.restarts} restarts" if pod.restarts else "")


def _as_json(status: WorkspaceStatus, parts: Parts | None) -> dict[str, object]:
    from ..statusref.documents import document

    seen = {} if parts is None else {"observed": {"nodes": parts[0], "pods": parts[1]}}
    return {**document(status), **seen}
