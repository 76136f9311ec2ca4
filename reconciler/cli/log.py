"""`reconciler log`: a workspace's life, as the status ref tells it."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InvalidSpec, Unavailable
from ..model.names import WorkspaceId
from ..model.status import timestamp
from .options import Format, OptionalSettings, Verbose, settings_of
from .output import age, say_json, say_table
from .statuses import Ref, StatusRefName, StatusUrl, TokenFile, place, reader, ref_of

Workspace = Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", show_default=False)]
COLUMNS = ("WHEN", "FOR", "PHASE", "REASON", "COMMIT", "MESSAGE")
Event = tuple[float, dict[str, Any] | None]


def log(
    workspace: Workspace,
    settings_file: OptionalSettings = None,
    status_url: StatusUrl = None,
    ref: StatusRefName = None,
    token_file: TokenFile = None,
    output: Format = "text",
    verbose: Verbose = False,
) -> None:
    """Show what was told of a workspace, newest first: when, for how long, phase, reason, commit, message.

    Reads the status ref of --config, or that of --status-url and --ref; no cluster is needed.

    Exit status: 0 it could be read, 1 not, or nothing was ever told of such a workspace.
    """
    id = WorkspaceId.parse(workspace)
    if not id.name:
        raise InvalidSpec(f"{workspace}: name the workspace with its namespace, as in ai/{workspace}")
    events = asyncio.run(_life(_place(settings_file, status_url, ref, token_file), id))
    if not events:
        raise InvalidSpec(f"nothing was told of a workspace {id}")
    if output == "json":
        say_json([{"when": timestamp(when), "status": found} for when, found in events])
    else:
        say_table(COLUMNS, [_row(events, number, time.time()) for number in range(len(events))])


def _place(file: Path | None, url: str | None, ref: str | None, token: Path | None) -> Ref:
    """As for the other commands, but never the cluster: that tells nothing of what was."""
    settings = settings_of(file)
    found = place(None, url, ref, token) if settings is None or url else ref_of(settings)
    if not isinstance(found, Ref):
        raise InvalidSpec("name the status ref: --config with one, or --status-url and --ref")
    return found


async def _life(where: Ref, id: WorkspaceId) -> list[Event]:
    with tempfile.TemporaryDirectory(prefix="reconciler-") as cache:
        told = reader(where, Path(cache))
        if await told.fetch() is None:
            raise Unavailable(f"{where.url} has no ref {where.name}; no daemon has told anything there yet")
        return await told.life(id)


def _row(events: list[Event], number: int, now: float) -> tuple[str, ...]:
    when, found = events[number]
    until = events[number - 1][0] if number else now
    if found is None:
        return timestamp(when), age(when, until), "Gone", "", "", "no longer declared"
    message = " ".join(str(found.get("message", "")).split())
    commit = str(found.get("commit", ""))[:7]
    return timestamp(when), age(when, until), found["phase"], str(found.get("reason", "")), commit, message
