"""What was approved on a pull request lets through what is held after its merge."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog

from .. import telemetry
from ..errors import InvalidSpec, NotPermitted
from ..forge import Forge
from ..model import names
from ..model.news import News
from ..model.review import Approval, Request
from ..model.settings import ReviewSettings
from ..planning.verdict import fingerprints
from .rounds import Report, rounds

log = structlog.get_logger(__name__)

Held = Callable[[], Mapping[str, str]]
"""The revision at which each group, by its fingerprint, was held first."""


class Approvals:
    """`acknowledge` lets a group through; the settings' `approvers` may have it so, or all members.

    A team that cannot be read has nobody in it.
    """

    def __init__(
        self,
        forge: Forge,
        cluster: str,
        held: Held,
        acknowledge: Callable[[str], Awaitable[None]],
        settings: ReviewSettings,
    ) -> None:
        self._forge = forge
        self._context = names.check_context(cluster, "plan")
        self._held = held
        self._acknowledge = acknowledge
        self._approvers = settings.approvers
        self._pause = settings.poll_seconds
        self._wake = asyncio.Event()
        self._known: dict[str, str] = {}

    async def tell(self, news: News) -> None:
        """A group that was not held before is looked at without waiting."""
        if dict(self._held()) != self._known:
            self._wake.set()

    async def run(self, report: Report) -> None:
        """Runs until cancelled."""
        await rounds(self._look, self._wake, self._pause, report)

    async def _look(self) -> float | None:
        """Seconds after which to look again while something is held: a yes may come after the merge."""
        self._known = dict(self._held())
        for revision in sorted(set(self._known.values())):
            await self._look_for({fp for fp, since in self._known.items() if since == revision}, revision)
        return self._pause if self._known else None

    async def _look_for(self, groups: Collection[str], revision: str) -> None:
        request = await self._forge.merged_as(revision)
        if request is None:
            return
        given = await self._forge.approvals(request)
        if not given:
            return
        plan = (await self._forge.posted(request.head, request)).get(self._context)
        shown = fingerprints(plan.description) if plan is not None else frozenset[str]()
        approvers = await self._allowed()
        for group in sorted(groups):
            if any(approves(each, group, request, shown, approvers) for each in given):
                log.info("approved on its pull request", group=group, request=request.number)
                await self._acknowledge(group)

    async def _allowed(self) -> frozenset[str] | None:
        """Accounts in lower case; None where any member may."""
        if not self._approvers:
            return None
        teams = [name for name in self._approvers if "/" in name]
        accounts = frozenset(name.casefold() for name in self._approvers if "/" not in name)
        return accounts.union(*[await self._members(team) for team in teams])

    async def _members(self, team: str) -> frozenset[str]:
        try:
            return await self._forge.members(team)
        except (InvalidSpec, NotPermitted) as error:
            telemetry.failed(error.reason)
            log.warning("team not read", team=team, reason=error.reason, message=str(error))
            return frozenset()


def approves(
    given: Approval, group: str, request: Request, shown: Collection[str], approvers: Collection[str] | None
) -> bool:
    """A label names the group; a review approves what the check `plan` of that very head showed.

    Nobody approves their own request, and an account nobody can name approves nothing.
    """
    who = given.who.casefold()
    if not who or who == request.author.casefold() or (approvers is not None and who not in approvers):
        return False
    if given.how == "label":
        return given.label == names.ACK_LABEL + group
    return given.sha == request.head and group in shown
