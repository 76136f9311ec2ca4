"""(Desired, Observed, Plan, Applied) -> what each workspace's owner should read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from ..model import names
from ..model.names import WorkspaceId
from ..model.plan import Applied, Failure, Hold, Plan, Step
from ..model.status import Condition, Phase, WorkspaceStatus
from ..model.world import Desired, DesiredWorkspace, Observed, ObservedWorkspace
from . import operator
from .tuning_life import artifact_of

_Item = TypeVar("_Item", Hold, Failure, Step)

_HOLD_PHASES: Mapping[str, Phase] = {
    "InvalidSpec": "Invalid",
    "UnreadableSpec": "Invalid",
    "Unsigned": "Invalid",
    "Suspended": "Suspended",
    "Deleting": "Deleting",
    "TuningFailed": "Failed",
    "WaitingForArtifact": "Waiting",
    "NodesNotReady": "Provisioning",
    "GpusMissing": "Provisioning",
    "PoolDeleting": "Provisioning",
    "WorkloadNotReady": "Deploying",
    "OperatorPending": "Deploying",
    "Verifying": "Deploying",
    "WaitingForConfig": "Waiting",
    "WorkspaceTuningJobStatusFailed": "Failed",
    "Unavailable": "Waiting",
}
_HARMLESS = frozenset(
    {"PoolUnseen", "Releasing", "Replacing", "Drifted", "Contested", "RendererChanged", "RendererWave"}
)
"""Holds under which a workspace that does its job still counts as ready."""


@dataclass(frozen=True, slots=True)
class _Said:
    """All that a cycle said of one workspace."""

    id: WorkspaceId
    want: DesiredWorkspace | None
    seen: ObservedWorkspace
    steps: tuple[Step, ...]
    holds: tuple[Hold, ...]
    failures: tuple[Failure, ...]


def assess(
    desired: Desired,
    observed: Observed,
    plan: Plan,
    applied: Applied,
    before: Mapping[WorkspaceId, WorkspaceStatus],
) -> dict[WorkspaceId, WorkspaceStatus]:
    """A status for each workspace in the cycle's scope. `before` lends the times that did not change."""
    steps, holds = _by_id(plan.steps), _by_id(plan.holds)
    failures = _by_id(applied.failures)
    found: dict[WorkspaceId, WorkspaceStatus] = {}
    for id, seen in sorted(observed.workspaces.items()):
        if not (seen.exists or id in desired.workspaces or id in desired.invalid):
            continue
        said = _Said(
            id,
            desired.workspaces.get(id),
            seen,
            tuple(steps.get(id, ())),
            tuple(holds.get(id, ())),
            tuple(failures.get(id, ())),
        )
        found[id] = _keep_times(_status(said, desired), before.get(id), observed.now)
    return found


def _by_id(items: Iterable[_Item]) -> dict[WorkspaceId, list[_Item]]:
    groups: dict[WorkspaceId, list[_Item]] = {}
    for item in items:
        groups.setdefault(item.workspace, []).append(item)
    return groups


def _status(said: _Said, desired: Desired) -> WorkspaceStatus:
    phase, reason, message = _verdict(said)
    want, seen = said.want, said.seen
    problem = next(iter(desired.invalid.get(said.id, ())), None)
    status = WorkspaceStatus(
        said.id,
        phase,
        reason,
        message,
        desired.revision,
        holds=tuple((h.reason, h.why, h.group) for h in said.holds),
        steps=tuple(s.why for s in said.steps),
        nodes=tuple(sorted(n.name for n in seen.nodes if n.ready)),
        pool=next((p.name for p in seen.pools if p.state != "deleting"), ""),
        gpus=sum(p.count * p.gpus_per_node for p in seen.pools),
        conditions=_conditions(said, phase, reason, message),
    )
    if want is not None:
        status = _declared(status, want, seen)
    elif problem is not None:
        commit = desired.commits.get(problem.path, "")
        status = replace(status, path=problem.path, line=problem.line, commit=commit)
    return status


def _declared(status: WorkspaceStatus, want: DesiredWorkspace, seen: ObservedWorkspace) -> WorkspaceStatus:
    if want.workload is None:
        status = replace(status, nodes=operator.nodes(seen))
        status = replace(status, gpus=want.gpus if status.nodes else 0)
    unchanged = seen.mirror is not None and seen.mirror.spec == want.mirror.spec
    recorded = seen.mirror.annotation(names.COMMIT) if seen.mirror is not None and unchanged else ""
    return replace(
        status,
        commit=recorded or want.origin.commit,
        path=want.origin.path,
        line=want.origin.line,
        instance_type=want.workspace.instance_type,
        endpoint=f"http://{want.id.name}.{want.id.namespace}.svc/chat" if _serves(want, seen) else "",
        artifact=artifact_of(want, seen) if want.kind == "tuning" else None,
    )


