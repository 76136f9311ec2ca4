"""Specs from files and folders, read and resolved by the daemon's own code."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..config import Settings
from ..errors import Unavailable
from ..model.declared import Declarations, ParsedFile
from ..model.names import fingerprint
from ..model.settings import PathEntry, SourceSettings
from ..model.workspace import Problem
from ..model.world import Desired
from ..sources.directory import DirectorySource
from ..sources.foreign import refused
from ..sources.specs import parse
from ..sources.yaml_loader import MAX_BYTES

PATTERNS = ("**/*.yaml", "**/*.yml")


def declared(paths: Iterable[Path], namespace: str | None) -> Declarations:
    """What files and folders declare, under the paths a person would type. Raises Unavailable."""
    files: dict[str, ParsedFile] = {}
    for path in paths:
        files |= _of_folder(path, namespace) if path.is_dir() else _of_file(path, namespace)
    return Declarations(fingerprint({path: file.blob for path, file in files.items()}), files)


def folder(root: Path, entries: Sequence[PathEntry]) -> Declarations:
    """What a working directory declares under the settings' paths. Raises Unavailable."""
    if not root.is_dir():
        raise Unavailable(f"{root}: there is no such folder")
    read: list[Declarations] = []

    async def refresh() -> None:  # asyncio prints the result of what it has run, to nobody and at length
        read.append(await DirectorySource(root, entries).refresh())

    asyncio.run(refresh())
    return replace(read[0], files=refused(read[0].files))


def problems_of(desired: Desired) -> list[Problem]:
    """Every problem once, by file and line."""
    found = [p for file in desired.broken.values() for p in file.problems]
    found += [p for problems in desired.invalid.values() for p in problems]
    return sorted(set(found), key=lambda p: (p.path, p.line, p.field))


def _of_file(path: Path, namespace: str | None) -> dict[str, ParsedFile]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unavailable(f"{path}: {(error.strerror or 'it cannot be read').lower()}") from None
    return {str(path): parse(str(path), content, namespace)}


def _of_folder(root: Path, namespace: str | None) -> dict[str, ParsedFile]:
    """Files by the path from where we stand."""
    entries = tuple(PathEntry(include=pattern, namespace=namespace) for pattern in PATTERNS)
    found = folder(root, entries).files.values()
    return {shown: _shown(file, shown) for file in found if (shown := str(root / file.path))}


def _shown(file: ParsedFile, path: str) -> ParsedFile:
    return replace(file, path=path, problems=tuple(replace(p, path=path) for p in file.problems))


def at_ref(settings: Settings) -> Declarations:
    """What the settings' Git ref declares now. Raises Unavailable and its kin."""
    from ..wiring import git_source

    own = settings.model_copy(update={"cache": _cache(settings.source)})
    return asyncio.run(git_source(own).refresh())


def _cache(source: SourceSettings) -> Path:
    """A copy of the repository that is this user's own: the daemon's may be at work on its own."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "reconciler" / fingerprint([source.url, source.ref])
