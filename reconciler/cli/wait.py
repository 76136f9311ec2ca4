"""`reconciler wait`: for pipelines that push a commit and go on once it is applied, or ready."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from .. import config
from ..errors import InvalidSpec
from ..model.settings import ClusterSettings
from ..model.status import WorkspaceStatus
from .cluster import Statuses, connected, statuses
from .options import OptionalSettings, Verbose
from .output import FAILED, complain, say
from .statuses import Place, StatusRefName, StatusUrl, TokenFile, of_document, place, reader, ref_of
from .suspend import duration

Stage = Literal["applied", "ready"]
_STUCK = frozenset({"Held", "Invalid", "Failed", "Suspended"})
"""Phases that wait for a person, so that waiting for them is of no use."""


@dataclass(frozen=True, slots=True)
class Seen:
    """`through`: everything the commit changed was applied or waits for a person; None where unknowable."""

    through: bool | None
    statuses: Statuses


def wait(
    commit: Annotated[str, typer.Option("--commit", help="Full or at least 7 digits.", show_default=False)],
    stage: Annotated[Stage, typer.Option("--for", help="What to wait for.")] = "applied",
    timeout: Annotated[float, typer.Option("--timeout", parser=duration, metavar="TIME")] = "10m",  # type: ignore[assignment]
    interval: Annotated[
        float, typer.Option("--interval", help="Between looks.", parser=duration, metavar="TIME")
    ] = "3s",  # type: ignore[assignment]
    settings_file: OptionalSettings = None,
    status_url: StatusUrl = None,
    ref: StatusRefName = None,
    token_file: TokenFile = None,
    verbose: Verbose = False,
) -> None:
    """Wait until what a commit changed is applied, or ready.

    From the status ref (--status-url and --ref, or that of --config): the ref must name the commit as
    settled, which a commit that changes no workspace never is, and every workspace that it was the
    last to change must be ready, or for `applied` at least created in full. Where the settings turn
    the status ref off, the Workspace objects are asked: at least one must name the commit, and those
    that do must be as far. A commit that was overtaken by the next before the daemon fetched it is
    told under that next one: wait for the last commit of a push.

    Exit status: 0 it is; 1 it cannot be without a person, time is over, or an error; what is missing
    is printed.
    """
    if len(commit) < 7:
        raise InvalidSpec(f"--commit {commit}: give at least 7 digits")
    where = _place(settings_file, status_url, ref, token_file)
    missing = asyncio.run(_awaited(where, commit, stage, (timeout, interval)))
    if missing:
        for line in missing:
            complain(f"error: {line}")
        raise typer.Exit(FAILED)
    say(f"{commit[:12]} is {stage}")


def _place(settings_file: Path | None, url: str | None, ref: str | None, token: Path | None) -> Place:
    """Of settings, the status ref is preferred: it knows of deletions and of what is settled."""
    if settings_file is not None and url is None:
        settings = config.load(settings_file)
        return ref_of(settings) or settings.kubernetes
    return place(settings_file, url, ref, token)


async def _awaited(where: Place, commit: str, stage: Stage, seconds: tuple[float, float]) -> list[str]:
    """What is missing; nothing once all is there."""
    missing = [f"{commit[:12]}: the daemon has told nothing of it yet"]
    try:
        async with asyncio.timeout(seconds[0]):
            async with aclosing(_looks(where, commit, seconds[1])) as looks:
                async for seen in looks:
                    missing = left(seen, commit, stage)
                    if not missing or stuck(seen, commit):
                        return missing
    except TimeoutError:
        pass
    return [f"{line} (waited {seconds[0]:g} s)" for line in missing]


async def _looks(where: Place, commit: str, interval: float) -> AsyncGenerator[Seen, None]:
    if isinstance(where, ClusterSettings):
        async with connected(where) as client:
            while True:
                yield Seen(None, await statuses(client))
                await asyncio.sleep(interval)
    with tempfile.TemporaryDirectory(prefix="reconciler-", ignore_cleanup_errors=True) as cache:
        ref = reader(where, Path(cache))
        while True:
            told = await ref.fetch()
            if told is not None:
                through = _names(told.index.get("settled") or (), commit)
                found = {id: of_document(each) for id, each in told.workspaces.items()}
                yield Seen(through, found)
            await asyncio.sleep(interval)


def _names(settled: Collection[str], commit: str) -> bool:
    return any(name.startswith(commit) for name in settled)


def left(seen: Seen, commit: str, stage: Stage) -> list[str]:
    """One line for each thing that is not there yet."""
    changed = _changed_by(seen, commit)
    missing = [_line(status) for status in changed if not _is(status, stage)]
    if not missing and (seen.through is False or (seen.through is None and not changed)):
        return [f"{commit[:12]}: not everything it changed has been applied and told"]
    return missing


def stuck(seen: Seen, commit: str) -> bool:
    """Whether only a person can help what is still missing."""
    phases = {status.phase for status in _changed_by(seen, commit) if not status.ready}
    return seen.through is not False and bool(phases & _STUCK)


def _changed_by(seen: Seen, commit: str) -> list[WorkspaceStatus]:
    return [seen.statuses[id] for id in sorted(seen.statuses) if seen.statuses[id].commit.startswith(commit)]


def _is(status: WorkspaceStatus, stage: Stage) -> bool:
    return status.ready or (stage == "applied" and status.converged)


def _line(status: WorkspaceStatus) -> str:
    return f"{status.id}: {status.phase}: {status.reason}: {' '.join(status.message.split())}"
