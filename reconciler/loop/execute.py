"""Steps into calls. One workspace's failure stops only its own later steps; what waits is never awaited."""

import asyncio
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from ..cluster.apply import dropped_fields, install_crd
from ..cluster.cache import Cache
from ..cluster.client import Client
from ..errors import ReconcilerError
from ..model.names import WorkspaceId
from ..model.plan import (
    Applied,
    ApplyObject,
    CreatePool,
    DeleteObject,
    DeletePool,
    Failure,
    InstallCrd,
    ScalePool,
    Step,
    by_workspace,
)
from ..model.world import Desired, Manifest
from ..provisioners import Provisioner
from .facts import Facts

log = structlog.get_logger(__name__)


@dataclass
class Hands:
    """What steps are carried out with."""

    client: Client
    cache: Cache
    facts: Facts
    provisioners: Mapping[str, Provisioner]
    crd: Manifest
    touched_drivers: set[str] = field(default_factory=set)
    """Drivers whose pools were changed in this cycle, and must be looked at again."""

    async def execute(self, steps: Sequence[Step], desired: Desired) -> Applied:
        groups = by_workspace(steps)
        results = await asyncio.gather(*(self._in_order(id, group, desired) for id, group in groups.items()))
        return Applied(
            tuple(step for done, _, _ in results for step in done),
            tuple(failure for _, failure, _ in results if failure is not None),
            tuple(step for _, _, left in results for step in left),
        )

    async def _in_order(
        self, id: WorkspaceId, steps: list[Step], desired: Desired
    ) -> tuple[list[Step], Failure | None, list[Step]]:
        for number, step in enumerate(steps):
            failure = await self._tried(id, step, desired)
            if failure is not None:
                return steps[:number], failure, steps[number + 1 :]
        return steps, None, []

    async def _tried(self, id: WorkspaceId, step: Step, desired: Desired) -> Failure | None:
        try:
            want = desired.workspaces.get(id)
            await self._perform(step, want.impersonate if want is not None else "")
        except ReconcilerError as error:
            after = error.retry_after if error.retry_after is not None else _default_retry(error)
            return Failure(id, step, error.reason, str(error), after)
        except Exception as error:
            log.exception("bug", workspace=str(id), step=step.why)
            last = traceback.extract_tb(error.__traceback__)[-1]
            return Failure(id, step, "Bug", f"{type(error).__name__} at {last.name}: {error}", 60.0)
        self.facts.corrected(step)
        return None

    async def _perform(self, step: Step, impersonate: str) -> None:
        match step.action:
            case InstallCrd():
                await install_crd(self.client, self.crd)
                self.cache.retry("Workspace")
            case CreatePool(_, pool) | ScalePool(_, pool, _):
                self.touched_drivers.add(pool.driver)
                await self.provisioners[pool.driver].apply(step.action)
            case DeletePool(_, driver):
                self.touched_drivers.add(driver)
                await self.provisioners[driver].apply(step.action)
            case ApplyObject(wanted):
                live = await self.client.apply(wanted.manifest, impersonate=impersonate)
                uid = str(live.get("metadata", {}).get("uid", ""))
                self.facts.was_dropped(wanted.key, uid, dropped_fields(wanted.manifest, live))
                self.cache.note(live)
            case DeleteObject(key, uid):
                if not await self.client.delete(key, uid=uid):
                    self.cache.forget(key, uid)


def _default_retry(error: ReconcilerError) -> float | None:
    """InvalidSpec waits for a new commit; everything else is tried again with back-off."""
    return None if error.reason == "InvalidSpec" else 0.0
