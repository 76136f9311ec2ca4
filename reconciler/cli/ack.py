"""`reconciler ack`: let a held group of steps through, once."""

import asyncio
import getpass
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import config
from ..errors import InvalidSpec
from ..model import names
from ..model.settings import ClusterSettings
from .cluster import connected
from .options import Format, OptionalSettings, Verbose
from .output import age, say, say_json, say_table

if TYPE_CHECKING:
    from ..cluster.state import StateStore

Holds = dict[str, dict[str, Any]]
"""By fingerprint: `reason`, `why`, `members`, `since`, as the daemon published them."""

Fingerprint = Annotated[
    str | None, typer.Argument(help="Of the group, as `why` and `ack` show it.", show_default=False)
]


def ack(
    fingerprint: Fingerprint = None,
    who: Annotated[str | None, typer.Option("--who", help="Default: your user name.")] = None,
    settings_file: OptionalSettings = None,
    output: Format = "text",
    verbose: Verbose = False,
) -> None:
    """Let exactly one held group through, within 24 hours. Without a fingerprint, list the open groups.

    The same is done by a commit on the watched ref with the trailer `Reconciler-Ack: FINGERPRINT`.

    Exit status: 0 done, 1 the group is unknown or the cluster refused.
    """
    cluster = config.load(settings_file).kubernetes if settings_file is not None else ClusterSettings()
    if fingerprint is None:
        _list(asyncio.run(_open(cluster)), output)
        return
    hold = asyncio.run(_acknowledged(cluster, fingerprint, who or getpass.getuser()))
    if output == "json":
        say_json({"fingerprint": fingerprint, **hold})
        return
    say(f"let through {fingerprint}: {hold.get('reason', '')}: {hold.get('why', '')}")
    for member in hold["members"]:
        say(f"  {member}")


async def _open(cluster: ClusterSettings) -> Holds:
    async with connected(cluster) as client:
        return await _holds(_store(client, cluster))


async def _acknowledged(cluster: ClusterSettings, fingerprint: str, who: str) -> dict[str, Any]:
    async with connected(cluster) as client:
        store = _store(client, cluster)
        holds = await _holds(store)
        if fingerprint not in holds:
            listed = ", ".join(f"{fp} ({hold.get('reason', '')})" for fp, hold in sorted(holds.items()))
            raise InvalidSpec(f"no group {fingerprint} is held; open are: {listed or 'none'}")
        await store.save({names.ACK_ENTRY + fingerprint: {"by": who, "at": time.time()}})
        return holds[fingerprint]


def _store(client: Any, cluster: ClusterSettings) -> "StateStore":
    from ..cluster.state import StateStore

    return StateStore(client, cluster.namespace)


async def _holds(store: "StateStore") -> Holds:
    found = (await store.load()).get("holds")
    return found if isinstance(found, dict) else {}


def _list(holds: Holds, output: str) -> None:
    if output == "json":
        say_json([{"fingerprint": fp, **hold} for fp, hold in sorted(holds.items())])
    elif not holds:
        say("nothing is held that an acknowledgement would let through")
    else:
        now = time.time()
        columns = ("FINGERPRINT", "REASON", "SINCE", "WHY", "MEMBERS")
        say_table(columns, [_row(fp, hold, now) for fp, hold in sorted(holds.items())])


def _row(fingerprint: str, hold: dict[str, Any], now: float) -> tuple[str, ...]:
    members = ", ".join(hold["members"][:5]) + (", …" if len(hold["members"]) > 5 else "")
    return fingerprint, hold.get("reason", ""), age(hold["since"], now), hold.get("why", ""), members
