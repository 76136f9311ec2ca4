"""What a plan amounts to: verbs, targets, counts, GPUs and dollars, as plain data with stable names."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..model import names
from ..model.names import WorkspaceId
from ..model.plan import (
    Action,
    ApplyObject,
    Change,
    CreatePool,
    DeleteObject,
    DeletePool,
    Hold,
    InstallCrd,
    Plan,
    ScalePool,
    Step,
)
from ..model.policy import Policy
from ..model.world import Desired, Fleet, Footprint, Observed, nodes_of

VERBS = ("create", "change", "delete")
KINDS = ("create", "change", "replace", "delete")
"""What can happen to a workspace as a whole."""


@dataclass(frozen=True)
class Proposal:
    """A guarded plan with what it was made from, and what it leads to."""

    plan: Plan
    desired: Desired
    observed: Observed
    policy: Policy
    fleet: Fleet
    """In the end."""

    @cached_property
    def said(self) -> dict[WorkspaceId, tuple[list[Step], list[Hold]]]:
        """Steps and holds of each workspace, in order of identity."""
        found: dict[WorkspaceId, tuple[list[Step], list[Hold]]] = {}
        for step in self.plan.steps:
            found.setdefault(step.workspace, ([], []))[0].append(step)
        for hold in self.plan.holds:
            found.setdefault(hold.workspace, ([], []))[1].append(hold)
        return dict(sorted(found.items()))

    @cached_property
    def moved(self) -> frozenset[WorkspaceId]:
        """Those whose line in the fleet is another in the end: a few of many thousands."""
        before, after = self.observed.fleet, self.fleet
        found = {id for id, line in after.items() if before.get(id) is not line}
        return frozenset(found | (before.keys() - after.keys()))

    @cached_property
    def nodes_now(self) -> Counter[str]:
        """By instance type."""
        return nodes_of(self.observed.fleet.values())

    @cached_property
    def nodes_then(self) -> Counter[str]:
        """The same in the end."""
        found = self.nodes_now + nodes_of(self._lines(self.fleet))
        return found - nodes_of(self._lines(self.observed.fleet))

    @property
    def gpus(self) -> int:
        """GPUs that are added in the end; negative where some are freed."""
        after, before = self._lines(self.fleet), self._lines(self.observed.fleet)
        return sum(line.gpus for line in after) - sum(line.gpus for line in before)

    @property
    def dollars_per_hour(self) -> float | None:
        """What that costs; None without prices."""
        if not self.policy.prices:
            return None
        return self.policy.hourly(self.nodes_then) - self.policy.hourly(self.nodes_now)

    def _lines(self, fleet: Fleet) -> list[Footprint]:
        return [fleet[id] for id in self.moved if id in fleet]


def document(proposal: Proposal) -> dict[str, Any]:
    """The whole plan as JSON-able data."""
    plan = proposal.plan
    return {
        "revision": plan.revision,
        "fingerprint": plan.fingerprint,
        "counts": counts(plan.steps, plan.holds),
        "workspaces": tally(proposal),
        "gpus": proposal.gpus,
        "dollarsPerHour": proposal.dollars_per_hour,
        "steps": [_step(s) for s in plan.steps],
        "holds": [_hold(h) for h in plan.holds],
        "groups": [
            {"fingerprint": g.fingerprint, "reason": g.reason, "why": g.why, "members": sorted(g.members)}
            for g in plan.groups
        ],
        "warnings": {
            str(id): list(w.warnings) for id, w in proposal.desired.workspaces.items() if w.warnings
        },
    }


def counts(steps: Iterable[Step], holds: Collection[Hold]) -> dict[str, int]:
    found = dict.fromkeys(VERBS, 0)
    for step in steps:
        found[verb(step.action)] += 1
    waiting = sum(h.waiting for h in holds)
    return {**found, "held": len(holds) - waiting, "waiting": waiting}


def kind(id: WorkspaceId, proposal: Proposal) -> str:
    """One of KINDS, or empty where nothing happens to it.

    Replaced is what gets new machines for those it has, and a tuning that runs again.
    """
    steps, _ = proposal.said.get(id, ([], []))
    actions = [step.action for step in steps]
    gone = {a.key.kind for a in actions if isinstance(a, DeleteObject)}
    if "Workspace" in gone:
        return "delete"
    seen = proposal.observed.workspaces.get(id)
    if steps and (seen is None or not seen.exists):
        return "create"
    if "Job" in gone or {CreatePool, DeletePool} <= {type(action) for action in actions}:
        return "replace"
    return "change" if steps else ""


def tally(proposal: Proposal) -> dict[str, int]:
    """Workspaces by what happens to them; `held` are those of which something is held back."""
    found = dict.fromkeys((*KINDS, "held"), 0)
    for id, (_, holds) in proposal.said.items():
        if id.name and (what := kind(id, proposal)):
            found[what] += 1
        found["held"] += any(not hold.waiting for hold in holds)
    return found


def verb(action: Action) -> str:
    match action:
        case InstallCrd() | CreatePool():
            return "create"
        case ApplyObject(_, _, creates):
            return "create" if creates else "change"
        case ScalePool():
            return "change"
        case DeletePool() | DeleteObject():
            return "delete"


def target(action: Action) -> str:
    match action:
        case InstallCrd():
            return f"CustomResourceDefinition {names.CRD_NAME}"
        case CreatePool(name, pool) | ScalePool(name, pool, _):
            return f"pool {name} ({pool.count} × {pool.instance_type})"
        case DeletePool(name, _):
            return f"pool {name}"
        case ApplyObject(wanted, _, _):
            return str(wanted.key)
        case DeleteObject(key, _):
            return str(key)


def changes(action: Action) -> tuple[Change, ...]:
    match action:
        case ApplyObject(_, changes, _):
            return tuple(c for c in changes if not c.field.endswith(names.RENDER))
        case ScalePool(_, pool, was):
            return (Change("count", str(was), str(pool.count)),)
    return ()


def _step(step: Step) -> dict[str, Any]:
    return {
        "workspace": str(step.workspace),
        "verb": verb(step.action),
        "target": target(step.action),
        "why": step.why,
        "cause": step.cause,
        "changes": [
            {"field": c.field, "was": c.was, "wanted": c.wanted, "manager": c.manager}
            for c in changes(step.action)
        ],
    }


def _hold(hold: Hold) -> dict[str, Any]:
    return {
        "workspace": str(hold.workspace),
        "reason": hold.reason,
        "why": hold.why,
        "waiting": hold.waiting,
        "acknowledge": hold.group or None,
    }
