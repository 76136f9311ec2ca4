"""(Desired, Observed) -> Plan: what each workspace needs next, and what nobody wants any more."""

from collections.abc import Container, Iterable, Iterator

from ..model.names import WorkspaceId
from ..model.plan import ApplyObject, Hold, InstallCrd, Plan, Step
from ..model.policy import Policy
from ..model.world import Desired, Observed, ObservedWorkspace
from .blockers import engine_conflict
from .case import Case
from .converge import converge
from .prune import prune

CLUSTER = WorkspaceId("", "")
"""Steps that belong to no workspace."""


def make_plan(desired: Desired, observed: Observed, policy: Policy) -> Plan:
    """Plans the workspaces that `observed.workspaces` covers: a cycle's share, or all."""
    findings: list[Step | Hold] = list(cluster_steps(observed, policy))
    for id in sorted(observed.workspaces):
        findings += plan_one(id, desired, observed, policy)
    return collect(desired.revision, findings, observed, observed.workspaces)


def plan_one(id: WorkspaceId, desired: Desired, observed: Observed, policy: Policy) -> list[Step | Hold]:
    """Everything to be said of one workspace, in order."""
    seen = observed.workspaces.get(id) or ObservedWorkspace(id)
    want = desired.workspaces.get(id)
    if id in desired.invalid:
        return [Hold(id, "InvalidSpec", str(problem)) for problem in desired.invalid[id]]
    if want is None:
        conflict = engine_conflict(seen, observed, policy) if seen.exists else None
        return [conflict] if conflict is not None else list(prune(seen, desired, observed))
    return list(converge(Case(want, seen, observed, policy)))


def collect(
    revision: str, findings: Iterable[Step | Hold], observed: Observed, scope: Container[WorkspaceId]
) -> Plan:
    """Sorts findings into a plan; in `scope`, a creation under a name nobody looked up becomes a look."""
    steps: list[Step] = []
    holds: list[Hold] = []
    looks: set[tuple[str, str]] = set()
    blind: set[WorkspaceId] = set()
    for finding in findings:
        if isinstance(finding, Hold):
            holds.append(finding)
        elif finding.workspace in scope and (look := _needed_look(finding, observed)) is not None:
            looks.add(look)
            blind.add(finding.workspace)
        elif finding.workspace not in blind:
            steps.append(finding)
    return Plan(revision, tuple(steps), tuple(holds), looks=frozenset(looks))


def _needed_look(step: Step, observed: Observed) -> tuple[str, str] | None:
    if not isinstance(step.action, ApplyObject) or not step.action.creates:
        return None
    pair = (step.action.object.key.kind, step.action.object.key.namespace)
    return None if pair in observed.looked else pair


def cluster_steps(observed: Observed, policy: Policy) -> Iterator[Step]:
    if not observed.crd_served and policy.engine == "native" and "cluster" not in observed.unseen:
        yield Step(CLUSTER, InstallCrd(), "this cluster serves no workspaces.kaito.sh")
