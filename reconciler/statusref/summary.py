"""SUMMARY.md: what a forge shows to whoever opens the ref."""

import re
from collections.abc import Mapping

from .documents import Line, counts

_ROWS = 200
_CELL = 160
_MARKUP = re.compile(r"[\\`*_{}\[\]<>()#|!~@:&$]")
_WELL = frozenset({"Ready", "Succeeded"})


def summary(cluster: str, revision: str, lines: Mapping[str, Line]) -> str:
    """Those that are not well come first; long tables are cut, for each commit stores the whole file."""
    rows = sorted(lines.items(), key=lambda item: (item[1].phase in _WELL, item[0]))
    text = [
        f"# Workspaces of {escaped(cluster)}",
        "",
        _totals(counts(lines)) + (f", up to {escaped(revision[:12])}" if revision else ""),
        "",
        "| Workspace | Phase | Reason | Message | Instance type | GPUs |",
        "|---|---|---|---|---|---|",
        *(_row(id, line) for id, line in rows[:_ROWS]),
    ]
    if len(rows) > _ROWS:
        text += ["", f"… and {len(rows) - _ROWS} more; index.json has all of them."]
    return "\n".join(text) + "\n"


def _totals(found: Mapping[str, int]) -> str:
    return ", ".join(f"{found[phase]} {phase}" for phase in sorted(found)) or "None"


def _row(id: str, line: Line) -> str:
    cells = (id, line.phase, line.reason, line.message, line.instance_type, str(line.gpus or ""))
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"


def escaped(text: str) -> str:
    """One line of plain text: entities are never markup, links, mentions or cells."""
    flat = " ".join(text.split())
    if len(flat) > _CELL:
        flat = flat[: _CELL - 1] + "…"
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", flat)
