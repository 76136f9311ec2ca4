"""When the status ref is written, and what is done while it cannot be."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

from .. import telemetry
from ..errors import InvalidSpec, ReconcilerError
from ..model.names import WorkspaceId
from ..model.news import News
from ..model.settings import StatusSettings
from ..model.status import FINAL, WorkspaceStatus
from ..repo.errors import LeaseLost
from ..repo.writer import Branch
from .writer import RefWriter, Result, Wanted

log = structlog.get_logger(__name__)

OnBlocked = Callable[[str, str], None]
"""Told the reason and the message after each try; both are empty where nobody must act."""

GATHER = 1.0
"""Seconds in which what happens together comes into one commit, urgent or not."""
RACE_SECONDS = 5.0
"""How long a ref that others move is tried at a time."""
CLOSE_SECONDS = 10.0


@dataclass
class _Pending:
    """What the ref does not say yet. Only `news` makes a commit; `riders` travel with one."""

    ids: set[WorkspaceId] = field(default_factory=set)
    riders: set[WorkspaceId] = field(default_factory=set)
    gone: set[WorkspaceId] = field(default_factory=set)
    news: bool = False
    urgent: bool = False
    prune: bool = False
    since: float = 0.0

    def restore(self, other: "_Pending") -> None:
        """Takes back what could not be written."""
        self.ids |= other.ids
        self.riders |= other.riders
        self.gone |= other.gone
        self.news |= other.news
        self.urgent |= other.urgent
        self.prune |= other.prune
        self.since = min(filter(None, (self.since, other.since)), default=0.0)


@dataclass
class StatusRef:
    """The channel to one ref. `leaderless`: it writes though this process may not write to the cluster."""

    branch: Branch
    cluster: str
    cluster_id: str
    settings: StatusSettings
    leaderless: bool = False
    retry: tuple[float, float] = (2.0, 60.0)
    """First and longest pause, in seconds, while the server cannot be reached."""
    hold_down: tuple[float, float] = (5.0, 900.0)
    """The same while the server refuses and somebody must act."""
    on_blocked: OnBlocked = lambda reason, message: None

    def __post_init__(self) -> None:
        self.blocked = ""
        """Why somebody must act before anything can be written; empty where nobody must."""
        self._writer = RefWriter(self.branch, (self.cluster, self.cluster_id), self.settings)
        self._known: dict[WorkspaceId, WorkspaceStatus] | None = None
        self._revision = ""
        self._settled: tuple[str, ...] = ()
        self._pending = _Pending()
        self._last = float("-inf")
        self._rest_until = 0.0
        self._failures = 0
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to look at whose ref it is, and returns at once."""
        self._begin()

    async def tell(self, news: News) -> None:
        if self._closed:
            return
        if not (news.may_write or self.leaderless):
            self._known = None
            self._pending = _Pending()
            return
        self._revision = news.revision
        if self._known is None:
            self._take_all(news)
        else:
            self._take(self._known, news)
        if news.settled != self._settled:
            self._settled = news.settled
            self._note_news(False)
        self._schedule()

    async def close(self) -> None:
        """Writes what is pending, unless that would have to wait."""
        self._closed = True
        self._cancel_timer()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if self._task is not None:
                    await self._task
                if self._pending.news and not self.blocked:
                    await self._flush()
        except TimeoutError:
            log.warning("status not written before the end", ref=self.branch.ref)
        self._cancel_timer()

    # --- what is pending

    def _take_all(self, news: News) -> None:
        """The first news as the writer: everything is compared with the ref, which anyone may have moved."""
        self._known = dict(news.all)
        self._pending = _Pending(ids=set(news.all), prune=True)
        self._note_news(True)

    def _take(self, known: dict[WorkspaceId, WorkspaceStatus], news: News) -> None:
        for id, status in news.scope.items():
            before, known[id] = known.get(id), status
            if before is None or before != status:
                self._pending.ids.add(id)
                self._note_news(status.phase in FINAL and (before is None or before.phase != status.phase))
            elif (before.commit, before.line) != (status.commit, status.line):
                self._pending.riders.add(id)
        for id in news.gone:
            if known.pop(id, None) is not None:
                self._pending.gone.add(id)
                self._note_news(False)

    def _note_news(self, urgent: bool) -> None:
        self._pending.news = True
        self._pending.urgent |= urgent
        self._pending.since = self._pending.since or time.monotonic()

    # --- when to write

    def _schedule(self) -> None:
        if not self._pending.news or self._closed or (self._task is not None and not self._task.done()):
            return
        loop = asyncio.get_running_loop()
        interval = self.settings.min_interval_seconds
        soon = loop.time() + min(GATHER, interval)
        at = max(soon if self._pending.urgent else max(soon, self._last + interval), self._rest_until)
        if self._timer is None or at < self._timer.when():
            self._cancel_timer()
            self._timer = loop.call_at(at, self._begin)

    def _begin(self) -> None:
        self._cancel_timer()
        self._task = asyncio.create_task(self._run(), name="status ref")

    async def _run(self) -> None:
        await self._flush()
        self._task = None
        self._schedule()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- writing

    async def _flush(self) -> None:
        taken, self._pending = self._pending, _Pending()
        try:
            result = await self._written(taken)
        except ReconcilerError as error:
            self._failed(taken, error.reason, str(error), must_act=isinstance(error, InvalidSpec))
        except Exception as error:
            log.exception("bug", ref=self.branch.ref)
            self._failed(taken, "Bug", f"{type(error).__name__}: {error}", must_act=False)
        else:
            self._succeeded(taken, result)

    async def _written(self, taken: _Pending) -> Result:
        """Tries again at once where others move the ref: our files are laid over theirs."""
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(LeaseLost),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=stop_before_delay(RACE_SECONDS),
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                return await asyncio.to_thread(self._writer.write, self._wanted(taken))
        raise AssertionError("unreachable: the last attempt raises")

    def _wanted(self, taken: _Pending) -> Wanted:
        known = self._known or {}
        return Wanted(
            revision=self._revision,
            when=time.time(),
            statuses={id: known[id] for id in taken.ids if id in known},
            riders={id: known[id] for id in taken.riders if id in known},
            gone=frozenset(taken.gone),
            settled=self._settled,
            prune=taken.prune and self._known is not None,
        )

    def _succeeded(self, taken: _Pending, result: Result) -> None:
        if self.blocked:
            log.info("status ref can be written again", ref=self.branch.ref)
        self.blocked = ""
        self._failures, self._rest_until = 0, 0.0
        telemetry.write_back_blocked("")
        if taken.news:  # a look at the ref proves nothing
            self.on_blocked("", "")
        if result == "written":
            self._last = asyncio.get_running_loop().time()
        else:
            self._pending.riders |= taken.ids | taken.riders
        if taken.news:
            lag = time.monotonic() - taken.since if result == "written" else None
            telemetry.write_back(result, lag)

    def _failed(self, taken: _Pending, reason: str, text: str, *, must_act: bool) -> None:
        if self._known is not None:
            self._pending.restore(taken)
        self._failures += 1
        first, longest = self.hold_down if must_act else self.retry
        pause = min(longest, first * 2.0 ** min(self._failures - 1, 20)) * random.uniform(0.9, 1.0)
        self._rest_until = asyncio.get_running_loop().time() + pause
        said = telemetry.redacted(f"{reason}: {text}")
        if said != self.blocked or not must_act:
            log.warning("status not written", ref=self.branch.ref, reason=reason, message=text)
        self.blocked = said if must_act else ""
        telemetry.write_back(reason)
        telemetry.write_back_blocked(reason if must_act else "")
        if must_act:
            self.on_blocked(reason, text)
