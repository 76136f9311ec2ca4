"""Tells the world what a cycle found: metrics, Workspace objects, Events, status commits. Decides nothing."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import structlog

from . import telemetry
from .cluster import events
from .cluster.client import Client
from .errors import NotFound, ReconcilerError
from .model import fields
from .model.names import WorkspaceId
from .model.news import News
from .model.status import Condition, WorkspaceStatus, timestamp
from .model.world import Artifact, Manifest
from .telemetry import redacted

log = structlog.get_logger(__name__)

RETRY_SECONDS = 30.0
"""Pause before a channel that failed is handed its news again, where no newer news come first."""
CLOSE_SECONDS = 10.0
"""Time a channel has to tell its last news when the daemon ends."""
SLICE = 100
"""Workspaces that are compared in one go."""

Live = Callable[[WorkspaceId], Manifest | None]
"""The Workspace object as it was last seen."""


class Channel(Protocol):
    """One way of telling."""

    async def tell(self, news: News) -> None: ...


class Publisher:
    """Hands news to every channel and returns at once; a slow or failing channel holds up nobody."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._couriers = [_Courier(channel) for channel in channels]

    async def __call__(self, news: News) -> None:
        telemetry.fleet_changed(news.changed, news.gone)
        for courier in self._couriers:
            courier.hand(news)

    async def close(self) -> None:
        """Waits for what is still being told."""
        await asyncio.gather(*(courier.close() for courier in self._couriers))


