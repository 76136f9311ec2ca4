"""What is the same for every forge: what it says already is not said again, one thing is said at a time."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.errors import InvalidSpec, Unavailable
from reconciler.model.review import Approval, Check, Posted, Request

from . import text
from .wire import Wire

_REMEMBERED = 512
"""Commits whose checks are kept in mind."""
TEAM_SECONDS = 300.0
"""How long a team is taken to have the members that it had."""

Place = tuple[str, int | None]
"""A commit, and the request it is told on where that matters."""


@dataclass(frozen=True, slots=True)
class Comment:
    id: str
    author: str
    """The account's id or name, whichever `_account` gives."""
    text: str


class Driver(ABC):
    """A forge by the few things in which forges differ."""

    description_limit: int
    """Code points."""
    comment_limit: int

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._writing = asyncio.Lock()
        self._told: dict[Place, dict[str, Check]] = {}
        self._open: Sequence[Request] = ()
        self._own = ""
        self._teams: dict[str, tuple[float, frozenset[str]]] = {}
        """When each was asked for, by the monotonic clock, and who was in it."""

    async def open_requests(self) -> Sequence[Request]:
        """Those that are as before are the same objects as before. One may have no head for a moment."""
        before = {request.number: request for request in self._open}
        found = [request for request in await self._list() if request.head]
        self._open = [before[r.number] if before.get(r.number) == r else r for r in found]
        return self._open

    async def post(self, sha: str, check: Check, request: Request | None = None) -> None:
        told = self._as_told(check)
        async with self._writing:
            known = self._told.get(self._place(sha, request))
            if known is None:
                known = await self._recall(sha, request)
            if known.get(told.context) != told:
                await self._tell(sha, told, request, known)

    async def posted(self, sha: str, request: Request | None = None) -> Posted:
        async with self._writing:
            return dict(await self._recall(sha, request))

    async def comment(self, request: Request, marker: str, body: str) -> None:
        wanted = text.comment(marker, body, self.comment_limit)
        async with self._writing:
            own = await self._account()
            mark = text.hidden(marker)
            ours = (c for c in await self._comments(request) if c.author == own and c.text.startswith(mark))
            found = next(ours, None)
            if found is None:
                await self._add_comment(request, wanted)
            elif not text.same(found.text, wanted):
                await self._edit_comment(request, found.id, wanted)

    async def members(self, team: str) -> frozenset[str]:
        at, found = self._teams.get(team, (-TEAM_SECONDS, frozenset()))
        if time.monotonic() - at < TEAM_SECONDS:
            return found
        try:
            found = frozenset(who.casefold() for who in await self._members(team))
        except InvalidSpec as error:
            raise InvalidSpec(
                f"review.approvers: {team} is shown to this login as no team ({error})"
            ) from None
        self._teams[team] = (time.monotonic(), found)
        return found

    async def close(self) -> None:
        await self._wire.close()

    async def _tell(self, sha: str, check: Check, request: Request | None, known: dict[str, Check]) -> None:
        """After a failure nobody knows what was heard, so it is read back before the next try."""
        try:
            await self._send(sha, check, request, known.get(check.context))
        except (Unavailable, asyncio.CancelledError):
            self._forget(self._place(sha, request))
            raise
        known[check.context] = check

    async def _recall(self, sha: str, request: Request | None) -> dict[str, Check]:
        known = self._told[self._place(sha, request)] = await self._said(sha, request)
        if len(self._told) > _REMEMBERED:
            self._forget(next(iter(self._told)))
        return known

    def _forget(self, place: Place) -> None:
        self._told.pop(place, None)

    def _place(self, sha: str, request: Request | None) -> Place:
        return sha, request.number if request else None

    def _as_told(self, check: Check) -> Check:
        """As the forge will show it: here without remarks on lines, which most have not."""
        short = text.line(check.description, self.description_limit)
        return replace(check, description=short, annotations=())

    async def _account(self) -> str:
        """Who we are there, asked once."""
        if not self._own:
            self._own = await self._who()
        return self._own

    @abstractmethod
    async def approvals(self, request: Request) -> Sequence[Approval]: ...

    @abstractmethod
    async def _members(self, team: str) -> Sequence[str]:
        """Names of the accounts; InvalidSpec where there is no such team."""

    @abstractmethod
    async def merged_as(self, sha: str) -> Request | None: ...

    @abstractmethod
    async def _list(self) -> list[Request]:
        """The open requests."""

    @abstractmethod
    async def _said(self, sha: str, request: Request | None) -> dict[str, Check]:
        """The newest check of each context."""

    @abstractmethod
    async def _send(self, sha: str, check: Check, request: Request | None, before: Check | None) -> None:
        """`before` is what the forge says of that context now."""

    @abstractmethod
    async def _who(self) -> str: ...

    @abstractmethod
    async def _comments(self, request: Request) -> Sequence[Comment]:
        """Oldest first."""

    @abstractmethod
    async def _add_comment(self, request: Request, body: str) -> None: ...

    @abstractmethod
    async def _edit_comment(self, request: Request, id: str, body: str) -> None: ...


def moment(stamp: str) -> datetime:
    """ISO 8601 with a zone, as forges write it; ValueError where there is none."""
    at = datetime.fromisoformat(stamp)
    if at.tzinfo is None:
        raise ValueError(f"{stamp} has no time zone")
    return at


def still_meant(label: Approval, arrived: datetime | None, head: str) -> Approval | None:
    """A label for the head it was set on, given when that head arrived; None where it is older than it."""
    if arrived is None:
        return label
    return replace(label, sha=head) if label.at > arrived else None
