"""Plans of the whole world at the cost of what changed: findings of untouched workspaces are kept."""

from ..model.names import WorkspaceId
from ..model.plan import Hold, Plan, Step
from ..model.policy import Policy
from ..model.world import Desired, Observed
from ..planning.diff import cluster_steps, collect, plan_one
from ..planning.guards import guard


class Planner:
    def __init__(self) -> None:
        self._findings: dict[WorkspaceId, list[Step | Hold]] = {}

    def plan(self, desired: Desired, observed: Observed, policy: Policy) -> Plan:
        """Plans `observed.workspaces` anew. Guards judge it together with all that is still pending."""
        for id in observed.workspaces:
            found = plan_one(id, desired, observed, policy)
            if found:
                self._findings[id] = found
            else:
                self._findings.pop(id, None)
        said: list[Step | Hold] = [*cluster_steps(observed, policy)]
        for id in sorted(self._findings):
            said += self._findings[id]
        return guard(collect(desired, said, observed, observed.workspaces), desired, observed, policy)
