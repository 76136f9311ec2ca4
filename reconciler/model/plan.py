"""What will be done about the difference, and what deliberately will not."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from .names import ObjectKey, WorkspaceId
from .world import DesiredObject, DesiredPool


@dataclass(frozen=True, slots=True)
class InstallCrd:
    """Install the Workspace CRD; planned only where the cluster serves none."""


@dataclass(frozen=True, slots=True)
class CreatePool:
    name: str
    pool: DesiredPool


@dataclass(frozen=True, slots=True)
class ScalePool:
    name: str
    pool: DesiredPool
    was: int


@dataclass(frozen=True, slots=True)
class DeletePool:
    name: str
    driver: str


@dataclass(frozen=True, slots=True)
class Change:
    """One field whose live value differs from the declared one."""

    field: str
    was: str
    wanted: str
    manager: str = ""


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Server-side apply; `changes` is empty for a creation."""

    object: DesiredObject
    changes: tuple[Change, ...] = ()
    creates: bool = False


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Deletes exactly the object seen: `uid` is a precondition."""

    key: ObjectKey
    uid: str


PoolAction = CreatePool | ScalePool | DeletePool
Action = InstallCrd | CreatePool | ScalePool | DeletePool | ApplyObject | DeleteObject
DELETIONS = (DeletePool, DeleteObject)


@dataclass(frozen=True, slots=True)
class Step:
    """An action and the reason a person wants to read. `cause` tells policy what led to it."""

    workspace: WorkspaceId
    action: Action
    why: str
    cause: str = "spec"
    """`spec` (Git changed), `drift`, `render` (this release renders it otherwise), `prune`, `release`,
    `retry` (the cloud failed before), `record` (only where we write down path or pool)."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Something the plan deliberately does not do (yet), and why."""

    workspace: WorkspaceId
    reason: str
    why: str
    group: str = ""
    """Fingerprint that an acknowledgement must name to let it through; empty where none can."""
    recheck_after: float | None = None
    """Seconds after which the world may look different though no event will say so."""
    waiting: bool = False
    """True for an ordinary stage of the life cycle, false where somebody may want to act."""


@dataclass(frozen=True, slots=True)
class Group:
    """Steps held together until acknowledged. Members name action and target, never a revision."""

    reason: str
    why: str
    members: frozenset[str]

    @property
    def fingerprint(self) -> str:
        text = "\n".join([self.reason, *sorted(self.members)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Plan:
    revision: str
    steps: tuple[Step, ...] = ()
    holds: tuple[Hold, ...] = ()
    groups: tuple[Group, ...] = ()
    looks: frozenset[tuple[str, str]] = frozenset()
    """(kind, namespace) pairs whose names must be looked up before their creations can be planned."""

    @property
    def fingerprint(self) -> str:
        """Equal for equal changes, so that a reviewed plan can be told from a newer one."""
        said = sorted(f"{s.workspace} {describe(s.action)}" for s in self.steps)
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that was tried and failed; `reason` is the error's."""

    workspace: WorkspaceId
    step: Step
    reason: str
    message: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    done: tuple[Step, ...] = ()
    failures: tuple[Failure, ...] = ()
    unattempted: tuple[Step, ...] = field(default=())
    """Later steps of a workspace whose earlier step failed, and all steps of a process without the lease."""


def describe(action: Action) -> str:
    """Verb and target in a few words; names the content, so that equal descriptions are equal actions."""
    match action:
        case InstallCrd():
            return "install the Workspace CRD"
        case CreatePool(name, pool):
            return f"create pool {name}: {pool.count} × {pool.instance_type}"
        case ScalePool(name, pool, was):
            return f"scale pool {name}: {was} → {pool.count} × {pool.instance_type}"
        case DeletePool(name, _):
            return f"delete pool {name}"
        case ApplyObject(obj, _, creates):
            return f"{'create' if creates else 'update'} {obj.key} ({obj.spec[:8]}/{obj.render[:8]})"
        case DeleteObject(key, _):
            return f"delete {key}"


def by_workspace(steps: Iterable[Step]) -> dict[WorkspaceId, list[Step]]:
    """Steps grouped by workspace, each group in its own order."""
    groups: dict[WorkspaceId, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.workspace, []).append(step)
    return groups
