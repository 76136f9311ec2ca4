"""(Desired, Observed) -> Plan: what each workspace needs next, and what nobody wants any more."""

from collections.abc import Container, Iterable, Iterator

from ..model.names import WorkspaceId
from ..model.plan import ApplyObject, CreatePool, Hold, InstallCrd, Plan, Step
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
    return collect(desired, findings, observed, observed.workspaces)


def plan_one(id: WorkspaceId, desired: Desired, observed: Observed, policy: Policy) -> list[Step | Hold]:
    """Everything to be said of one workspace, in order."""
    seen = observed.workspaces.get(id) or ObservedWorkspace(id)
    want = desired.workspaces.get(id)
    if id in desired.invalid:
        return [Hold(id, problem.reason, str(problem)) for problem in desired.invalid[id]]
    if want is None:
        conflict = engine_conflict(seen, observed, policy) if seen.exists else None
        return [conflict] if conflict is not None else list(prune(seen, desired, observed))
    return list(converge(Case(want, seen, observed, policy)))


def collect(
    desired: Desired, findings: Iterable[Step | Hold], observed: Observed, scope: Container[WorkspaceId]
) -> Plan:
    """Sorts findings into a plan; in `scope`, a creation under a name nobody looked up becomes a look.

    A pool is such a creation too: nobody should pay for one only to learn that a name is taken.
    """
    steps: list[Step] = []
    holds: list[Hold] = []
    looks: set[tuple[str, str]] = set()
    blind: set[WorkspaceId] = set()
    for finding in findings:
        if isinstance(finding, Hold):
            holds.append(finding)
        elif finding.workspace in scope and (needed := _names(finding, desired) - observed.looked):
            looks |= needed
            blind.add(finding.workspace)
        elif finding.workspace not in blind:
            steps.append(finding)
    return Plan(desired.revision, tuple(steps), tuple(holds), looks=frozenset(looks))


def _names(step: Step, desired: Desired) -> set[tuple[str, str]]:
    """(kind, namespace) of the names this step takes, or will take in the end."""
    match step.action:
        case ApplyObject(wanted, _, True):
            return {(wanted.key.kind, wanted.key.namespace)}
        case CreatePool():
            want = desired.workspaces.get(step.workspace)
            return {(o.key.kind, o.key.namespace) for o in want.objects} if want is not None else set()
    return set()


def cluster_steps(observed: Observed, policy: Policy) -> Iterator[Step]:
    if not observed.crd_served and policy.engine == "native" and "cluster" not in observed.unseen:
        yield Step(CLUSTER, InstallCrd(), "this cluster serves no workspaces.kaito.sh")
