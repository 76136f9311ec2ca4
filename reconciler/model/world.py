"""What should exist (Desired) and what does (Observed)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from . import names
from .names import ObjectKey, WorkspaceId
from .workspace import Problem, Workspace

Manifest = dict[str, Any]
"""A Kubernetes object as plain JSON."""

WorkloadKind = Literal["inference", "tuning"]


# --- desired ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a workspace is declared: `path:line` at `commit` (empty for a plain folder)."""

    path: str
    line: int
    commit: str = ""


@dataclass(frozen=True, slots=True)
class DesiredPool:
    """`key` names the pool (by default its one workspace); its cloud name is chosen from it when planning."""

    key: str
    driver: str
    instance_type: str
    count: int
    gpus_per_node: int
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DesiredObject:
    """One Kubernetes object. `spec` marks the user's content, `render` what this release made of it."""

    key: ObjectKey
    spec: str
    render: str
    manifest: Manifest = field(compare=False, hash=False)


@dataclass(frozen=True, slots=True)
class DesiredWorkspace:
    """One workspace, resolved: what to create, in order, and where it was declared."""

    id: WorkspaceId
    kind: WorkloadKind
    workspace: Workspace = field(compare=False)
    origin: Origin = field(compare=False)
    pool: DesiredPool | None
    mirror: DesiredObject
    config: tuple[DesiredObject, ...]
    workload: DesiredObject | None
    services: tuple[DesiredObject, ...]
    needs: frozenset[WorkspaceId] = frozenset()
    """Tuning workspaces whose output image this one mounts as an adapter."""
    content_key: str = ""
    """Identity of a tuning's result: base, dataset, config, method, seed."""
    gpus: int = 0
    """GPUs it takes, whoever provisions them."""
    output_image: str = ""
    """Where a tuning's artifact goes."""
    tenant: str = ""
    """Whose it is; empty where it is nobody's, or there is no table of tenants."""
    refused: str = ""
    """The tenant rule it breaks; empty where it breaks none."""
    impersonate: str = ""
    """`namespace:name` of the service account its objects are written as; empty: our own."""
    drift: Literal["correct", "report"] = "correct"
    warnings: tuple[str, ...] = ()

    @property
    def objects(self) -> tuple[DesiredObject, ...]:
        """Children in the order of first creation."""
        workload = (self.workload,) if self.workload else ()
        return (*self.config, *workload, *self.services)


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A file that does not parse. `identities` are what it last declared; None where nobody knows."""

    path: str
    problems: tuple[Problem, ...]
    identities: frozenset[WorkspaceId] | None


@dataclass(frozen=True, slots=True)
class Desired:
    """One commit, resolved. Invalid workspaces are still wanted: a typo never deletes a pool."""

    revision: str
    workspaces: Mapping[WorkspaceId, DesiredWorkspace]
    invalid: Mapping[WorkspaceId, tuple[Problem, ...]] = field(default_factory=dict)
    broken: Mapping[str, BrokenFile] = field(default_factory=dict)
    declared_anything: bool = True
    """False where the watched paths hold no workspace at all: an empty tree is never a deletion."""
    commits: Mapping[str, str] = field(default_factory=dict)
    """By path: the commit in which we saw the file change."""


# --- observed --------------------------------------------------------------------------------------

PoolState = Literal["creating", "updating", "ready", "failed", "deleting"]


@dataclass(frozen=True, slots=True)
class ObservedPool:
    """A pool as its driver reports it; `reason` and `message` are the cloud's own words on a failure."""

    name: str
    key: str
    driver: str
    instance_type: str
    count: int
    gpus_per_node: int
    state: PoolState
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ObservedNode:
    name: str
    pool: str
    ready: bool
    gpus: int
    instance_type: str


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """`reason` is a waiting or terminated container's, or the scheduler's; empty while all is well."""

    name: str
    phase: str
    ready: bool
    node: str = ""
    reason: str = ""
    message: str = ""
    termination_message: str = ""
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class ObservedObject:
    """A live object that carries our owner mark."""

    key: ObjectKey
    manifest: Manifest = field(compare=False, hash=False)
    resource_version: str
    uid: str
    dropped: frozenset[str] = frozenset()
    """Declared fields this server removed when we applied them: an old server is not fought."""

    def annotation(self, name: str) -> str:
        found = (self.manifest.get("metadata", {}).get("annotations") or {}).get(name, "")
        return str(found)

    @property
    def spec(self) -> str:
        return self.annotation(names.SPEC)

    @property
    def render(self) -> str:
        return self.annotation(names.RENDER)

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.manifest.get("metadata", {})


