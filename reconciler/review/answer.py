"""One request: what it would declare, what would follow, what is told. Nothing in it configures us."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from ..errors import ReconcilerError
from ..model import names
from ..model.catalogues import Catalogues
from ..model.declared import Declarations
from ..model.names import WorkspaceId
from ..model.review import Request
from ..model.workspace import Problem
from ..model.world import Desired
from ..planning.proposal import Proposal
from ..planning.verdict import Teller, Unknown, Verdict
from ..sources.requests import Reviewed


class Merges(Protocol):
    """Where requests' contents come from."""

    @property
    def current(self) -> Declarations | None: ...

    async def bring(self, heads: dict[str, str]) -> None: ...

    async def reviewed(self, head: str, ref: str) -> Reviewed: ...


class Outlook(Protocol):
    """What would follow, were it merged."""

    @property
    def desired(self) -> Desired: ...

    async def resolved(self, declarations: Declarations) -> tuple[Desired, frozenset[WorkspaceId]]: ...

    def version(self, scope: Collection[WorkspaceId]) -> tuple[object, ...]: ...

    async def proposal(self, desired: Desired, scope: Collection[WorkspaceId]) -> Proposal: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """It holds as long as base, head, label and the live workspaces in `scope` stay as they are."""

    verdict: Verdict
    scope: frozenset[WorkspaceId] = frozenset()
    unseen: bool = False
    """The cluster could not be read."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How requests are answered."""

    merges: Merges
    outlook: Outlook
    catalogues: Catalogues
    cluster: str
    on_unknown: Unknown

    async def to(self, request: Request) -> Answer:
        """Raises what reading Git raises; what cannot be read of the cluster is part of the answer."""
        teller = Teller(self.cluster, request.link)
        reviewed = await self.merges.reviewed(request.head, request.fetch_ref)
        if reviewed.why:
            return Answer(teller.unmergeable(reviewed.why))
        if reviewed.declarations is None:
            return Answer(teller.nothing())
        desired, scope = await self.outlook.resolved(reviewed.declarations)
        found = problems(desired, self.outlook.desired, reviewed.touched, scope)
        validity = teller.validity(desired, found, scope)
        if not may_plan(request):
            return Answer(teller.untrusted(validity), scope)
        try:
            proposal = await self.outlook.proposal(desired, scope)
        except ReconcilerError as error:
            return Answer(teller.unknown(validity, str(error), self.on_unknown), scope, unseen=True)
        return Answer(teller.planned(validity, proposal, self.catalogues), scope)


def may_plan(request: Request) -> bool:
    """A stranger learns nothing of what runs, unless a member lets them: only members can set labels."""
    return request.trusted or names.PLAN_LABEL in request.labels


def problems(
    desired: Desired, now: Desired, touched: Collection[str], scope: Collection[WorkspaceId]
) -> list[Problem]:
    """What is wrong because of the request: in files that it touches, or in others and only since."""
    before = set(_problems(now))
    found = {problem for problem in _problems(desired) if problem.path in touched or problem not in before}
    refused = (desired.workspaces[id] for id in scope if id in desired.workspaces)
    found |= {
        Problem(want.origin.path, want.origin.line, "", "", want.refused, "declare something else")
        for want in refused
        if want.refused
    }
    return sorted(found, key=lambda problem: (problem.path, problem.line, problem.field))


def _problems(desired: Desired) -> list[Problem]:
    found = [problem for file in desired.broken.values() for problem in file.problems]
    return found + [problem for each in desired.invalid.values() for problem in each]
