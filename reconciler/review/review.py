"""Which requests to look at, and when: on a webhook, a move of the branch or the cluster, on a timer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from .. import telemetry
from ..errors import NotPermitted, ReconcilerError, Unavailable
from ..forge import Forge
from ..model.news import News
from ..model.review import Check, Request
from ..planning.verdict import Teller
from .answer import Answer, Answers, may_plan
from .blind import Blind
from .rounds import Report, rounds

log = structlog.get_logger(__name__)

AT_ONCE = 2
"""Requests that are answered at the same time: planning keeps a core busy, and more would only take turns."""
IDLE = 1.0
"""Seconds between looks at whether it is our turn: only one of several processes answers."""
CALM = 1.0
"""Seconds in which changes of the cluster are gathered: most of them are followed by more."""

RETRY_SECONDS = 30.0
"""Before requests that could not be answered are looked at again."""

Key = tuple[str, str, bool]
"""What an answer was made of: head, base branch's commit, and whether it may be planned."""


@dataclass(frozen=True, slots=True)
class _Given:
    key: Key
    version: tuple[object, ...]
    answer: Answer


class Review:
    """Answers the open requests for one branch. A request that nobody may plan is validated all the same."""

    def __init__(
        self, forge: Forge, answers: Answers, branch: str, poll_seconds: float, leads: Callable[[], bool]
    ) -> None:
        """While `answers` are given blind, nothing is told in place of what somebody saw."""
        self.answers = answers
        self.leads = leads
        self._forge = forge
        self._branch = branch
        self._poll = poll_seconds
        self._wake = asyncio.Event()
        self._given: dict[int, _Given] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    # --- what wakes it

    def look(self) -> None:
        """A webhook told of a request, or the branch moved."""
        self._wake.set()

    async def tell(self, news: News) -> None:
        """The cluster may look different: what was planned may come out differently now."""
        if self._given and (news.changed or news.gone):
            asyncio.get_running_loop().call_later(CALM, self._wake.set)

    # --- the rounds

    async def run(self, report: Report) -> None:
        """Runs until cancelled."""
        await rounds(self._look, self._wake, min(self._poll, RETRY_SECONDS), report)

    async def _look(self) -> float:
        """Seconds after which to look again, though nothing may wake us."""
        if not self.leads() or self.answers.merges.current is None:
            return min(self._poll, IDLE)
        return self._poll if await self.round() else min(self._poll, RETRY_SECONDS)

    async def round(self) -> bool:
        """Looks at every open request once; whether all could be answered. Raises what the forge raises."""
        requests = [each for each in await self._forge.open_requests() if each.base == self._branch]
        self._given = {each.number: g for each in requests if (g := self._given.get(each.number))}
        due = [request for request in requests if self._is_due(request)]
        if not due:
            return True
        await self._brought(due)
        failures = await asyncio.gather(*(self._in_turn(request) for request in due))
        for failure in failures:
            if isinstance(failure, NotPermitted | Unavailable):  # it is the forge, or our login there
                raise failure
        return not any(failures)

    async def _brought(self, requests: Sequence[Request]) -> None:
        """All at once; where that fails, one by one, so that one request's contents hinder no other's."""
        try:
            await self.answers.merges.bring({each.fetch_ref: each.head for each in requests})
        except Unavailable:
            raise
        except ReconcilerError:
            for each in requests:
                try:
                    await self.answers.merges.bring({each.fetch_ref: each.head})
                except ReconcilerError as error:
                    log.warning("request not fetched", request=each.number, message=str(error))

    def _is_due(self, request: Request) -> bool:
        given = self._given.get(request.number)
        if given is None or given.key != self._key(request):
            return True
        return given.version != self.answers.outlook.version(given.answer.scope)

    def _key(self, request: Request) -> Key:
        current = self.answers.merges.current
        return request.head, current.revision if current else "", may_plan(request)

    async def _in_turn(self, request: Request) -> Exception | None:
        """What kept it from being answered."""
        async with self._turns:
            try:
                await self._answered(request)
            except ReconcilerError as error:
                telemetry.failed(error.reason)
                log.warning(
                    "request not answered", request=request.number, reason=error.reason, message=str(error)
                )
                return error
            except Exception as bug:
                log.exception("bug", request=request.number)
                return bug
        return None

    async def _answered(self, request: Request) -> None:
        cluster = self.answers.cluster
        began = time.monotonic()
        await self._begun(request)
        key = self._key(request)
        answer = await self.answers.to(request)
        version = self.answers.outlook.version(answer.scope)
        for check in await self._worth_telling(answer, request):
            await self._forge.post(request.head, _clean(check), request)
        given = self._given.get(request.number)
        before = given.answer.verdict.comment if given is not None else ""
        if answer.verdict.comment and answer.verdict.comment != before:
            await self._forge.comment(request, f"{cluster}/plan", telemetry.redacted(answer.verdict.comment))
        self._given[request.number] = _Given(key, version, answer)
        telemetry.reviewed(answer.verdict.plan.state, time.monotonic() - began)

    async def _worth_telling(self, answer: Answer, request: Request) -> Sequence[Check]:
        """Another process may have seen the cluster and told of it: who is blind has nothing to add."""
        validity, plan = answer.verdict.checks
        if not answer.unseen or not isinstance(self.answers.outlook, Blind):
            return validity, plan
        known = (await self._forge.posted(request.head, request)).get(plan.context)
        return (validity, plan) if known is None or known.state == "pending" else (validity,)

    async def _begun(self, request: Request) -> None:
        """What was told of a commit stands until something newer is known, also after a restart."""
        given = self._given.get(request.number)
        if given is not None and given.key[0] == request.head:
            return
        known = await self._forge.posted(request.head, request)
        for check in Teller(self.answers.cluster, request.link).pending().checks:
            if check.context not in known:
                await self._forge.post(request.head, check, request)


def _clean(check: Check) -> Check:
    remarks = tuple(replace(each, message=telemetry.redacted(each.message)) for each in check.annotations)
    return replace(check, description=telemetry.redacted(check.description), annotations=remarks)
