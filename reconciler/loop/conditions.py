"""What is wrong with the daemon's own surroundings, where people look: the state ConfigMap and its Events.

Whoever leads writes them, only when one changes, so that they cost nothing while all is well.
Without a client (mode `observe`, tests) they are memory.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from ..cluster import events
from ..cluster.client import Client
from ..cluster.state import StateStore
from ..errors import ReconcilerError
from ..model import names
from ..model.names import ObjectKey
from ..model.status import Condition, timestamp
from ..model.world import Manifest
from ..telemetry import redacted

log = structlog.get_logger(__name__)

WRITE_BACK_BLOCKED = "WriteBackBlocked"
"""The status ref cannot be written until somebody acts."""
SOURCE_UNREADABLE = "SourceUnreadable"
"""The repository of specs cannot be read; what was read last still counts."""
REVIEW_BLOCKED = "ReviewBlocked"
"""Pull requests cannot be read or answered, or commits told of."""

RETRY_SECONDS = 30.0
"""Before a write that failed is tried again."""


class Conditions:
    def __init__(self, client: Client | None = None, namespace: str = "") -> None:
        self._client = client
        self._key = ObjectKey("ConfigMap", namespace, names.STATE_CONFIGMAP)
        self._seen: dict[str, Condition] = {}
        self._kept: dict[str, Condition] | None = None
        """What the ConfigMap says; None while another process leads."""
        self._task: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None

    def report(self, type: str, reason: str, message: str) -> None:
        """An empty `reason` says that it is not so, or no longer."""
        found = Condition(type, "True", reason, redacted(message), time.time())
        self._seen[type] = found if reason else replace(found, status="False", reason="AsExpected")
        self._begin()

    async def lead(self) -> None:
        """Goes on from what the last leader wrote. Raises what the cluster answers."""
        if self._client is not None:
            self._kept = restored((await self._store(self._client).load()).get(names.CONDITIONS_ENTRY))
            self._begin()

    def follow(self) -> None:
        """Another process leads, and tells of what it sees."""
        self._kept = None

    async def close(self) -> None:
        self._cancel_retry()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _store(self, client: Client) -> StateStore:
        return StateStore(client, self._key.namespace)

    def _begin(self) -> None:
        if self._client is not None and (self._task is None or self._task.done()):
            self._cancel_retry()
            self._task = asyncio.create_task(self._tell(self._client), name="conditions")

    async def _tell(self, client: Client) -> None:
        try:
            while self._kept is not None and (wanted := self._wanted(self._kept)) != self._kept:
                await self._write(client, self._kept, wanted)
        except ReconcilerError as error:
            log.warning("conditions not written", reason=error.reason, message=str(error))
            self._retry = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._begin)

    def _wanted(self, kept: dict[str, Condition]) -> dict[str, Condition]:
        """That something is as it should be is worth a write only where the opposite was told."""
        wanted = dict(kept)
        for type, seen in self._seen.items():
            before = kept.get(type)
            if before is not None and before.status == seen.status:
                wanted[type] = replace(seen, since=before.since)
            elif before is not None or seen.status == "True":
                wanted[type] = seen
        return wanted

    async def _write(self, client: Client, kept: dict[str, Condition], wanted: dict[str, Condition]) -> None:
        """Events first: who dies in between tells them again under the same name, and loses none."""
        begun = [c for c in holding(wanted) if c.type not in {each.type for each in holding(kept)}]
        about = await self._about(client, kept) if begun else None
        if about is not None:
            await asyncio.gather(*(_record(client, about, condition) for condition in begun))
        await self._store(client).save({names.CONDITIONS_ENTRY: saved(wanted)})
        if self._kept is kept:
            self._kept = wanted

    async def _about(self, client: Client, kept: dict[str, Condition]) -> Manifest | None:
        """The ConfigMap, which Events are about, made where it is missing."""
        found = await client.get(self._key)
        if found is None:
            await self._store(client).save({names.CONDITIONS_ENTRY: saved(kept)})
            found = await client.get(self._key)
        return found

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


def holding(conditions: dict[str, Condition]) -> list[Condition]:
    """Those that are so now, and that somebody should read."""
    return [conditions[type] for type in sorted(conditions) if conditions[type].status == "True"]


def saved(conditions: dict[str, Condition]) -> dict[str, dict[str, str]]:
    return {
        c.type: {"status": c.status, "reason": c.reason, "message": c.message, "since": timestamp(c.since)}
        for c in conditions.values()
    }


def restored(said: Any) -> dict[str, Condition]:
    """What `saved` made; an entry that somebody has garbled is left out."""
    conditions = {}
    for type, found in said.items() if isinstance(said, dict) else ():
        with suppress(KeyError, TypeError, ValueError):
            since = datetime.fromisoformat(found["since"]).timestamp()
            conditions[type] = Condition(type, found["status"], found["reason"], found["message"], since)
    return conditions


async def _record(client: Client, about: Manifest, condition: Condition) -> None:
    message = f"{condition.reason}: {condition.message}"
    await events.record(client, about, condition.type, message, "Warning")
