"""A plan as Markdown, for a pull request: what happens to each workspace, what it costs, whether models fit.

Names and values come from strangers' files. They are shown only inside `<pre>` and `<code>`, escaped, where
no forge finds mentions, links or markup.
"""

import html
from collections.abc import Iterator

from ..model.catalogues import Catalogues
from ..model.names import WorkspaceId
from .cost import HOURS_PER_MONTH, Bill
from .proposal import KINDS, VERBS, Proposal, counts, kind, tally
from .render import body, printable, remedy, title, to_acknowledge
from .suitability import told

SIZE = 60_000
"""Characters of Markdown; GitHub refuses comments above 65,536."""


def markdown(proposal: Proposal, cost: Bill, catalogues: Catalogues, cluster: str = "") -> str:
    """One folded part for each workspace, opened where somebody may want to act."""
    said = "\n".join(_head(proposal, cost, cluster)).rstrip() + "\n"
    left = len(proposal.said)
    for id in proposal.said:
        part = _folded(id, proposal, catalogues)
        if len(said) + len(part) > SIZE:
            return f"{said}\n{left} more workspaces are not shown.\n"
        said, left = said + part, left - 1
    return said


def _head(proposal: Proposal, cost: Bill, cluster: str) -> Iterator[str]:
    plan = proposal.plan
    where = f" for `{cluster}`" if cluster else ""
    yield f"### Plan `{plan.fingerprint}`{where} at `{plan.revision[:7]}`"
    yield ""
    yield f"**{headline(proposal)}**"
    yield ""
    yield from _priced(cost)
    yield from (f"- {remedy(f'`{fp}`', reason)}" for fp, reason in to_acknowledge(plan))


def headline(proposal: Proposal) -> str:
    """`workspaces: 1 to create, 2 to delete, 1 held`."""
    found = tally(proposal)
    parts = [f"{found[verb]} to {verb}" for verb in KINDS if found[verb]]
    parts += [f"{found['held']} held"] if found["held"] else []
    return f"workspaces: {', '.join(parts)}" if parts else "no workspace changes"


def _priced(found: Bill) -> Iterator[str]:
    if not found.nodes:
        return
    passing = f", of it {found.passing:.2f} $/h only while tunings run" if found.passing else ""
    yield f"{money(found)}{passing}"
    yield ""
    yield "| instance type | nodes now | nodes then |"
    yield "|---|---|---|"
    yield from (f"| <code>{shown(kind)}</code> | {was} | {then} |" for kind, was, then in found.nodes)
    yield ""
    if found.seen is not None:
        yield f"Prices are of {found.seen}; a month has {HOURS_PER_MONTH} hours."
    if found.unpriced:
        yield f"Without a known price: {', '.join(f'<code>{shown(kind)}</code>' for kind in found.unpriced)}."
    yield ""


def money(found: Bill) -> str:
    """`+2 GPUs, +7.35 $/h, +5,366 $/month`."""
    gpus = f"{found.gpus:+d} GPU{'' if abs(found.gpus) == 1 else 's'}"
    return f"{gpus}, {found.hourly:+,.2f} $/h, {found.monthly:+,.0f} $/month"


def _folded(id: WorkspaceId, proposal: Proposal, catalogues: Catalogues) -> str:
    steps, holds = proposal.said[id]
    found = ", ".join(f"{n} to {verb}" for verb, n in counts(steps, []).items() if n and verb in VERBS)
    reasons = ", ".join(dict.fromkeys(h.reason for h in holds))
    opened = " open" if any(not h.waiting for h in holds) else ""
    said = "; ".join(filter(None, (title(id, proposal), kind(id, proposal), found, reasons)))
    lines = "\n".join(shown(line) for line in (*body(id, proposal), *_fit(id, proposal, catalogues)))
    summary = f"<summary><code>{shown(said)}</code></summary>"
    return f"\n<details{opened}>{summary}\n\n<pre>\n{lines}\n</pre>\n\n</details>\n"


def _fit(id: WorkspaceId, proposal: Proposal, catalogues: Catalogues) -> Iterator[str]:
    """Only of what gets machines: for other edits it is no news."""
    want, steps = proposal.desired.workspaces.get(id), proposal.said[id][0]
    if want is not None and steps and kind(id, proposal) in ("create", "replace"):
        yield from (f"  = {line}" for line in told(want.workspace, catalogues))


def shown(line: str) -> str:
    return html.escape(printable(line))
