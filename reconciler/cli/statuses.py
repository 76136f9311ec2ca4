"""Where statuses come from: the cluster, or the status ref alone."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import config
from ..errors import InvalidSpec, Unavailable
from ..model.names import WorkspaceId
from ..model.settings import ClusterSettings, GitCredentials
from ..model.status import Condition, WorkspaceStatus
from ..model.suggestion import nearest
from .cluster import Statuses, artifact_of, connected, seconds
from .cluster import statuses as of_cluster

if TYPE_CHECKING:
    from ..statusref import StatusReader

GIT_SECONDS = 30.0

StatusUrl = Annotated[
    str | None,
    typer.Option("--status-url", help="Repository of the status ref; needs no cluster.", show_default=False),
]
StatusRefName = Annotated[
    str | None,
    typer.Option("--ref", help="Status ref, such as reconciler-status/prod-weu.", show_default=False),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with an access token for --status-url.", show_default=False),
]
Name = Annotated[
    str | None,
    typer.Argument(metavar="[NAMESPACE/]NAME", help="One workspace; without it all.", show_default=False),
]


@dataclass(frozen=True, slots=True)
class Ref:
    """A status ref and how to read it."""

    url: str
    name: str
    credentials: GitCredentials


Place = Ref | ClusterSettings


def place(settings_file: Path | None, url: str | None, ref: str | None, token: Path | None) -> Place:
    """The status ref where one is named, else the cluster: of the settings, or of the usual kubeconfig."""
    if url is not None:
        if ref is None:
            raise InvalidSpec("--status-url needs --ref, such as reconciler-status/prod-weu")
        return Ref(url, ref, GitCredentials(token_file=token))
    if ref is not None or token is not None:
        raise InvalidSpec("--ref and --token-file belong to --status-url")
    return config.load(settings_file).kubernetes if settings_file is not None else ClusterSettings()


def ref_of(settings: config.Settings) -> Ref | None:
    """The daemon's own status ref; None where that is off."""
    if settings.status_ref is None:
        return None
    status, source = settings.status, settings.source
    return Ref(status.url or source.url, settings.status_ref, status.credentials or source.credentials)


async def read(where: Place) -> Statuses:
    """Every workspace's. Raises Unavailable and its kin."""
    if isinstance(where, ClusterSettings):
        async with connected(where) as client:
            return await of_cluster(client)
    with tempfile.TemporaryDirectory(prefix="reconciler-") as cache:
        told = await reader(where, Path(cache)).fetch()
    if told is None:
        raise Unavailable(f"{where.url} has no ref {where.name}; no daemon has told anything there yet")
    return {id: of_document(found) for id, found in told.workspaces.items()}


def reader(where: Ref, cache: Path) -> "StatusReader":
    from ..repo.writer import Branch
    from ..statusref import StatusReader

    return StatusReader(Branch(cache, where.url, where.name, where.credentials, GIT_SECONDS))


def one_of(name: str, known: Statuses) -> WorkspaceStatus:
    """By `namespace/name`, or by a name that only one workspace has. Raises InvalidSpec."""
    found = [status for id, status in known.items() if name in (str(id), id.name)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(sorted(str(status.id) for status in found))
        raise InvalidSpec(f"several workspaces are called {name}: {listed}; name one with its namespace")
    near = nearest(name, [str(id) for id in known] + [id.name for id in known])
    raise InvalidSpec(f"there is no workspace {name}" + (f"; did you mean {near}?" if near else ""))


def of_document(found: dict[str, Any]) -> WorkspaceStatus:
    """From a file of the status ref."""
    return WorkspaceStatus(
        WorkspaceId(found["namespace"], found["name"]),
        found["phase"],
        found.get("reason", ""),
        found.get("message", ""),
        revision="",
        commit=found.get("commit", ""),
        path=found.get("path", ""),
        line=int(found.get("line") or 0),
        conditions=tuple(
            Condition(c["type"], c["status"], c["reason"], c["message"], seconds(c.get("since")))
            for c in found.get("conditions") or ()
        ),
        holds=tuple((h["reason"], h["why"], h["group"]) for h in found.get("holds") or ()),
        steps=tuple(found.get("steps") or ()),
        instance_type=found.get("instanceType", ""),
        nodes=tuple(found.get("nodes") or ()),
        gpus=int(found.get("gpus") or 0),
        pool=found.get("pool", ""),
        endpoint=found.get("endpoint", ""),
        artifact=artifact_of(found.get("artifact")),
        since=seconds(found.get("since")),
    )
