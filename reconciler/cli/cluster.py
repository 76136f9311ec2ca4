"""The cluster as the commands see it: with a person's patience, and Workspace objects as statuses."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

from ..errors import NotFound, NotPermitted
from ..model import names
from ..model.names import ObjectKey, WorkspaceId
from ..model.settings import ClusterSettings
from ..model.status import Condition, Phase, WorkspaceStatus
from ..model.world import Artifact, Manifest

if TYPE_CHECKING:
    from ..cluster.client import Client

Statuses = dict[WorkspaceId, WorkspaceStatus]
_PHASES = frozenset(get_args(Phase))


@asynccontextmanager
async def connected(settings: ClusterSettings) -> AsyncIterator["Client"]:
    """Gives up on a server that does not answer after a few seconds. Raises Unavailable or NotPermitted."""
    from ..cluster.client import Client
    from ..cluster.wire import Patience

    client = await Client.connect(
        settings, user_agent="reconciler-cli", patience=Patience(connect=3.0, total=6.0)
    )
    try:
        yield client
    finally:
        await client.close()


async def statuses(client: "Client") -> Statuses:
    """Of every Workspace object. Raises NotFound where the cluster serves none."""
    try:
        found, _ = await client.list("Workspace")
    except NotFound:
        raise NotFound(f"this cluster serves no {names.CRD_NAME}; is it the right one?") from None
    return {status.id: status for status in map(status_of, found)}


async def conditions(client: "Client", namespace: str) -> list[Condition]:
    """What the daemon in `namespace` says is wrong; nothing where this account may not read it."""
    from ..cluster.state import StateStore
    from ..loop.conditions import holding, restored

    with suppress(NotPermitted):
        return holding(restored((await StateStore(client, namespace).load()).get(names.CONDITIONS_ENTRY)))
    return []


async def live(client: "Client", id: WorkspaceId) -> Manifest:
    """The Workspace object. Raises NotFound."""
    found = await client.get(ObjectKey("Workspace", *id))
    if found is None:
        raise NotFound(f"the cluster has no Workspace {id}")
    return found


def status_of(manifest: Manifest) -> WorkspaceStatus:
    """What the object says. One that another operator keeps has conditions, and no phase."""
    metadata, said = manifest["metadata"], manifest.get("status") or {}
    annotations = metadata.get("annotations") or {}
    conditions = tuple(map(_condition, said.get("conditions") or []))
    phase, reason, message = _verdict(said, conditions)
    path, _, line = str(said.get("path") or f"{annotations.get(names.PATH, '')}:").rpartition(":")
    return WorkspaceStatus(
        WorkspaceId(metadata.get("namespace", ""), metadata["name"]),
        phase,
        reason,
        message,
        revision="",
        commit=said.get("commit") or annotations.get(names.COMMIT, ""),
        path=path,
        line=int(line or 0),
        conditions=conditions,
        instance_type=(manifest.get("resource") or {}).get("instanceType", ""),
        nodes=tuple(said.get("workerNodes") or ()),
        pool=said.get("pool") or annotations.get(names.POOL, ""),
        endpoint=said.get("endpoint", ""),
        artifact=artifact_of(said.get("artifact")),
        since=_since(conditions) or seconds(metadata.get("creationTimestamp")),
    )


def artifact_of(said: Any) -> Artifact | None:
    """From a status, of an object or of the status ref."""
    if not said:
        return None
    return Artifact(
        said["image"],
        said["digest"],
        said.get("contentKey", ""),
        bool(said.get("simulated")),
        str(said.get("standIn", "")),
        int(said.get("size", 0)),
        said.get("metrics") or {},
    )


def seconds(timestamp: Any) -> float:
    """Epoch seconds of an RFC 3339 time; 0 where there is none."""
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return 0.0


def _condition(said: dict[str, Any]) -> Condition:
    return Condition(
        said["type"],
        said["status"],
        said.get("reason", ""),
        said.get("message", ""),
        seconds(said.get("lastTransitionTime")),
    )


def _verdict(said: dict[str, Any], conditions: Iterable[Condition]) -> tuple[Phase, str, str]:
    if said.get("phase") in _PHASES:
        return said["phase"], said.get("reason", ""), said.get("message", "")
    final = {c.type: c for c in conditions if c.type in ("WorkspaceSucceeded", "WorkspaceReady")}
    if any(c.status == "True" for c in final.values()):
        return "Ready", "", ""
    blamed = next((c for c in (*conditions,) if c.status == "False"), None)
    if blamed is None:
        return "Waiting", "NotReported", "no status has been written yet"
    return "Deploying", blamed.reason, blamed.message


def _since(conditions: Iterable[Condition]) -> float:
    """Since when it is, or is not, ready."""
    return next((c.since for c in conditions if c.type in ("WorkspaceReady", "WorkspaceSucceeded")), 0.0)