@dataclass(frozen=True, slots=True)
class Occupant:
    """Who holds a name we want to create: looked up only when something is created."""

    owner: str
    managers: tuple[str, ...]
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A tuning's verified result; `simulated` where no training took place.

    `digest` is empty where another operator made it and tells none.
    """

    image: str
    digest: str
    content_key: str
    simulated: bool = False
    stand_in: str = ""
    """The model that was tuned in place of the preset's, on a development cluster."""
    size: int = 0
    """Bytes of what was pushed; 0 where it is not known."""
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    """What the tuner measured, such as `trainLoss`."""

    def __str__(self) -> str:
        where = f"{self.image}@{self.digest}" if self.digest else self.image
        doubt = "simulated" if self.simulated else f"of the stand-in {self.stand_in}" if self.stand_in else ""
        return f"{where} ({doubt})" if doubt else where


@dataclass(frozen=True, slots=True)
class Correction:
    """A field we put back: `manager` had changed it, `count` times, while we wanted `spec`."""

    field: str
    manager: str
    spec: str
    count: int


@dataclass(frozen=True, slots=True)
class ObservedWorkspace:
    """Everything seen of one workspace."""

    id: WorkspaceId
    mirror: ObservedObject | None = None
    pools: tuple[ObservedPool, ...] = ()
    nodes: tuple[ObservedNode, ...] = ()
    objects: Mapping[ObjectKey, ObservedObject] = field(default_factory=dict)
    pods: tuple[ObservedPod, ...] = ()
    corrections: Mapping[ObjectKey, tuple[Correction, ...]] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)
    """When something about it began, by name, in epoch seconds: `succeeded`, `failed`, `notReady`."""

    @property
    def exists(self) -> bool:
        return bool(self.mirror or self.pools or self.objects)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one running workspace means to the guards, which judge the whole world."""

    gpus: int = 0
    protected: bool = False
    path: str = ""
    """The file it was last declared in, from its live object."""
    ready: bool = False
    nodes: Mapping[str, int] = field(default_factory=dict)
    """By instance type."""

    @classmethod
    def of(cls, machines: Iterable[tuple[str, int, int]], **marks: Any) -> Self:
        """Of (instance type, nodes, GPUs of each); `marks` are the other fields."""
        taken, nodes = list(machines), Counter[str]()
        for instance_type, count, _ in taken:
            nodes[instance_type] += count
        return cls(sum(count * gpus for _, count, gpus in taken), nodes=dict(nodes), **marks)


Fleet = Mapping[WorkspaceId, Footprint]


def nodes_of(lines: Iterable[Footprint]) -> Counter[str]:
    """Of these workspaces, by instance type."""
    found: dict[str, int] = {}
    for line in lines:
        for instance_type, count in line.nodes.items():
            found[instance_type] = found.get(instance_type, 0) + count
    return Counter(found)


Occupants = Mapping[ObjectKey, Occupant]


@dataclass(frozen=True, slots=True)
class Observed:
    """The world. `workspaces` holds those in the cycle's scope, `fleet` a line on every one we own."""

    now: float
    workspaces: Mapping[WorkspaceId, ObservedWorkspace]
    fleet: Fleet
    unseen: frozenset[str] = frozenset()
    """Systems that could not be read: `cluster`, or a driver's name. Unknown is not absent."""
    occupants: Occupants = field(default_factory=dict)
    looked: frozenset[tuple[str, str]] = frozenset()
    """(kind, namespace) pairs whose names were looked up for `occupants`."""
    config_users: Mapping[ObjectKey, frozenset[WorkspaceId]] = field(default_factory=dict)
    """Workspaces, declared or live, that name a ConfigMap as their configuration."""
    crd_served: bool = True
    engine_conflict: str = ""
    """Why a foreign Kaito operator is believed to be at work here; empty where none is."""
    artifacts: Mapping[WorkspaceId, Artifact] = field(default_factory=dict)
    """Each tuning's verified artifact."""