def _serves(want: DesiredWorkspace, seen: ObservedWorkspace) -> bool:
    """Whether there is a Service to ask; the operator makes it with the workload."""
    if want.kind == "tuning":
        return False
    if want.workload is None:
        return operator.is_true(seen, "InferenceReady")
    return any(s.key in seen.objects for s in want.services)


def _verdict(said: _Said) -> tuple[Phase, str, str]:
    """Phase, reason, message: a failure first, then what is held, then what is being done."""
    if said.failures:
        failure = said.failures[0]
        return "Failed" if failure.retry_after is None else "Waiting", failure.reason, failure.message
    serious = [h for h in said.holds if h.reason not in _HARMLESS]
    acting = [h for h in serious if not h.waiting]
    for hold in (*acting, *serious):
        return _phase(hold, said), hold.reason, hold.why
    if said.steps and not _only_upkeep(said):
        return _working(said), "Progressing", said.steps[0].why
    return _done(said)


def _phase(hold: Hold, said: _Said) -> Phase:
    phase = _HOLD_PHASES.get(hold.reason)
    if phase == "Deploying" and said.want is not None and said.want.kind == "tuning":
        return "Tuning"
    if phase is not None:
        return phase
    return "Waiting" if hold.waiting else "Held"


def _only_upkeep(said: _Said) -> bool:
    """Steps that do not take a workspace out of service: drift, our own rendering, a released pool."""
    return said.seen.exists and all(s.cause in ("drift", "render", "release", "record") for s in said.steps)


def _working(said: _Said) -> Phase:
    if said.want is None:
        return "Deleting"
    if said.want.workload is not None and said.want.workload.key in said.seen.objects:
        return "Deploying"
    return "Provisioning"


def _done(said: _Said) -> tuple[Phase, str, str]:
    why = "; ".join(h.why for h in said.holds)
    if said.want is not None and said.want.kind == "tuning":
        artifact = artifact_of(said.want, said.seen)
        made = f"the adapter is {artifact}" if artifact else ""
        return "Succeeded", "TuningSucceeded", f"{made}; {why}" if why else made
    reason = said.holds[0].reason if said.holds else "AsDeclared"
    return "Ready", reason, why


# --- conditions ------------------------------------------------------------------------------------


def _conditions(said: _Said, phase: Phase, reason: str, message: str) -> tuple[Condition, ...]:
    """Kaito's condition types, in the meaning of its docs; both names of the final one."""
    over = phase in ("Ready", "Succeeded")
    verdict = (reason, message)
    final = [_condition(t, over, verdict, reason) for t in ("WorkspaceReady", "WorkspaceSucceeded")]
    if said.want is not None and said.want.workload is None:
        return (*operator.conditions(said.seen), *final)
    found = [_condition("ResourceReady", over or _nodes_ready(said), verdict, "NodesReady")]
    if said.want is not None and said.want.kind == "tuning":
        started = over or any(k.kind == "Job" for k in said.seen.objects)
        found.append(_condition("JobStarted", started, verdict, "JobStarted"))
    else:
        found.append(_condition("InferenceReady", over, verdict, "InferenceServing"))
    return (*found, *final)


def _nodes_ready(said: _Said) -> bool:
    if said.want is None or said.want.pool is None:
        return bool(said.seen.objects)
    pools = {p.name for p in said.seen.pools if p.state != "deleting"}
    return sum(n.ready for n in said.seen.nodes if n.pool in pools) >= said.want.pool.count


def _condition(type: str, true: bool, verdict: tuple[str, str], when_true: str) -> Condition:
    if true:
        return Condition(type, "True", when_true, verdict[1] if type.startswith("Workspace") else "")
    return Condition(type, "False", verdict[0], verdict[1])


def _keep_times(status: WorkspaceStatus, before: WorkspaceStatus | None, now: float) -> WorkspaceStatus:
    was = {c.type: c for c in before.conditions} if before else {}
    conditions = tuple(
        replace(c, since=was[c.type].since if c.type in was and was[c.type].status == c.status else now)
        for c in status.conditions
    )
    since = before.since if before is not None and before.phase == status.phase else now
    return replace(status, conditions=conditions, since=since)
