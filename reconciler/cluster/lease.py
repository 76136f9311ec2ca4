"""One writer at a time: a coordination.k8s.io Lease.

A write is allowed only while the last confirmed renewal is younger than two thirds of the lease
time, counted from before it was sent, so a holder that lost touch stops well before another may
begin. Others' renewals are judged by our own clock only: a lease is free once it has not changed
for its whole duration while we looked.
"""

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from reconciler.errors import Conflict, NotFound, ReconcilerError
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .client import Client
from .state import ensure_namespace

_log = structlog.get_logger(__name__)


class Leadership:
    """Campaigns from `start` to `close`. `on_change` is told True or False as `held` changes."""

    def __init__(  # noqa: PLR0913
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        seconds: float,
        on_change: Callable[[bool], None],
    ) -> None:
        """`identity` must differ between processes; `seconds` is the lease time."""
        self._client = client
        self._key = ObjectKey("Lease", namespace, name)
        self._identity = identity
        self._seconds = seconds
        self._on_change = on_change
        self._until = 0.0
        self._told = False
        self._expiry: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._lease: Manifest | None = None
        self._observed = ("", 0.0)

    @property
    def held(self) -> bool:
        return time.monotonic() < self._until

    async def start(self) -> None:
        """Begins to campaign, and returns at once."""
        self._task = asyncio.create_task(self._campaign(), name=f"lease {self._key.name}")

    async def close(self) -> None:
        """Stops; a held lease is released so that another can begin at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        lease = self._lease if self.held else None
        self._lose()
        if lease is not None:
            await self._release(lease)

    async def _campaign(self) -> None:
        while True:
            pause = self._seconds / 3
            try:
                async with asyncio.timeout(pause):
                    await self._turn()
            except (TimeoutError, ReconcilerError) as error:
                self._lease = None
                pause = self._seconds / 10
                _log.warning(
                    "lease not renewed", lease=str(self._key), error=str(error) or "no answer in time"
                )
            except Exception:
                _log.exception("lease not renewed", lease=str(self._key), reason="Bug")
            await asyncio.sleep(pause)

    async def _turn(self) -> None:
        sent = time.monotonic()
        lease = self._lease or await self._client.get(self._key)
        if lease is None:
            self._lease = await self._create()
        elif self._may_take(lease):
            self._lease = await self._client.replace({**lease, "spec": self._spec(lease.get("spec") or {})})
        else:
            self._lease = None
            self._lose()
            return
        self._confirm(sent)

    def _may_take(self, lease: Manifest) -> bool:
        spec, version = lease.get("spec") or {}, str(lease["metadata"]["resourceVersion"])
        if version != self._observed[0]:
            self._observed = (version, time.monotonic())
        if spec.get("holderIdentity") in (None, "", self._identity):
            return True
        duration = float(spec.get("leaseDurationSeconds") or self._seconds)
        return time.monotonic() - self._observed[1] > duration

    def _confirm(self, sent: float) -> None:
        """Valid from before the request was sent: the server cannot have counted from earlier."""
        self._until = sent + self._seconds * 2 / 3
        if self._expiry is not None:
            self._expiry.cancel()
        remaining = max(0.0, self._until - time.monotonic())
        self._expiry = asyncio.get_running_loop().call_later(remaining, self._lose)
        self._tell(self.held)

    def _lose(self) -> None:
        self._until = 0.0
        if self._expiry is not None:
            self._expiry.cancel()
        self._tell(False)

    def _tell(self, held: bool) -> None:
        if held != self._told:
            self._told = held
            self._on_change(held)

    def _spec(self, was: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = was.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": math.ceil(self._seconds),
            "renewTime": now,
            "acquireTime": was.get("acquireTime", now) if mine else now,
            "leaseTransitions": int(was.get("leaseTransitions") or 0) + (0 if mine else 1),
        }

    async def _create(self) -> Manifest:
        metadata = {"name": self._key.name, "namespace": self._key.namespace}
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": self._spec({}),
        }
        try:
            return await self._client.create(lease)
        except NotFound:
            await ensure_namespace(self._client, self._key.namespace)
            return await self._client.create(lease)

    async def _release(self, lease: Manifest) -> None:
        spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            async with asyncio.timeout(self._seconds / 3):
                await self._client.replace({**lease, "spec": spec})
        except Conflict:
            return  # somebody else has it already
        except (TimeoutError, ReconcilerError) as error:
            _log.warning("lease not released", lease=str(self._key), error=str(error) or "no answer in time")
