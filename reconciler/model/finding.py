"""What a check finds: where in a document, against which rule, and how to mend it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import grammar
from .workspace import Problem

Path = tuple[str | int, ...]
"""Where in a document: keys and positions."""


def dotted(path: Path) -> str:
    """`inference.adapters[0].source`; a key that itself has dots goes into brackets, and is cut when long."""
    text = ""
    for part in path:
        if isinstance(part, int) or not part.replace("-", "").replace("_", "").isalnum() or len(part) > 80:
            text += f"[{shown(part)}]"
        else:
            text += f".{part}" if text else part
    return text


def line_of(at: Path, lines: Mapping[Path, int]) -> int:
    """The field's line, or that of the nearest field around it; 0 where none is known."""
    while at not in lines and at:
        at = at[:-1]
    return lines.get(at, 0)


def shown(value: Any) -> str:
    """A value as a person may read it, at most 80 characters; a whole block is not repeated."""
    if value is None or isinstance(value, (dict, list, tuple)):
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


@dataclass(frozen=True, slots=True)
class Finding:
    at: Path
    value: str
    rule: str
    remedy: str

    @property
    def field(self) -> str:
        return dotted(self.at)

    def problem(self, path: str, line: int) -> Problem:
        return Problem(path, line, self.field, self.value, self.rule, self.remedy)


def finding(at: Path, value: Any, rule: str, remedy: str) -> Finding:
    """A finding on `value`; one that looks like an example's placeholder gets that as its remedy."""
    left = grammar.placeholder(value) if isinstance(value, str) else ""
    if left:
        remedy = f"{shown(left)} looks like a placeholder to fill in: put your own value in its place"
    return Finding(at, shown(value), rule, remedy)
