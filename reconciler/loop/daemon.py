"""What wakes the cycle: commits, watch events, the cloud, timers. A wake-up only names workspaces."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import structlog

from .. import telemetry
from ..errors import ReconcilerError
from ..model.declared import Declarations
from ..model.names import WorkspaceId
from ..model.settings import Timing
from ..model.world import Desired
from ..planning.manifests import Context
from ..planning.resolve import Memo, changed_between, resolve_again
from ..provisioners import Provisioner
from .conditions import SOURCE_UNREADABLE
from .cycle import Report, World, reconcile_once
from .ledger import acknowledged
from .wakeups import Scope, Wakeups

log = structlog.get_logger(__name__)

LONGEST_CYCLE = 600.0
"""Seconds after which a cycle that has not ended makes the daemon unhealthy."""

SWEEP_SECONDS = 3600.0
"""Between looks for garbage through all there is."""

AFTER_BUG = 5.0
"""Seconds before a task that ended is begun again."""

BATCH = 0.01
"""Seconds in which wake-ups are gathered into one cycle."""


class Source(Protocol):
    async def refresh(self) -> Declarations: ...

    def wakeups(self) -> AsyncIterator[None]: ...

    async def messages_since(self, revision: str) -> Sequence[str]: ...


class Daemon:
    def __init__(
        self, world: World, source: Source, context: Context, timing: Timing, wakeups: Wakeups
    ) -> None:
        self.world = world
        self.wakeups = wakeups
        self.desired: Desired | None = None
        self.on_revision: Callable[[Desired, frozenset[WorkspaceId]], None] = lambda *_: None
        """Told of each revision, and of the workspaces that it changed."""
        self.source_error = ""
        self.last_cycle = 0.0
        self._source = source
        self.context = context
        self._timing = timing
        self.memo: Memo = {}
        self._cycle_began = 0.0
        self._acknowledged_in = ""
        self._settled_in = ""
        self._swept = time.monotonic()
        self._timers: dict[WorkspaceId, asyncio.TimerHandle] = {}
        self._look = asyncio.Event()

    # --- what probes ask

    @property
    def hangs(self) -> bool:
        """Whether one cycle has been going on for longer than any should."""
        return self._cycle_began > 0 and time.monotonic() - self._cycle_began > LONGEST_CYCLE

    @property
    def missing(self) -> list[str]:
        """What a first plan still waits for; empty once there was one."""
        if self.last_cycle:
            return []
        if self.desired is None:
            return [self.source_error or "the source has not been read yet"]
        return ["nothing has been planned yet"]

    # --- the tasks

    async def run(self) -> None:
        """Runs until cancelled."""
        await self._look_once()
        async with asyncio.TaskGroup() as tasks:
            for what in (self._follow_source, self._follow_cloud, self._full_passes, self._cycles):
                tasks.create_task(for_ever(what, what.__name__), name=what.__name__)
            if self.world.asked is not None:
                tasks.create_task(for_ever(self._follow_asked, "acknowledgements"))

    async def _follow_source(self) -> None:
        await self._refresh()
        async for _ in self._source.wakeups():
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            declarations = await self._source.refresh()
        except ReconcilerError as error:
            if str(error) != self.source_error:
                log.warning("source unreadable", reason=error.reason, message=str(error))
            self.source_error = str(error)
            self.world.conditions.report(SOURCE_UNREADABLE, error.reason, str(error))
            telemetry.failed(error.reason)
            return
        self.source_error = ""
        self.world.conditions.report(SOURCE_UNREADABLE, "", "")
        telemetry.source_read(declarations.revision)
        if self.desired is None or declarations.revision != self.desired.revision:
            await self._take(declarations)

    async def _take(self, declarations: Declarations) -> None:
        before = self.desired
        self.desired, self.memo = resolve_again(declarations, self.context, self.memo)
        changed = changed_between(before, self.desired)
        self.world.rollout.begin(self.desired.revision, changed, time.time() if before else None)
        log.info("revision", revision=self.desired.revision, changed=len(changed))
        self.on_revision(self.desired, changed)
        if before is None:
            self.wakeups.mark_all()
        self.wakeups.mark(changed | (self.world.view.fleet.keys() - self.desired.workspaces.keys()))

    async def _take_acknowledgements(self, desired: Desired) -> None:
        """From commits, once for each revision; also from those that came while nobody led."""
        since = self.world.ledger.oldest_revision
        if not self.world.may_write or self._acknowledged_in == desired.revision:
            return
        self._acknowledged_in = desired.revision
        if since is None:
            return
        try:
            for fingerprint in acknowledged(await self._source.messages_since(since)):
                await self.acknowledge(fingerprint)
        except ReconcilerError as error:  # no reason to stop other work
            log.warning("acknowledgements not taken", reason=error.reason, message=str(error))
            asyncio.get_running_loop().call_later(error.retry_after or 30.0, self._acknowledgements_again)

    def _acknowledgements_again(self) -> None:
        self._acknowledged_in = ""
        self.wakeups.resync()

    async def acknowledge(self, fingerprint: str) -> None:
        members = await self.world.ledger.acknowledge(fingerprint, time.time())
        if members:
            log.info("acknowledged", group=fingerprint, members=len(members))
            self.wakeups.mark(WorkspaceId.parse(m.partition(" ")[2]) for m in members)

    async def _follow_asked(self) -> None:
        """What `reconciler ack` left is taken by the process that leads."""
        asked = self.world.asked
        assert asked is not None
        async for fingerprints in asked.fingerprints():
            if not self.world.may_write:
                continue
            try:
                for fingerprint in fingerprints:
                    await self.acknowledge(fingerprint)
                await asked.taken(fingerprints)
            except ReconcilerError as error:
                log.warning("acknowledgement not taken", reason=error.reason, message=str(error))
                asyncio.get_running_loop().call_later(error.retry_after or 5.0, asked.look)

    async def _follow_cloud(self) -> None:
        """Looks when something was asked of the cloud, often while pools change, rarely otherwise."""
        while True:
            soon = self.world.view.transitional or bool(self.world.view.drivers_unseen)
            pause = self._timing.cloud_poll_seconds if soon else self._timing.full_pass_seconds
            try:
                async with asyncio.timeout(pause):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            await self._look_once()

    async def _look_once(self) -> None:
        for name, driver in self.world.hands.provisioners.items():
            await self._look_at(name, driver)

    async def _look_at(self, name: str, driver: Provisioner) -> None:
        was_unseen = name in self.world.view.drivers_unseen
        try:
            self.world.view.pools_seen(name, await driver.observe())
        except ReconcilerError as error:
            self.world.view.driver_unseen(name)
            telemetry.failed(error.reason)
            log.warning("driver unreadable", driver=name, reason=error.reason, message=str(error))
        if was_unseen != (name in self.world.view.drivers_unseen):
            self.wakeups.mark_all()

    async def _full_passes(self) -> None:
        while True:
            await asyncio.sleep(self._timing.full_pass_seconds)
            self.wakeups.resync()

    async def _cycles(self) -> None:
        while True:
            await self.wakeups.wait()
            await asyncio.sleep(BATCH)
            if self.desired is None:
                self.wakeups.take()
            else:
                self._cycle_began = time.monotonic()
                await self._cycle(self.desired)
                self._cycle_began = 0.0

    # --- one cycle

    async def _cycle(self, desired: Desired) -> None:
        marked, which = self.wakeups.take()
        scope = self._scope(marked, which, desired)
        started = time.monotonic()
        try:
            await self._take_acknowledgements(desired)
            report = await reconcile_once(self.world, desired, scope, time.time())
        except ReconcilerError as error:
            log.warning("cycle failed", reason=error.reason, message=str(error))
            telemetry.cycle_failed(error.reason)
            self._again(scope, error.retry_after or 1.0)
            return
        except Exception:
            log.exception("bug", workspaces=len(scope))
            telemetry.cycle_failed("Bug")
            self._again(scope, 10.0)
            return
        self._settle(desired.revision)
        self.last_cycle = time.time()
        telemetry.cycle(report.applied, time.monotonic() - started, full=which != "marked")
        self._set_timers(report)
        self._after_pools()

    def _settle(self, revision: str) -> None:
        """What a revision declares stays: looking through it again and again for garbage would take half a
        second for ten thousand workspaces, every few plans. Once an hour what was frozen is looked through
        as well, for much of it is of no use any more."""
        if revision == self._settled_in:
            return
        self._settled_in = revision
        if time.monotonic() - self._swept >= SWEEP_SECONDS:
            self._swept = time.monotonic()
            gc.unfreeze()
        gc.collect()
        gc.freeze()

    def _scope(
        self, marked: frozenset[WorkspaceId], which: Scope, desired: Desired
    ) -> frozenset[WorkspaceId]:
        """A resync looks at what is not as it was when last looked at; each such finding is a counted bug."""
        if which == "marked":
            return marked
        known = everything(desired, self.world)
        if which == "all":
            return marked | known
        differing = {id for id in known if self.world.view.differs(id, desired.workspaces.get(id))}
        telemetry.missed_changes(len(differing - marked))
        return marked | differing

    def _again(self, scope: Iterable[WorkspaceId], seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.wakeups.mark, list(scope))

    def _after_pools(self) -> None:
        if self.world.hands.touched_drivers:
            self.world.hands.touched_drivers.clear()
            self._look.set()

    def _set_timers(self, report: Report) -> None:
        for id in report.scope:
            if (timer := self._timers.pop(id, None)) is not None:
                timer.cancel()
        loop = asyncio.get_running_loop()
        for id, seconds in due_times(report, self.world).items():
            self._timers[id] = loop.call_later(seconds, self.wakeups.mark, (id,))


async def for_ever(what: Callable[[], Awaitable[None]], name: str) -> None:
    """A bug in one task is told and does not end the others."""
    while True:
        try:
            await what()
        except ReconcilerError as error:
            log.warning("interrupted", task=name, reason=error.reason, message=str(error))
        except Exception:
            log.exception("bug", task=name)
            telemetry.cycle_failed("Bug")
        await asyncio.sleep(AFTER_BUG)


def due_times(report: Report, world: World) -> dict[WorkspaceId, float]:
    """Seconds after which a workspace must be looked at though no event may come."""
    due = world.backoff.due_in(report.applied.failures, report.observed.now)
    for hold in report.plan.holds:
        if hold.recheck_after is not None and hold.workspace in report.scope:
            soonest = min(hold.recheck_after, due.get(hold.workspace, hold.recheck_after))
            due[hold.workspace] = max(0.05, soonest)
    return due


def everything(desired: Desired, world: World) -> frozenset[WorkspaceId]:
    return frozenset({*desired.workspaces, *desired.invalid, *world.view.known, *world.statuses})
