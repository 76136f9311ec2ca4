"""The shapes of what this program writes for other programs: plans and the status ref's files."""

from typing import Literal

from pydantic import ConfigDict
from typing_extensions import TypedDict


class Document(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")


class Change(Document):
    """One field of an object that differs."""

    field: str
    was: str
    wanted: str
    manager: str


class Step(Document):
    """One thing that is done."""

    workspace: str
    verb: Literal["create", "change", "delete"]
    target: str
    why: str
    cause: str
    changes: list[Change]


class Hold(Document):
    """Why something is not done. `waiting`: it will be without anybody's doing."""

    workspace: str
    reason: str
    why: str
    waiting: bool
    acknowledge: str | None


class Group(Document):
    """Steps held together, and the fingerprint that lets them through."""

    fingerprint: str
    reason: str
    why: str
    members: list[str]


class Counts(Document):
    create: int
    change: int
    delete: int
    held: int
    waiting: int


class Workspaces(Document):
    """By what happens to them; `held` are those of which something is held back."""

    create: int
    change: int
    replace: int
    delete: int
    held: int


class Plan(Document):
    """What `reconciler plan -o json` prints."""

    revision: str
    fingerprint: str
    counts: Counts
    workspaces: Workspaces
    gpus: int
    dollarsPerHour: float | None
    steps: list[Step]
    holds: list[Hold]
    groups: list[Group]
    warnings: dict[str, list[str]]


class Condition(Document):
    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    since: str


class StatusHold(Document):
    reason: str
    why: str
    group: str


class Artifact(Document):
    """What a tuning pushed."""

    image: str
    digest: str
    contentKey: str
    simulated: bool
    standIn: str
    size: int
    metrics: dict[str, float]


class Status(Document):
    """A file of the status ref: `status/<2 hex digits>/<namespace>.<name>.json`."""

    namespace: str
    name: str
    phase: str
    reason: str
    message: str
    since: str
    conditions: list[Condition]
    holds: list[StatusHold]
    steps: list[str]
    commit: str
    path: str
    line: int
    instanceType: str
    pool: str
    nodes: list[str]
    gpus: int
    endpoint: str
    artifact: Artifact | None
