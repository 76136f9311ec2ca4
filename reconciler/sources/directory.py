"""Specs from a plain folder: for the demo, for trials, and beside another tool that syncs files.

Only regular files below the root are read, through directory handles, so that no symbolic link
leads outside.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

from watchfiles import awatch

from ..errors import Unavailable
from ..model.declared import Declarations, ParsedFile
from ..model.names import fingerprint
from ..model.settings import PathEntry
from . import specs
from .globs import Globs
from .memory import remembered
from .yaml_loader import MAX_BYTES

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DirectorySource:
    """A folder of specs. The revision is a fingerprint of its content."""

    def __init__(self, root: Path, paths: Sequence[PathEntry] = (PathEntry(),)) -> None:
        self._root = root
        self._globs = Globs(paths)
        self.current: Declarations | None = None
        """What the last refresh found."""

    async def refresh(self) -> Declarations:
        """Reads the folder; unchanged files are not parsed again. Raises Unavailable."""
        self.current = await asyncio.to_thread(self._read, self.current)
        return self.current

    async def wakeups(self) -> AsyncIterator[None]:
        """Yields after something below the folder changed. Raises Unavailable where it is missing."""
        try:
            async with aclosing(awatch(self._root, step=10, debounce=100)) as changes:
                async for _ in changes:
                    yield
        except FileNotFoundError:
            raise Unavailable(f"{self._root} is missing") from None

    def _read(self, before: Declarations | None) -> Declarations:
        known = before.files if before else {}
        files: dict[str, ParsedFile] = {}
        try:
            for path, entry, content in self._contents():
                parsed = known.get(path)
                if not parsed or parsed.blob != specs.blob_id(content):
                    parsed = specs.parse(path, content, entry.namespace)
                files[path] = parsed
        except OSError as error:
            raise Unavailable(f"{self._root} cannot be read: {error}") from error
        revision = fingerprint({path: file.blob for path, file in files.items()})
        return Declarations(revision, files, remembered=remembered(files, before))

    def _contents(self) -> Iterator[tuple[str, PathEntry, bytes]]:
        """Path, settings entry and bytes of each spec file, in the order of their paths."""
        for folder, folders, names, handle in os.fwalk(self._root, onerror=_raise, follow_symlinks=False):
            folders[:] = sorted(name for name in folders if name != ".git")
            relative = Path(folder).relative_to(self._root)
            for name in sorted(names):
                path = (relative / name).as_posix()
                entry = self._globs.entry_for(path)
                content = _regular(name, handle) if entry else None
                if entry and content is not None:
                    yield path, entry, content


def _regular(name: str, folder: int) -> bytes | None:
    """The content of a regular file, cut just above what is accepted; None for anything else."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        return None
    with open(os.open(name, _OPEN, dir_fd=folder), "rb") as file:
        content = file.read(min(found.st_size, MAX_BYTES) + 1)  # a large buffer costs more than the reading
        grown = len(content) > found.st_size
        return content + file.read(MAX_BYTES + 1 - len(content)) if grown else content


def _raise(error: OSError) -> None:
    raise error
