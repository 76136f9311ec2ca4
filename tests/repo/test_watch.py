"""Seeing a local repository's refs move."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from plugins.git import Repository

from reconciler.dev.gitserver import run_git
from reconciler.repo.watch import ref_changes

NEVER = 60.0


async def seconds_to_notice(changes: AsyncIterator[None], act: Callable[[], object]) -> float:
    """From the end of `act` to the wake-up. Acts again until the watch, which starts by itself, is up."""
    waiting = asyncio.ensure_future(anext(changes))
    while not waiting.done():
        await asyncio.to_thread(act)
        begun = time.monotonic()
        await asyncio.wait({waiting}, timeout=1)
    await waiting
    return time.monotonic() - begun


def mover(remote: Repository) -> Callable[[], str]:
    return lambda: remote.commit({}, "Move")


async def test_a_push_is_noticed_at_once(remote: Repository):
    remote.commit({"a": "1"})
    async with aclosing(ref_changes(remote.path, NEVER)) as changes:
        await seconds_to_notice(changes, mover(remote))
        assert await seconds_to_notice(changes, mover(remote)) < 0.5


@pytest.mark.parametrize("kind", ["bare", "clone", "worktree"])
async def test_every_kind_of_repository_is_watched(kind: str, remote: Repository, tmp_path: Path):
    remote.commit({"a": "1"})
    remote.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    folder = {"bare": remote.path, "clone": remote.clone, "worktree": tmp_path / "linked"}[kind]
    async with aclosing(ref_changes(folder, NEVER)) as changes:
        await seconds_to_notice(changes, mover(remote))


async def test_packing_refs_is_noticed(remote: Repository):
    remote.commit({"a": "1"})

    def pack() -> None:
        run_git("-C", str(remote.path), "branch", "--force", "other", "main")
        run_git("-C", str(remote.path), "pack-refs", "--all")

    async with aclosing(ref_changes(remote.path, NEVER)) as changes:
        await seconds_to_notice(changes, pack)


async def test_objects_and_locks_wake_nobody_but_the_timer_does(remote: Repository):
    remote.commit({"a": "1"})
    period = 0.5

    async def pause(changes: AsyncIterator[None]) -> float:
        begun = time.monotonic()
        await anext(changes)
        return time.monotonic() - begun

    async with aclosing(ref_changes(remote.path, period)) as changes:
        await seconds_to_notice(changes, mover(remote))
        while await pause(changes) < period:
            """Echoes of the push."""
        waiting = asyncio.ensure_future(pause(changes))
        while not waiting.done():
            run_git("-C", str(remote.path), "hash-object", "-w", __file__)
            (remote.path / "refs/heads/main.lock").touch()
            (remote.path / "refs/heads/main.lock").unlink()
            await asyncio.wait({waiting}, timeout=0.05)
        assert await waiting >= period


async def test_a_folder_that_is_not_there_is_looked_at_by_the_timer(tmp_path: Path):
    async with aclosing(ref_changes(tmp_path / "nothing", 0.05)) as changes:
        await anext(changes)
        await anext(changes)