class _Courier:
    """Brings news to one channel; what comes while it is busy, or after a failure, is merged."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._name = type(channel).__name__
        self._pending: News | None = None
        self._task: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None

    def hand(self, news: News) -> None:
        self._pending = merged(self._pending, news)
        self._begin()

    async def close(self) -> None:
        self._cancel_retry()
        if self._task is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._task
        except TimeoutError:
            log.warning("news not told before the end", channel=self._name)
        self._cancel_retry()

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            self._cancel_retry()
            self._task = asyncio.create_task(self._deliver(), name=f"tell {self._name}")

    async def _deliver(self) -> None:
        while (news := self._pending) is not None:
            self._pending = None
            pause = await self._told(news)
            if pause is not None:
                self._pending = merged(news, self._pending)
                self._retry = asyncio.get_running_loop().call_later(pause, self._begin)
                return

    async def _told(self, news: News) -> float | None:
        """Seconds to wait before another try; None where there is nothing to try again."""
        try:
            await self._channel.tell(news)
        except ReconcilerError as error:
            log.warning("not told", channel=self._name, reason=error.reason, message=str(error))
            telemetry.failed(error.reason)
            return error.retry_after or RETRY_SECONDS
        except Exception:
            log.exception("bug", channel=self._name)
            telemetry.failed("Bug")
        return None

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


def merged(older: News | None, newer: News | None) -> News | None:
    """One piece of news that says what both say; where they disagree, the newer is right."""
    if older is None or newer is None:
        return newer or older
    returned = newer.scope.keys()
    gone = {id for id in older.gone if id not in returned} | set(newer.gone)
    return replace(
        newer,
        scope=_without({**older.scope, **newer.scope}, gone),
        changed=_without({**older.changed, **newer.changed}, gone),
        gone=tuple(sorted(gone)),
    )


def _without(
    statuses: dict[WorkspaceId, WorkspaceStatus], gone: set[WorkspaceId]
) -> dict[WorkspaceId, WorkspaceStatus]:
    return {id: status for id, status in statuses.items() if id not in gone}


# --- the status of Workspace objects ---------------------------------------------------------------


class ClusterStatus:
    """Writes the status of a Workspace object where it differs; `note` is given what the server answered.

    Where another operator is at work, the status is that operator's.
    """

    def __init__(self, client: Client, live: Live, note: Callable[[Manifest], None]) -> None:
        self._client = client
        self._live = live
        self._note = note
        self._agreed: dict[WorkspaceId, tuple[str, WorkspaceStatus]] = {}
        """Resource version of the object, and the status that it was found to carry."""

    async def tell(self, news: News) -> None:
        for id in news.gone:
            self._agreed.pop(id, None)
        if not news.may_write:
            return
        writes = []
        for number, (id, status) in enumerate(news.scope.items()):
            if (body := self._needed(id, status)) is not None:
                writes.append(body)
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)  # others want the event loop too
        results = await asyncio.gather(*map(self._write, writes), return_exceptions=True)
        for failed in results:
            if isinstance(failed, BaseException):
                raise failed

    def _needed(self, id: WorkspaceId, status: WorkspaceStatus) -> Manifest | None:
        live = self._live(id)
        if live is None or "deletionTimestamp" in live["metadata"] or status.reason == "EngineConflict":
            return None
        agreed = (str(live["metadata"].get("resourceVersion", "")), status)
        if self._agreed.get(id) == agreed:
            return None
        body = status_body(status, live)
        if says_the_same(body, live.get("status") or {}):
            self._agreed[id] = agreed
            return None
        return {
            "apiVersion": live["apiVersion"],
            "kind": live["kind"],
            "metadata": {"namespace": id.namespace, "name": id.name, "uid": live["metadata"]["uid"]},
            "status": {name: value for name, value in body.items() if not fields.is_empty(value)},
        }

    async def _write(self, manifest: Manifest) -> None:
        try:
            self._note(await self._client.apply(manifest, subresource="status"))
        except NotFound:
            return  # deleted meanwhile


def status_body(status: WorkspaceStatus, live: Manifest) -> Manifest:
    """The whole status, empty fields too. A condition that `live` has with this status keeps its time."""
    times = {
        (c.get("type"), c.get("status")): c.get("lastTransitionTime")
        for c in (live.get("status") or {}).get("conditions") or []
    }
    generation = live["metadata"].get("generation", 0)
    return {
        "phase": status.phase,
        "reason": status.reason,
        "message": redacted(status.message),
        "conditions": [_condition(c, times.get((c.type, c.status)), generation) for c in status.conditions],
        "observedGeneration": generation,
        "workerNodes": list(status.nodes),
        "commit": status.commit,
        "path": f"{status.path}:{status.line}" if status.path else "",
        "pool": status.pool,
        "endpoint": status.endpoint,
        "artifact": _artifact(status.artifact),
    }


def _condition(condition: Condition, since: str | None, generation: int) -> dict[str, Any]:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": redacted(condition.message),
        "lastTransitionTime": since or timestamp(condition.since),
        "observedGeneration": generation,
    }


def _artifact(artifact: Artifact | None) -> dict[str, Any]:
    if artifact is None:
        return {"image": "", "digest": "", "contentKey": "", "simulated": False, "metrics": {}}
    return {
        "image": artifact.image,
        "digest": artifact.digest,
        "contentKey": artifact.content_key,
        "simulated": artifact.simulated,
        "standIn": artifact.stand_in,
        "size": artifact.size,
        "metrics": dict(artifact.metrics),
    }


def says_the_same(body: Manifest, live: Manifest) -> bool:
    """Whether only times, the commit or the line differ: no reason for a write."""
    return not any(True for _ in fields.differences(_weighty(body), _weighty(live)))


def _weighty(status: Manifest) -> Manifest:
    kept = {name: value for name, value in status.items() if name != "commit"}
    kept["path"] = str(status.get("path", "")).rpartition(":")[0]
    kept["conditions"] = [
        {name: value for name, value in condition.items() if name != "lastTransitionTime"}
        for condition in status.get("conditions") or []
    ]
    return kept


# --- Events ----------------------------------------------------------------------------------------

_WARNINGS = frozenset({"Held", "Invalid", "Failed"})


class Events:
    """A Kubernetes Event when a workspace enters another phase than its object's status last told."""

    def __init__(self, client: Client, live: Live) -> None:
        self._client = client
        self._live = live
        self._phases: dict[WorkspaceId, str] = {}

    async def tell(self, news: News) -> None:
        for id in news.gone:
            self._phases.pop(id, None)
        moved = [id for id, status in news.scope.items() if self._phases.get(id) != status.phase]
        due = [event for id in moved if (event := self._event(news.scope[id])) is not None]
        if news.may_write:
            await asyncio.gather(*(events.record(self._client, *event) for event in due))

    def _event(self, status: WorkspaceStatus) -> tuple[Manifest, str, str, str] | None:
        """(object, reason, message, type), None where its object says this phase already, or is absent."""
        live = self._live(status.id)
        if live is None:
            return None
        before = self._phases.get(status.id) or (live.get("status") or {}).get("phase", "")
        self._phases[status.id] = status.phase
        if before == status.phase:
            return None
        message = redacted(f"{status.phase}: {status.message}" if status.message else status.phase)
        return live, status.reason, message, "Warning" if status.phase in _WARNINGS else "Normal"
