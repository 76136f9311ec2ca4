"""Seeing a local repository's refs move, without asking all the time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

from watchfiles import Change, awatch

_DEBOUNCE_MS = 50
_STEP_MS = 10


async def ref_changes(path: Path, every: float) -> AsyncGenerator[None, None]:
    """Yields when refs of the repository at `path` may have moved, and after `every` seconds of silence.

    Events are hints: they can be missed (network file systems, a folder replaced), never trusted.
    """
    moved = asyncio.Event()
    watches: list[asyncio.Task[None]] = []
    try:
        while True:
            if not watches or any(watch.done() for watch in watches):
                await _stopped(watches)
                watches = [asyncio.create_task(_mark(moved, *part)) for part in _parts(path)]
            with suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await moved.wait()
            moved.clear()
            yield
    finally:
        await _stopped(watches)


def _parts(path: Path) -> list[tuple[Path, bool]]:
    """Folders to watch, and whether with all below them: refs, and what lies beside them and `HEAD`."""
    own = _git_folder(path)
    pointer = own / "commondir"
    common = (own / pointer.read_text().strip()).resolve() if pointer.is_file() else own
    return [(common / "refs", True), (common, False)] + ([(own, False)] if own != common else [])


def _git_folder(path: Path) -> Path:
    """`path` itself where it is bare, else its `.git`: a folder, or a file that says where it is."""
    inner = path / ".git"
    if inner.is_file():
        target = inner.read_text().removeprefix("gitdir:").strip()
        return (path / target).resolve()
    return inner if inner.is_dir() else path


async def _mark(moved: asyncio.Event, folder: Path, recursive: bool) -> None:
    """Ends, rather than fails, where the folder cannot be watched: the timer goes on."""
    names = None if recursive else {"HEAD", "packed-refs"}

    def counts(_: Change, name: str) -> bool:
        return not name.endswith(".lock") and (names is None or Path(name).name in names)

    with suppress(OSError, RuntimeError):
        async for _ in awatch(
            folder, watch_filter=counts, step=_STEP_MS, debounce=_DEBOUNCE_MS, recursive=recursive
        ):
            moved.set()


async def _stopped(watches: list[asyncio.Task[None]]) -> None:
    for watch in watches:
        watch.cancel()
    await asyncio.gather(*watches, return_exceptions=True)
