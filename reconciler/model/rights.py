"""What the daemon's account must be allowed to do, by mode and engine: the one table.

The chart's roles, `reconciler doctor` and the README are made of it; the tests hold it to the requests that
the daemon really makes. No mode has any right on Secrets.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from . import names
from .settings import Engine, Mode

Where = Literal["cluster", "workspaces", "own"]
"""Everywhere; in the namespaces of workspaces, which the chart may bound; in the daemon's own namespace."""

_ALL: tuple[Mode, ...] = ("observe", "deliver", "full")
_WRITING: tuple[Mode, ...] = ("deliver", "full")
_BOTH: tuple[Engine, ...] = ("native", "kaito")
_LOOK, _FOLLOW = ("get", "list", "watch"), ("list", "watch")
_WRITE = ("create", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Right:
    """`resource` as access rules name it: `jobs.batch`, `workspaces.kaito.sh/status`."""

    resource: str
    verbs: tuple[str, ...]
    where: Where
    why: str
    modes: tuple[Mode, ...] = _ALL
    engines: tuple[Engine, ...] = _BOTH
    only: tuple[str, ...] = ()
    """Names of the objects it is about; none: all. The server knows no names at a creation."""

    @property
    def group(self) -> str:
        return self.resource.partition("/")[0].partition(".")[2]

    @property
    def plural(self) -> str:
        """With the subresource: `workspaces/status`."""
        name, slash, subresource = self.resource.partition("/")
        return name.partition(".")[0] + slash + subresource


_WORKSPACES = f"workspaces.{names.GROUP}"
_DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
_LEASES = "leases.coordination.k8s.io"

RIGHTS = (
    Right("namespaces", ("get",), "cluster", "its UID is the cluster's identity", only=("kube-system",)),
    Right(_WORKSPACES, _LOOK, "cluster", "what is there; who holds a name before it is taken"),
    Right("configmaps", _LOOK, "cluster", "those it delivered; who holds a name before it is taken"),
    *(
        Right(kind, _LOOK, "cluster", "as with ConfigMaps, those it made", engines=("native",))
        for kind in ("services", "deployments.apps", "jobs.batch")
    ),
    *(
        Right(kind, _FOLLOW, "cluster", why, engines=("native",))
        for kind, why in (
            ("statefulsets.apps", "those it made"),
            ("pods", "why a workload is not ready; what a tuning reports"),
            ("nodes", "whether a pool's machines are there, with their GPUs"),
        )
    ),
    Right(_WORKSPACES, _WRITE, "workspaces", "what Git declares", modes=_WRITING),
    Right("configmaps", _WRITE, "workspaces", "what Git declares", modes=_WRITING),
    Right(
        f"{_WORKSPACES}/status", ("patch",), "workspaces", "how it is", modes=_WRITING, engines=("native",)
    ),
    Right(
        "events", ("create",), "workspaces", "when a phase changes", modes=_WRITING, engines=("native",)
    ),
    *(
        Right(kind, _WRITE, "workspaces", "what a workspace is made of", modes=("full",), engines=("native",))
        for kind in ("services", "deployments.apps", "jobs.batch")
    ),
    Right(
        *(_DEFINITIONS, ("create",), "cluster", "the definition of Workspace, where there is none"),
        modes=_WRITING, engines=("native",),
    ),
    Right(
        *(_DEFINITIONS, _FOLLOW, "cluster", "until it is established"),
        modes=_WRITING, engines=("native",), only=(names.CRD_NAME,),
    ),
    Right(_LEASES, ("create",), "own", "one writer at a time", modes=_WRITING),
    Right(_LEASES, ("get", "update"), "own", "one writer at a time", modes=_WRITING, only=(names.LEASE,)),
    Right("configmaps", ("create",), "own", "what must outlive a restart", modes=_WRITING),
    Right(
        *("configmaps", ("get", "list", "watch", "patch"), "own", "what must outlive a restart"),
        modes=_WRITING, only=(names.STATE_CONFIGMAP,),
    ),
    Right("events", ("create",), "own", "what is wrong with its surroundings", modes=_WRITING),
    Right("namespaces", ("get",), "own", "whether what must outlive a restart has a place", modes=_WRITING),
)  # fmt: skip


def rights(mode: Mode, engine: Engine) -> Iterator[Right]:
    """What a daemon with these settings needs, whatever its provisioner: pools are the cloud's to give."""
    return (right for right in RIGHTS if mode in right.modes and engine in right.engines)
