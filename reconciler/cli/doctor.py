"""`reconciler doctor`: whether all is there that a daemon with these settings needs, and else what to do."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from .. import config
from ..errors import ReconcilerError
from ..model.rights import Right, rights
from .cluster import connected
from .options import Format, Settings, Verbose
from .output import FAILED, say, say_json, say_table
from .statuses import Ref, reader, ref_of

if TYPE_CHECKING:
    from ..cluster.client import Client
    from ..cluster.permissions import Access

COLUMNS = ("CHECK", "RESULT", "WHAT IS SEEN", "WHAT TO DO")
OLDEST = (1, 27)
"""Kubernetes versions before it are not supported."""
SKEW_SECONDS = 5.0
"""Beyond it, times that the daemon tells mislead, and short-lived tokens may be refused."""


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    result: Literal["ok", "warning", "wrong"]
    seen: str
    remedy: str = ""


def doctor(settings_file: Settings, output: Format = "text", verbose: Verbose = False) -> None:
    """Check what a daemon with these settings needs: API server, clock, rights, definition, Git, status ref.

    Nothing is written. Run it as the daemon's own account: in its pod, or with a kubeconfig of it.

    Exit status: 0 nothing is wrong, 1 something is.
    """
    settings = config.load(settings_file)
    findings = asyncio.run(_examined(settings))
    if output == "json":
        say_json([asdict(each) for each in findings])
    else:
        say_table(COLUMNS, [(f.check, f.result, f.seen, f.remedy) for f in findings])
    if any(each.result == "wrong" for each in findings):
        raise typer.Exit(FAILED)
    if output == "text":
        say(f"{settings.cluster} has what mode {settings.mode} with engine {settings.engine} needs")


async def _examined(settings: config.Settings) -> list[Finding]:
    findings = [finding async for finding in _of_cluster(settings)]
    return findings + [finding async for finding in _of_git(settings)]


# --- the cluster -----------------------------------------------------------------------------------


async def _of_cluster(settings: config.Settings) -> AsyncIterator[Finding]:
    try:
        async with connected(settings.kubernetes) as client:
            yield await _server(client)
            yield await _clock(client)
            for finding in await _rights(client, settings):
                yield finding
            yield await _definition(client, settings)
    except ReconcilerError as error:
        remedy = "correct kubernetes.kubeconfig, or the pod's service account and network"
        yield Finding("API server", "wrong", str(error), remedy)


async def _server(client: "Client") -> Finding:
    said = await client.get_raw("/version")
    version = tuple(int("".join(filter(str.isdigit, said[part]))) for part in ("major", "minor"))
    if version < OLDEST:
        remedy = f"update it to {'.'.join(map(str, OLDEST))} or newer"
        return Finding("API server", "warning", f"{said['gitVersion']} is not supported", remedy)
    return Finding("API server", "ok", str(said["gitVersion"]))


async def _clock(client: "Client") -> Finding:
    ahead = await client.clock_ahead()
    if ahead is None:
        return Finding("clock", "warning", "the API server tells no time", "compare the clocks by hand")
    if abs(ahead) > SKEW_SECONDS:
        seen = f"{abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} the API server's"
        return Finding("clock", "wrong", seen, "synchronise this machine's clock (NTP)")
    return Finding("clock", "ok", f"within {SKEW_SECONDS:g} s of the API server's")


async def _rights(client: "Client", settings: config.Settings) -> list[Finding]:
    wanted = list(rights(settings.mode, settings.engine))
    found = [finding for right in wanted for finding in await _right(client, settings, right)]
    found += await _impersonation(client, settings)
    found += await _secrets(client)
    if any(each.result == "wrong" for each in found):
        return found
    return [Finding("rights", "ok", f"all that mode {settings.mode} needs"), *found]


async def _right(client: "Client", settings: config.Settings, right: Right) -> list[Finding]:
    """Where writes may be bounded to namespaces, those that the settings name count."""
    from ..cluster.permissions import denied

    space = settings.kubernetes.namespace if right.where == "own" else ""
    missing = await denied(client, _accesses(right, space))
    if missing and right.where == "workspaces" and (named := _namespaces(settings)):
        missing = await denied(client, (each for name in named for each in _accesses(right, name)))
    return [_missing(each, right.why) for each in missing]


def _accesses(right: Right, namespace: str) -> "Iterator[Access]":
    from ..cluster.permissions import Access

    for verb in right.verbs:
        for name in right.only or ("",):
            yield Access(verb, right.group, right.plural, namespace, name)


def _namespaces(settings: config.Settings) -> list[str]:
    of_paths = {entry.namespace for entry in settings.source.paths if entry.namespace}
    return sorted(of_paths.union(*(tenant.namespaces for tenant in settings.tenants)))


def _missing(access: "Access", why: str) -> Finding:
    remedy = "let the chart make the roles of this mode and engine (rights.create), or grant it"
    return Finding("rights", "wrong", f"may not {access}: {why}", remedy)


async def _impersonation(client: "Client", settings: config.Settings) -> list[Finding]:
    from ..cluster.permissions import Access, denied

    if settings.mode == "observe":
        return []
    accounts = {tenant.service_account for tenant in settings.tenants if tenant.service_account}
    split = (account.partition(":") for account in sorted(accounts))
    wanted = (Access("impersonate", "", "serviceaccounts", space, name) for space, _, name in split)
    return [_missing(each, "a tenant's objects are written as it") for each in await denied(client, wanted)]


async def _secrets(client: "Client") -> list[Finding]:
    from ..cluster.permissions import Access, denied

    if await denied(client, [Access("list", "", "secrets")]):
        return []
    remedy = "run the daemon with an account of its own, such as the chart's"
    return [Finding("rights", "warning", "may read every Secret, which it never needs", remedy)]


async def _definition(client: "Client", settings: config.Settings) -> Finding:
    from ..cluster.apply import workspace_versions

    if versions := await workspace_versions(client):
        return Finding("definition", "ok", f"Workspaces are served as {', '.join(versions)}")
    if settings.engine == "kaito":
        return Finding("definition", "wrong", "no Workspaces are served", "install the Kaito operator")
    if settings.mode == "observe":
        remedy = "nothing, or apply the daemon's own: schemas/crds/workspaces.kaito.sh.yaml"
        return Finding("definition", "warning", "no Workspaces are served, so none is there", remedy)
    return Finding("definition", "ok", "no Workspaces are served yet: the daemon will install its definition")


# --- Git -------------------------------------------------------------------------------------------


async def _of_git(settings: config.Settings) -> AsyncIterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="reconciler-") as cache:
        yield await asyncio.to_thread(_source, settings, Path(cache) / "source")
        if (ref := ref_of(settings)) is None:
            yield Finding("status ref", "ok", "off")
            return
        yield await _status_ref(ref, settings, Path(cache) / "status")


async def _id(settings: config.Settings) -> str:
    """The cluster's; empty where it cannot be asked."""
    from ..cluster.apply import cluster_id

    with suppress(ReconcilerError):
        async with connected(settings.kubernetes) as client:
            return await cluster_id(client)
    return ""


