"""Which files are specs: globs from the settings, matched in time linear in pattern × path."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from ..model.settings import PathEntry

T = TypeVar("T")


class Globs:
    """The settings' paths. `**` spans folders, `*` and `?` stay within one, all else is literal."""

    def __init__(self, entries: Sequence[PathEntry]) -> None:
        self._entries = [(entry.include.lstrip("/").split("/"), entry) for entry in entries]

    def entry_for(self, path: str) -> PathEntry | None:
        """The first entry that includes a path given from the root, with `/` between names."""
        parts = path.split("/")
        return next((entry for pattern, entry in self._entries if _fits_path(pattern, parts)), None)

    def prefixes(self) -> tuple[str, ...]:
        """Folders outside of which nothing matches; `""` is the root. None lies within another."""
        found: list[str] = []
        for prefix in sorted({_static(pattern) for pattern, _ in self._entries}):
            if not any(prefix == kept or not kept or prefix.startswith(kept + "/") for kept in found):
                found.append(prefix)
        return tuple(found)


def _static(pattern: list[str]) -> str:
    """The folders before the first wildcard."""
    static = []
    for part in pattern[:-1]:
        if "*" in part or "?" in part:
            break
        static.append(part)
    return "/".join(static)


def _fits_path(pattern: list[str], parts: list[str]) -> bool:
    return _fits(pattern, parts, "**", _fits_name)


def _fits_name(pattern: str, name: str) -> bool:
    """Without `?` by searching for what lies between stars, which is ten times as fast as by character."""
    if "?" in pattern:
        return _fits(pattern, name, "*", lambda wanted, char: wanted in ("?", char))
    first, *between = pattern.split("*")
    if not between:
        return pattern == name
    last = between.pop()
    at, end = len(first), len(name) - len(last)
    if at > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for part in between:
        at = name.find(part, at, end) + len(part)
        if at < len(part):
            return False
    return True


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
