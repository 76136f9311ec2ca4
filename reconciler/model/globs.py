"""Whether a path fits a glob, in time linear in pattern × path.

`**` spans folders, `*` and `?` stay within one, all else is literal.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def split(text: str) -> list[str]:
    """A pattern or a path as its parts; both are read from the root."""
    return text.lstrip("/").split("/")


def fits(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    return _fits(pattern, parts, "**", _fits_name)


def _fits_name(pattern: str, name: str) -> bool:
    if pattern == name:
        return True
    return _fits(pattern, name, "*", lambda wanted, char: wanted in ("?", char))


def _fits(pattern: Sequence[T], items: Sequence[T], star: str, fits: Callable[[T, T], bool]) -> bool:
    """Wildcard match where `star` stands for any number of items: only the last star is ever widened."""
    at, item, widened, resume = 0, 0, -1, 0
    while item < len(items):
        if at < len(pattern) and pattern[at] == star:
            widened, resume = at, item
            at += 1
        elif at < len(pattern) and fits(pattern[at], items[item]):
            at, item = at + 1, item + 1
        elif widened >= 0:
            resume += 1
            at, item = widened + 1, resume
        else:
            return False
    return all(rest == star for rest in pattern[at:])
