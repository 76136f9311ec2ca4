"""Which files are specs: globs from the settings."""

from collections.abc import Sequence

from ..model import globs
from ..model.settings import PathEntry


class Globs:
    """The settings' paths. `**` spans folders, `*` and `?` stay within one, all else is literal."""

    def __init__(self, entries: Sequence[PathEntry]) -> None:
        self._entries = [(globs.split(entry.include), entry) for entry in entries]

    def entry_for(self, path: str) -> PathEntry | None:
        """The first entry that includes a path given from the root, with `/` between names."""
        parts = path.split("/")
        return next((entry for pattern, entry in self._entries if globs.fits(pattern, parts)), None)

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
