"""What a pull request is told: the checks `validate` and `plan`, and the comment."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..model import names
from ..model.catalogues import Catalogues
from ..model.names import WorkspaceId
from ..model.plan import Hold
from ..model.review import Annotation, Check, CheckState
from ..model.workspace import Problem
from ..model.world import Desired
from .comment import headline, markdown, money
from .cost import Bill, bill
from .proposal import Proposal
from .render import to_acknowledge

Unknown = Literal["fail", "neutral"]
REFUSALS = frozenset(
    {
        "CrdMissing",
        "DeliveredElsewhere",
        "EngineConflict",
        "ImmutableField",
        "InvalidSpec",
        "NotOurs",
        "NotPermitted",
        "SpendLimit",
    }
)
"""Holds that keep a change from ever being made as it stands."""


@dataclass(frozen=True, slots=True)
class Verdict:
    validate: Check
    plan: Check
    comment: str = ""
    """Empty where there is nothing to comment on."""

    @property
    def checks(self) -> tuple[Check, Check]:
        return self.validate, self.plan


@dataclass(frozen=True, slots=True)
class Teller:
    """Whose checks they are, and where they lead."""

    cluster: str
    link: str = ""

    def check(
        self, stage: str, state: CheckState, said: str, annotations: Iterable[Annotation] = ()
    ) -> Check:
        context = names.check_context(self.cluster, stage)
        return Check(context, state, said, self.link, tuple(annotations))

    def both(self, state: CheckState, said: str) -> Verdict:
        return Verdict(self.check("validate", state, said), self.check("plan", state, said))

    # --- verdicts without a plan

    def pending(self) -> Verdict:
        return self.both("pending", "being looked at")

    def nothing(self) -> Verdict:
        return self.both("success", f"nothing for {self.cluster}")

    def unmergeable(self, why: str) -> Verdict:
        return self.both("failure", f"cannot be merged: {why}")

    # --- verdicts with one

    def validity(
        self, desired: Desired, problems: Collection[Problem], scope: Collection[WorkspaceId]
    ) -> Check:
        """`scope`: the workspaces that the request changes."""
        wanted = [desired.workspaces[id] for id in scope if id in desired.workspaces]
        warnings = [(want.origin, text) for want in wanted for text in want.warnings]
        remarks = [Annotation(p.path, p.line, f"{p.field}: {p.rule}; {p.remedy}") for p in problems]
        remarks += [Annotation(at.path, at.line, f"warning: {text}") for at, text in warnings]
        if problems:
            first = min(problems, key=lambda p: (p.path, p.line))
            more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            return self.check("validate", "failure", f"{_brief(first)}{more}", remarks)
        said = f"{len(wanted)} changed, all valid" if len(wanted) != 1 else "1 changed, valid"
        told = f"; {len(warnings)} warning{'s' if len(warnings) > 1 else ''}" if warnings else ""
        return self.check("validate", "success", f"workspaces: {said}{told}", remarks)

    def planned(self, validity: Check, proposal: Proposal, catalogues: Catalogues) -> Verdict:
        """`problems` are those of the check `validity`."""
        cost = bill(proposal, catalogues)
        comment = markdown(proposal, cost, catalogues, self.cluster)
        if validity.state == "failure":
            return Verdict(validity, self.check("plan", "failure", "not valid: see validate"), comment)
        refused = [hold for hold in proposal.plan.holds if hold.reason in REFUSALS]
        state: CheckState = "failure" if refused else "success"
        return Verdict(validity, self.check("plan", state, _said(proposal, cost, refused)), comment)

    def unknown(self, validity: Check, why: str, policy: Unknown) -> Verdict:
        """Nobody knows what runs: what would change cannot be told."""
        state: CheckState = "failure" if policy == "fail" else "neutral"
        return Verdict(validity, self.check("plan", state, f"not planned: {why}"))

    def untrusted(self, validity: Check) -> Verdict:
        said = f"not planned: its author is no member; a member may label it {names.PLAN_LABEL}"
        return Verdict(validity, self.check("plan", "neutral", said))


def fingerprints(description: str) -> frozenset[str]:
    """Groups that a description of the check `plan` told of."""
    _, _, listed = description.partition(_ASKED)
    return frozenset(filter(None, listed.partition(";")[0].split()))


_ASKED = "to acknowledge: "


def _said(proposal: Proposal, cost: Bill, refused: Sequence[Hold]) -> str:
    return "; ".join(_parts(proposal, cost, refused))


def _parts(proposal: Proposal, cost: Bill, refused: Sequence[Hold]) -> Iterator[str]:
    """The most telling first: descriptions are cut at 140 characters."""
    if refused:
        yield f"{refused[0].reason} {refused[0].workspace}"
    if groups := to_acknowledge(proposal.plan):
        yield _ASKED + " ".join(fingerprint for fingerprint, _ in groups)
    yield headline(proposal)
    if cost.nodes:
        yield money(cost)
    yield f"plan {proposal.plan.fingerprint}"


def _brief(problem: Problem) -> str:
    where = f"{problem.path}:{problem.line}" if problem.line else problem.path
    return f"{where}: {problem.field or 'document'}: {problem.rule}"
