"""After the merge: how far each commit of the watched ref has come, as the checks `apply` and `ready`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from ..forge import Forge
from ..model.names import WorkspaceId
from ..model.news import News
from ..model.review import Check, CheckState
from ..model.status import FINAL, WorkspaceStatus
from ..model.world import Desired
from ..planning.verdict import Teller
from .rounds import Report, rounds

RETRY_SECONDS = 30.0
EARLIER = 20
"""Commits before the first that a process knows, among which it closes what was left open."""
CALM_SECONDS = 30.0
"""Pause between descriptions of one state: a thousand workspaces become ready one by one."""
Statuses = Mapping[WorkspaceId, WorkspaceStatus]


@dataclass(slots=True)
class Commit:
    """A revision and the workspaces that it changed; `since` is by the monotonic clock."""

    sha: str
    changed: frozenset[WorkspaceId]
    declared: frozenset[WorkspaceId]
    """Those of them that it still declares."""
    unreadable: str
    """Files of it that cannot be read, nor be told whose they are; empty where there are none."""
    since: float
    told: dict[str, Check] = field(default_factory=dict)
    told_at: dict[str, float] = field(default_factory=dict)
    over: bool = False
    """Nothing of it is waited for any more, though a late approval may still change what is so."""
    resumed: bool = False
    """It was the newest when this process began: an earlier one may have told of it."""
    closed: bool = False
    """An earlier process told of it to its end."""


class RolloutChecks:
    """Tells of the newest commit; one that is overtaken is closed."""

    def __init__(
        self,
        forge: Forge,
        cluster: str,
        ready_seconds: float,
        leads: Callable[[], bool],
        before: Callable[[str, int], Awaitable[Sequence[str]]],
    ) -> None:
        """`before` gives up to so many commits that came before one, newest first."""
        self._forge = forge
        self._before = before
        self._unclosed = True
        self._teller = Teller(cluster)
        self._deadline = ready_seconds
        self._leads = leads
        self._commits: list[Commit] = []
        self._statuses: Statuses = {}
        self._wake = asyncio.Event()

    def begin(self, desired: Desired, changed: Set[WorkspaceId]) -> None:
        """A commit came; what was told of older ones is over."""
        declared = changed & (desired.workspaces.keys() | desired.invalid.keys())
        nameless = sorted(file.path for file in desired.broken.values() if file.identities is None)
        unreadable = f"cannot be read: {', '.join(nameless[:3])}" if nameless else ""
        if not any(commit.sha == desired.revision for commit in self._commits):
            now, kept = time.monotonic(), frozenset(declared)
            commit = Commit(desired.revision, frozenset(changed), kept, unreadable, now)
            commit.resumed = not self._commits
            self._commits.append(commit)
            self._wake.set()

    @property
    def newest(self) -> Commit:
        return self._commits[-1]

    async def tell(self, news: News) -> None:
        self._statuses = news.all
        self._wake.set()

    async def run(self, report: Report) -> None:
        """Runs until cancelled."""
        await rounds(self._look, self._wake, RETRY_SECONDS, report)

    async def _look(self) -> float | None:
        """Seconds after which to look though nothing may wake us: a deadline, or whether it is our turn."""
        if not self._leads():
            return RETRY_SECONDS
        await self._tell_all()
        left = [c.since + self._deadline - time.monotonic() for c in self._commits if not c.over]
        return max(0.1, min(left)) if left else None

    async def _tell_all(self) -> None:
        """A commit that comes meanwhile is told of, and closes others, the next time."""
        if not self._commits:
            return
        *older, newest = self._commits
        for commit in older:
            await self._post(commit, tuple(self._overtaken(commit, newest)))
            self._commits.remove(commit)
        if newest.resumed:
            await self._resume(newest)
        await self._post(newest, self._checks(newest))
        if self._unclosed:
            await self._close_earlier(newest)
            self._unclosed = False

    async def _post(self, commit: Commit, checks: Iterable[Check]) -> None:
        for check in checks:
            if is_news(check, commit):
                await self._forge.post(commit.sha, check)
                commit.told[check.context] = check
                commit.told_at[check.context] = time.monotonic()

    async def _resume(self, commit: Commit) -> None:
        """What was told to its end is not begun again because of a restart."""
        known = await self._forge.posted(commit.sha)
        told = [known.get(self._teller.check(stage, "pending", "").context) for stage in _WORDS]
        commit.closed = commit.over = all(check is not None and check.state == "success" for check in told)
        commit.resumed = False

    async def _close_earlier(self, by: Commit) -> None:
        """What another process left open of commits before the first that this one knows.

        When a commit was told of to its end, all before it were closed.
        """
        for sha in await self._before(by.sha, EARLIER):
            known = await self._forge.posted(sha)
            told = [known.get(self._teller.check(stage, "pending", "").context) for stage in _WORDS]
            for check in told:
                if check is not None and check.state == "pending":
                    await self._forge.post(sha, self._superseded(check, by))
            if all(check is not None and check.state != "pending" for check in told):
                return

    def _checks(self, commit: Commit) -> tuple[Check, ...]:
        if commit.closed:
            return ()
        apply, ready = (progress(commit, stage, self._statuses) for stage in ("apply", "ready"))
        if ready[0] == "pending" and time.monotonic() - commit.since >= self._deadline:
            ready = ("failure", f"after {self._deadline / 3600:g} h, {ready[1]}")
        commit.over = "pending" not in (apply[0], ready[0])
        return self._teller.check("apply", *apply), self._teller.check("ready", *ready)

    def _overtaken(self, commit: Commit, by: Commit) -> Iterator[Check]:
        """Only what is still open is closed; a commit nobody was told of needs no closing."""
        for check in commit.told.values():
            if check.state == "pending":
                yield self._superseded(check, by)

    def _superseded(self, check: Check, by: Commit) -> Check:
        stage = check.context.rpartition("/")[2]
        return self._teller.check(stage, "neutral", f"superseded by {by.sha[:12]}")


def is_news(check: Check, commit: Commit) -> bool:
    """Another state at once; another count now and then, for forges take only so many."""
    before = commit.told.get(check.context)
    if before is None or before.state != check.state:
        return True
    rests = time.monotonic() - commit.told_at.get(check.context, 0.0) < CALM_SECONDS
    return before != check and not (check.state == "pending" and rests)


def progress(commit: Commit, stage: str, statuses: Statuses) -> tuple[CheckState, str]:
    """State and description of `apply` or `ready`."""
    if commit.unreadable:
        return "failure", commit.unreadable
    if not commit.changed:
        return "success", "nothing changed"
    found = {id: _newest(statuses.get(id), commit) for id in sorted(commit.changed)}
    left = {id: s for id, s in found.items() if not _is_done(stage, s, declared=id in commit.declared)}
    failed = [status for status in left.values() if status is not None and _has_failed(status)]
    if failed:
        return "failure", f"{len(failed)} of {len(found)} failed: {failed[0].id} {failed[0].reason}"
    said = f"{len(found) - len(left)} of {len(found)} {_WORDS[stage]}"
    if not left:
        return "success", said
    waiting, status = next(iter(left.items()))
    why = f": {status.reason}" if status is not None and status.reason else ""
    return "pending", f"{said}, waiting for {waiting}{why}"


def _newest(status: WorkspaceStatus | None, commit: Commit) -> WorkspaceStatus | None:
    """What was found of an older commit tells nothing of this one."""
    return status if status is None or status.revision == commit.sha else _UNSEEN


_UNSEEN = WorkspaceStatus(WorkspaceId("", ""), "Waiting", "", "", "")


_WORDS = {"apply": "applied", "ready": "ready"}


def _is_done(stage: str, status: WorkspaceStatus | None, *, declared: bool) -> bool:
    """A workspace that is gone has no status any more; one that is new has none yet."""
    if status is None:
        return not declared
    return status.converged if stage == "apply" else status.ready or status.phase == "Suspended"


def _has_failed(status: WorkspaceStatus) -> bool:
    """It rests, and not where it should: somebody has to act."""
    return status.phase in FINAL and not status.ready
