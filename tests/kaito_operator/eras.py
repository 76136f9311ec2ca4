"""What the operator's releases say of a Workspace: condition types, reasons and messages of each era.

Up to v0.3.0 the final condition is WorkspaceReady and nothing is annotated; later it is
WorkspaceSucceeded. Until v0.4 a condition appears only when its stage is reached, since the operator
waits within one reconciliation; at head all are computed each time.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one Workspace is. `shortage` is the cloud's word, `trouble` (reason, message) of its pod."""

    tuning: bool
    wanted: int
    nodes: tuple[str, ...] = ()
    shortage: str = ""
    active: int = 0
    serving: bool = False
    succeeded: bool = False
    failed: bool = False
    trouble: tuple[str, str] = ("", "")

    @property
    def provisioned(self) -> bool:
        return len(self.nodes) >= self.wanted

    @property
    def done(self) -> bool:
        return self.succeeded if self.tuning else self.serving


class Line(NamedTuple):
    """One condition, without its times."""

    type: str
    status: str
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Era:
    name: str
    lines: Callable[[Progress], Iterator[Line]]
    annotates: bool = True
    """Whether it writes the hash and the revision of what it acts on."""
    states: bool = False
    """Whether it writes `status.state` and `status.targetNodeCount`."""


# --- up to v0.4 ------------------------------------------------------------------------------------


def _v0_3(seen: Progress) -> Iterator[Line]:
    return _blocking(seen, "MachineReady", "WorkspaceReady")


def _v0_4(seen: Progress) -> Iterator[Line]:
    return _blocking(seen, "NodeClaimReady", "WorkspaceSucceeded")


def _blocking(seen: Progress, machines: str, final: str) -> Iterator[Line]:
    """Stages one after another; an error ends the reconciliation and is said twice."""
    noun = machines.removesuffix("Ready")
    word = noun[0].lower() + noun[1:]
    if seen.shortage:
        yield Line(machines, "False", f"{word}FailedCreation", seen.shortage)
        yield Line("ResourceReady", "False", "workspaceResourceStatusFailed", seen.shortage)
        yield Line(final, "False", "workspaceFailed", seen.shortage)
    elif not seen.provisioned:
        missing = seen.wanted - len(seen.nodes)
        yield Line(machines, "Unknown", f"Create{noun}Pending", f"creating {missing} {word}s")
    else:
        yield Line(machines, "True", "installNodePluginsSuccess", f"{word} plugins have been installed")
        yield Line("ResourceReady", "True", "workspaceResourceStatusSuccess", "workspace resource is ready")
        yield from _job(seen, final) if seen.tuning else _service(seen, final)


def _service(seen: Progress, final: str) -> Iterator[Line]:
    if seen.trouble[0]:
        why = f"deployment is not progressing: {seen.trouble[0]}"
        yield Line("InferenceReady", "False", "WorkspaceInferenceStatusFailed", why)
        yield Line(final, "False", "workspaceFailed", why)
    elif seen.serving:
        yield Line("InferenceReady", "True", "WorkspaceInferenceStatusSuccess", "Inference has been deployed")
        yield Line(final, "True", "workspaceSucceeded", "workspace succeeds")


def _job(seen: Progress, final: str) -> Iterator[Line]:
    if seen.failed:
        yield Line("JobStarted", "False", "WorkspaceTuningJobStatusFailed", "the job has failed 1 pods")
        yield Line(final, "False", "workspaceFailed", "the job has failed 1 pods")
        return
    yield Line("JobStarted", "True", "WorkspaceTuningJobStatusStarted", "Tuning job has started")
    if seen.succeeded:
        yield Line(final, "True", "workspaceSucceeded", "workspace succeeds")
    else:
        why = f"workspace has not completed, tuning job has {seen.active} active pod, 0 ready pod"
        yield Line(final, "False", "workspacePending", why)


# --- head ------------------------------------------------------------------------------------------

_CLASSIFIED = {
    "CrashLoopBackOff": "ContainerCrashLoopBackOff",
    "ErrImagePull": "ImagePullError",
    "ImagePullBackOff": "ImagePullError",
    "OOMKilled": "ContainerOOMKilled",
}
"""Reasons that head gives for a pod's."""


def _head(seen: Progress) -> Iterator[Line]:
    provisioned, nodes = seen.provisioned, f"{len(seen.nodes)}/{seen.wanted} nodes are ready"
    yield Line("NodesReady", *_either(provisioned, "NodesReady", "NodeNotReady"), nodes)
    if seen.shortage:
        yield Line("NodeClaimReady", "False", "LaunchFailed", seen.shortage)
    else:
        yield Line("NodeClaimReady", *_either(provisioned, "NodeClaimsReady", "NodeClaimNotReady"), nodes)
    ready = _either(provisioned, "workspaceResourceStatusSuccess", "workspaceResourceStatusNotReady")
    yield Line("ResourceReady", *ready, nodes)
    yield _workload(seen)
    if seen.failed:
        yield Line("WorkspaceSucceeded", "False", "workspaceFailed", "the tuning job has failed")
    else:
        yield Line("WorkspaceSucceeded", *_either(seen.done, "workspaceSucceeded", "workspacePending"), "")


def _workload(seen: Progress) -> Line:
    if seen.tuning:
        if seen.failed:
            return Line("JobStarted", "False", "WorkspaceTuningJobStatusFailed", "the tuning job has failed")
        started = seen.provisioned
        names = ("WorkspaceTuningJobStatusStarted", "WorkspaceTuningJobStatusPending")
        return Line("JobStarted", *_either(started, *names))
    reason, message = seen.trouble
    if reason:
        return Line("InferenceReady", "False", _CLASSIFIED.get(reason, "ContainerStartError"), message)
    names = ("WorkspaceInferenceStatusSuccess", "WorkspaceInferenceStatusPending")
    return Line("InferenceReady", *_either(seen.serving, *names))


def _either(true: bool, yes: str, no: str) -> tuple[str, str]:
    return ("True", yes) if true else ("False", no)


ERAS: Mapping[str, Era] = MappingProxyType(
    {
        era.name: era
        for era in (
            Era("v0.3", _v0_3, annotates=False),
            Era("v0.4", _v0_4),
            Era("head", _head, states=True),
        )
    }
)


def state(seen: Progress) -> str:
    """`status.state`, as head writes it."""
    if seen.tuning:
        return "Succeeded" if seen.succeeded else "Failed" if seen.failed else "Running"
    return "Ready" if seen.serving else "NotReady" if seen.trouble[0] else "Pending"
