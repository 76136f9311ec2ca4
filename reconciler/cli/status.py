"""`reconciler status`: one line for each workspace."""

import time

from ..model.status import WorkspaceStatus
from .options import Format, OptionalSettings, Verbose
from .output import age, say_json, say_table
from .statuses import Name, StatusRefName, StatusUrl, TokenFile, one_of, place, read_now

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

    Reads the Workspace objects of the cluster, or with --status-url and --ref the status ref alone.

    Exit status: 0 the statuses could be read, 1 they could not, or there is no such workspace.
    """
    found = read_now(place(settings_file, status_url, ref, token_file))
    shown = [one_of(workspace, found)] if workspace is not None else [found[id] for id in sorted(found)]
    if output == "json":
        from ..statusref.documents import document

        say_json([document(each) for each in shown])
        return
    now = time.time()
    say_table(COLUMNS, [_row(each, now) for each in shown])


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
