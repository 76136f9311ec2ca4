"""Steps into calls. One workspace's failure stops only its own later steps; what waits is never awaited."""

import asyncio
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
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

PATIENCE = 1.0
"""Seconds a cycle waits for its steps; one slow or failing workspace holds up no other for longer."""


@dataclass
class Hands:
    """What steps are carried out with."""

    client: Client
    cache: Cache
    facts: Facts
    provisioners: Mapping[str, Provisioner]
    crd: Manifest
    finished: Callable[[Iterable[WorkspaceId]], None] = lambda _: None
    """Told of workspaces whose steps took longer than their cycle, once they are through."""
    touched_drivers: set[str] = field(default_factory=set)
    """Drivers whose pools were changed in this cycle, and must be looked at again."""
    _running: dict[WorkspaceId, asyncio.Task[Applied]] = field(default_factory=dict)
    _late: list[Applied] = field(default_factory=list)

    async def execute(self, steps: Sequence[Step], desired: Desired) -> Applied:
        """Begins the steps of all workspaces at once and waits for those that are quick.

        A slow workspace goes on by itself: its steps count as unattempted until it is through, and what
        came of them is in the result of the next call.
        """
        groups = by_workspace(steps)
        busy = [step for id in groups.keys() & self._running.keys() for step in groups[id]]
        tasks = {
            asyncio.create_task(self._in_order(id, group, desired)): id
            for id, group in groups.items()
            if id not in self._running
        }
        results = [*self._late, Applied(unattempted=tuple(busy))]
        self._late.clear()
        if tasks:
            done, slow = await asyncio.wait(tasks, timeout=PATIENCE)
            results += [task.result() for task in done]
            results += [self._left_running(tasks[task], task, groups) for task in slow]
        return _together(results)

    async def close(self) -> None:
        """Cuts off what still runs: the next process finds out how far it got."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _left_running(
        self, id: WorkspaceId, task: asyncio.Task[Applied], groups: Mapping[WorkspaceId, list[Step]]
    ) -> Applied:
        def ended(ended_task: asyncio.Task[Applied]) -> None:
            del self._running[id]
            if not ended_task.cancelled():
                self._late.append(ended_task.result())
                self.finished((id,))

        self._running[id] = task
        task.add_done_callback(ended)
        return Applied(unattempted=tuple(groups[id]))

    async def _in_order(self, id: WorkspaceId, steps: list[Step], desired: Desired) -> Applied:
        for number, step in enumerate(steps):
            failure = await self._tried(id, step, desired)
            if failure is not None:
                return Applied(tuple(steps[:number]), (failure,), tuple(steps[number + 1 :]))
        return Applied(tuple(steps))

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


def _together(results: Iterable[Applied]) -> Applied:
    everything = list(results)
    return Applied(
        tuple(step for each in everything for step in each.done),
        tuple(failure for each in everything for failure in each.failures),
        tuple(step for each in everything for step in each.unattempted),
    )


def _default_retry(error: ReconcilerError) -> float | None:
    """InvalidSpec waits for a new commit; everything else is tried again with back-off."""
    return None if error.reason == "InvalidSpec" else 0.0
