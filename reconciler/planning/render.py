"""A plan as people and programs read it: plain text, Markdown for a pull request, plain data.

Names and values come from strangers' files. Text drops what a terminal would obey; Markdown shows
them only inside `<pre>` and `<code>`, escaped, where no forge finds mentions, links or markup.
"""

import html
from collections.abc import Iterator

from ..model import names
from ..model.names import WorkspaceId
from ..model.plan import Plan
from .proposal import Proposal, changes, counts, target, verb

COMMENT_SIZE = 60_000
"""Characters of Markdown; GitHub refuses comments above 65,536."""

_SIGNS = {"create": "+", "change": "~", "delete": "-"}


def text(proposal: Proposal) -> str:
    """For a terminal, without colours."""
    lines = [f"plan {proposal.plan.fingerprint} at {proposal.plan.revision[:7]}", _headline(proposal)]
    for id in proposal.said:
        lines += ["", _title(id, proposal), *_body(id, proposal)]
    remedies = [_remedy(fingerprint, reason) for fingerprint, reason in _to_acknowledge(proposal.plan)]
    return "\n".join(map(_printable, [*lines, *([""] if remedies else []), *remedies])) + "\n"


def markdown(proposal: Proposal) -> str:
    """For a comment: one folded part for each workspace, opened where somebody may want to act."""
    plan = proposal.plan
    head = [f"### Plan `{plan.fingerprint}` at `{plan.revision[:7]}`", "", f"**{_headline(proposal)}**", ""]
    head += [f"- {_remedy(f'`{fp}`', reason)}" for fp, reason in _to_acknowledge(plan)]
    said, left = "\n".join(head).rstrip() + "\n", len(proposal.said)
    for id in proposal.said:
        part = _folded(id, proposal)
        if len(said) + len(part) > COMMENT_SIZE:
            return f"{said}\n{left} more workspaces are not shown.\n"
        said, left = said + part, left - 1
    return said


# --- pieces ----------------------------------------------------------------------------------------


def _headline(proposal: Proposal) -> str:
    found = counts(proposal.plan.steps, proposal.plan.holds)
    said = "{create} to create, {change} to change, {delete} to delete, {held} held".format(**found)
    said += f", {found['waiting']} waiting" if found["waiting"] else ""
    said += f"; {proposal.gpus:+d} GPU{'' if abs(proposal.gpus) == 1 else 's'}" if proposal.gpus else ""
    cost = proposal.dollars_per_hour
    return said + (f", {cost:+.2f} $/h" if cost else "")


def _title(id: WorkspaceId, proposal: Proposal) -> str:
    want = proposal.desired.workspaces.get(id)
    where = f"  {want.origin.path}:{want.origin.line}" if want is not None else ""
    return f"{id if id.name else 'the cluster'}{where}"


def _body(id: WorkspaceId, proposal: Proposal) -> Iterator[str]:
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


def _to_acknowledge(plan: Plan) -> list[tuple[str, str]]:
    """(fingerprint, reason) of each group that is held now."""
    return sorted({(h.group, h.reason) for h in plan.holds if h.group})


def _remedy(fingerprint: str, reason: str) -> str:
    return f"to let {reason} through, commit with the trailer {names.ACK_TRAILER}: {fingerprint}"


def _folded(id: WorkspaceId, proposal: Proposal) -> str:
    steps, holds = proposal.said[id]
    tally = ", ".join(f"{n} to {name}" for name, n in counts(steps, holds).items() if n and name in _SIGNS)
    reasons = ", ".join(dict.fromkeys(h.reason for h in holds))
    opened = " open" if any(not h.waiting for h in holds) else ""
    said = "; ".join(filter(None, (_title(id, proposal), tally, reasons)))
    body = "\n".join(_shown(line) for line in _body(id, proposal))
    summary = f"<summary><code>{_shown(said)}</code></summary>"
    return f"\n<details{opened}>{summary}\n\n<pre>\n{body}\n</pre>\n\n</details>\n"


def _shown(line: str) -> str:
    return html.escape(_printable(line))


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