def _source(settings: config.Settings, cache: Path) -> Finding:
    from ..repo.mirror import Mirror

    source = settings.source
    try:
        mirror = Mirror(cache, source.url, source.ref, source.credentials, source.timeout_seconds)
        return Finding("source", "ok", f"{source.ref} is at {mirror.fetch()[:12]}")
    except ReconcilerError as error:
        return Finding("source", "wrong", str(error), "correct source.url, source.ref or source.credentials")


async def _status_ref(ref: Ref, settings: config.Settings, cache: Path) -> Finding:
    try:
        told = await reader(ref, cache).fetch()
        owner, id = (told.index.get("clusterId"), await _id(settings)) if told is not None else ("", "")
        if id and owner != id:
            remedy = "give each cluster a name of its own; delete the ref where that cluster was rebuilt"
            return Finding("status ref", "wrong", f"{ref.name} belongs to another cluster", remedy)
        await asyncio.to_thread(_pushed, ref, settings, cache)
    except ReconcilerError as error:
        remedy = f"let this account create and move {ref.name}, or set status.ref to off"
        return Finding("status ref", "wrong", str(error), remedy)
    return Finding("status ref", "ok", f"{ref.name} {'may be written' if told else 'may be made'}")


def _pushed(ref: Ref, settings: config.Settings, cache: Path) -> None:
    """A push that changes nothing: the server is asked as for any other.

    The ref is moved to where it is. One that is not there is deleted, which a lease allows for no other.
    """
    from ..repo.remote import Remote, local_path
    from ..repo.writer import Branch

    timeout = settings.source.timeout_seconds
    branch = Branch(cache, ref.url, ref.name, ref.credentials, timeout)
    tip = branch.fetch()
    if tip is not None:
        branch.push(tip, tip)
    elif local_path(ref.url) is None:
        Remote(ref.url, ref.credentials, timeout).push(str(cache), "", branch.ref, None)
