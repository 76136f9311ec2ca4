"""`reconciler status`: one line for each workspace."""

import asyncio
import time

from ..errors import NotFound
from ..model.settings import ClusterSettings
from ..model.status import Condition, WorkspaceStatus
from .cluster import Statuses, conditions, connected, statuses
from .options import Format, OptionalSettings, Verbose
from .output import age, complain, say, say_json, say_table
from .statuses import Name, Place, StatusRefName, StatusUrl, TokenFile, one_of, place, read

COLUMNS = ("WORKSPACE", "PHASE", "REASON", "INSTANCE", "SINCE", "MESSAGE")


def status(
    workspace: Name = None,
    settings_file: OptionalSettings = None,
    status_url: StatusUrl = None,
    ref: StatusRefName = None,
    token_file: TokenFile = None,
    output: Format = "text",
    verbose: Verbose = False,
) -> None:
    """Show every workspace: phase, reason, instance type, since when, message.

    What is wrong with the daemon's own surroundings follows in lines that begin with `!`; with
    `-o json` they go to stderr.

    Reads the Workspace objects of the cluster, or with --status-url and --ref the status ref alone.

    Exit status: 0 the statuses could be read, 1 they could not, or there is no such workspace.
    """
    found, wrong = asyncio.run(_read(place(settings_file, status_url, ref, token_file)))
    now = time.time()
    shown = [one_of(workspace, found)] if workspace is not None else [found[id] for id in sorted(found)]
    if output == "json":
        from ..statusref.documents import document

        say_json([document(each) for each in shown])
    else:
        say_table(COLUMNS, [_row(each, now) for each in shown])
    for condition in wrong:
        (complain if output == "json" else say)(_line(condition, now))


async def _read(where: Place) -> tuple[Statuses, list[Condition]]:
    """With what the daemon says of itself, which may be why the cluster has no workspaces yet."""
    if not isinstance(where, ClusterSettings):
        return await read(where), []
    async with connected(where) as client:
        try:
            return await statuses(client), await conditions(client, where.namespace)
        except NotFound:
            if not (wrong := await conditions(client, where.namespace)):
                raise
            return {}, wrong


def _line(condition: Condition, now: float) -> str:
    message = " ".join(condition.message.split())
    return f"! {condition.type} since {age(condition.since, now)}: {condition.reason}: {message}"


def _row(status: WorkspaceStatus, now: float) -> tuple[str, ...]:
    message = " ".join(status.message.split())
    return (
        str(status.id),
        status.phase,
        status.reason,
        status.instance_type,
        age(status.since, now),
        message,
    )
