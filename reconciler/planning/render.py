"""A plan as plain text. Names and values are strangers': what a terminal would obey is dropped."""

from collections.abc import Iterator

from ..model import names
from ..model.names import WorkspaceId
from ..model.plan import Plan
from .proposal import Proposal, changes, counts, target, verb

_SIGNS = {"create": "+", "change": "~", "delete": "-"}


def text(proposal: Proposal) -> str:
    """For a terminal, without colours."""
    lines = [f"plan {proposal.plan.fingerprint} at {proposal.plan.revision[:7]}", _headline(proposal)]
    for id in proposal.said:
        lines += ["", title(id, proposal), *body(id, proposal)]
    remedies = [remedy(fingerprint, reason) for fingerprint, reason in to_acknowledge(proposal.plan)]
    return "\n".join(map(printable, [*lines, *([""] if remedies else []), *remedies])) + "\n"


# --- pieces ----------------------------------------------------------------------------------------


def _headline(proposal: Proposal) -> str:
    found = counts(proposal.plan.steps, proposal.plan.holds)
    said = "{create} to create, {change} to change, {delete} to delete, {held} held".format(**found)
    said += f", {found['waiting']} waiting" if found["waiting"] else ""
    said += f"; {proposal.gpus:+d} GPU{'' if abs(proposal.gpus) == 1 else 's'}" if proposal.gpus else ""
    cost = proposal.dollars_per_hour
    return said + (f", {cost:+.2f} $/h" if cost else "")


def title(id: WorkspaceId, proposal: Proposal) -> str:
    want = proposal.desired.workspaces.get(id)
    where = f"  {want.origin.path}:{want.origin.line}" if want is not None else ""
    return f"{id if id.name else 'the cluster'}{where}"


def body(id: WorkspaceId, proposal: Proposal) -> Iterator[str]:
    steps, holds = proposal.said[id]
    for step in steps:
        yield f"  {_SIGNS[verb(step.action)]} {target(step.action)}: {step.why}"
        for change in changes(step.action):
            by = f" (by {change.manager})" if change.manager else ""
            yield f"      {change.field}: {change.was} → {change.wanted}{by}"
    for hold in holds:
        yield f"  {'…' if hold.waiting else '!'} {hold.reason}: {hold.why}"
    want = proposal.desired.workspaces.get(id)
    for warning in want.warnings if want is not None else ():
        yield f"  ? {warning}"


def to_acknowledge(plan: Plan) -> list[tuple[str, str]]:
    """(fingerprint, reason) of each group that is held now."""
    return sorted({(h.group, h.reason) for h in plan.holds if h.group})


def remedy(fingerprint: str, reason: str) -> str:
    return f"to let {reason} through, commit with the trailer {names.ACK_TRAILER}: {fingerprint}"


def printable(line: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
