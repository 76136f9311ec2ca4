"""`reconciler suspend` and `resume`: leave a workspace alone for a while, whatever Git says."""

import asyncio
import getpass
import re
import time
from typing import Annotated, Any

import typer

from .. import config
from ..errors import InvalidSpec
from ..model import names
from ..model.names import ObjectKey, WorkspaceId
from ..model.settings import ClusterSettings, Timing
from ..model.status import timestamp
from .cluster import connected, live, statuses
from .options import OptionalSettings, Verbose, settings_of
from .output import say
from .statuses import one_of

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Workspace = Annotated[str, typer.Argument(metavar="[NAMESPACE/]NAME", show_default=False)]


def duration(text: str) -> float:
    """Seconds in `90s`, `30m`, `2h` or `1d`. Raises BadParameter."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if found is None or not float(found[1]):
        raise typer.BadParameter(f"{text!r} is no duration; write it as 90s, 30m, 2h or 1d")
    return float(found[1]) * _UNITS[found[2]]


def suspend(
    workspace: Workspace,
    lasting: Annotated[
        float, typer.Option("--for", help="90s, 30m, 2h; at most 24h.", parser=duration, metavar="TIME")
    ],
    why: Annotated[str, typer.Option("--why", help="What others should know of it.")],
    who: Annotated[str | None, typer.Option("--who", help="Default: your user name.")] = None,
    settings_file: OptionalSettings = None,
    verbose: Verbose = False,
) -> None:
    """Stop the daemon from changing a workspace until the time is over, or `resume`.

    Writes an annotation on the live Workspace object. It is no drift, and expires by itself.

    Exit status: 0 done, 1 not.
    """
    settings = settings_of(settings_file)
    longest = (settings.timing if settings else Timing()).suspend_max_seconds
    until = timestamp(time.time() + lasting)
    text = f"{until} {_word(who or getpass.getuser())} {' '.join(why.split())}"
    if lasting > longest:
        raise InvalidSpec(
            f"a suspension outside Git lasts at most {longest / 3600:g}h; for longer, commit the "
            f'annotation {names.SUSPEND}: "{text}" to the workspace\'s file'
        )
    if not why.strip():
        raise InvalidSpec("--why must say something")
    id = asyncio.run(_annotated(_cluster(settings), workspace, text))
    say(f"{id} is suspended until {until}; `reconciler resume {id}` ends it sooner")


def resume(workspace: Workspace, settings_file: OptionalSettings = None, verbose: Verbose = False) -> None:
    """End a suspension made with `suspend`. One that is written in Git ends there.

    Exit status: 0 it is not suspended (any more), 1 an error.
    """
    settings = settings_of(settings_file)
    id = asyncio.run(_annotated(_cluster(settings), workspace, None))
    say(f"{id} is not suspended any more")


def _cluster(settings: config.Settings | None) -> ClusterSettings:
    return settings.kubernetes if settings else ClusterSettings()


def _word(who: str) -> str:
    return "-".join(who.split()) or "somebody"


async def _annotated(cluster: ClusterSettings, name: str, text: str | None) -> WorkspaceId:
    async with connected(cluster) as client:
        if "/" in name:
            id = WorkspaceId.parse(name)
            await live(client, id)
        else:
            id = one_of(name, await statuses(client)).id
        patch: dict[str, Any] = {"metadata": {"annotations": {names.SUSPEND: text}}}
        await client.merge_patch(ObjectKey("Workspace", *id), patch)
    return id
