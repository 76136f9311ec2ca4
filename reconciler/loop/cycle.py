"""One cycle. Everything it needs is in its arguments; everything it did is in its report."""

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from .. import telemetry
from ..cluster.apply import look
from ..errors import NotFound
from ..model.names import ObjectKey, WorkspaceId
from ..model.news import News
from ..model.plan import Applied, Plan, Step
from ..model.policy import Policy
from ..model.status import WorkspaceStatus
from ..model.world import Desired, Observed, Occupant
from ..planning.contests import standing
from ..planning.status import assess
from .asked import Asked
from .backoff import Backoff
from .conditions import Conditions
from .execute import Hands
from .ledger import Ledger
from .planner import Planner
from .rollout import Rollout
from .view import View

Statuses = dict[WorkspaceId, WorkspaceStatus]


class Publish(Protocol):
    async def __call__(self, news: News) -> None: ...


@dataclass(frozen=True, slots=True)
class Report:
    scope: frozenset[WorkspaceId]
    observed: Observed
    plan: Plan
    applied: Applied
    statuses: Statuses


@dataclass
class World:
    """Everything outside the decisions."""

    view: View
    hands: Hands
    ledger: Ledger
    planner: Planner
    publish: Publish
    policy: Policy
    backoff: Backoff = field(default_factory=Backoff)
    rollout: Rollout = field(default_factory=Rollout)
    asked: Asked | None = None
    """Acknowledgements left in the cluster; None where nothing is written there."""
    conditions: Conditions = field(default_factory=Conditions)
    may_write: bool = False
    """Whether this process holds the lease."""
    led: bool = False
    """Whether it held it once: where the cluster cannot be asked, it still tells what it can."""

    @property
    def tells(self) -> bool:
        """Whether this process speaks for the cluster. Without cluster writes every one does."""
        apart = self.led and "cluster" in self.view.unseen
        return self.may_write or apart or self.policy.mode == "observe"

    statuses: Statuses = field(default_factory=dict)


async def reconcile_once(
    world: World, desired: Desired, scope: Collection[WorkspaceId], now: float
) -> Report:
    world.view.facts.breakers(world.ledger.breakers)
    observed = world.view.observed(scope, desired, now)
    plan, observed = await planned(world, desired, observed)
    applied = await execute(world, desired, observed, plan)
    statuses = assess(desired, observed, plan, applied, world.statuses)
    report = Report(frozenset(scope), observed, plan, applied, statuses)
    await published(world, report)
    return report


async def planned(world: World, desired: Desired, observed: Observed) -> tuple[Plan, Observed]:
    """The guarded plan. Names about to be taken are looked up first, in one list per kind and namespace."""
    policy = world.ledger.policy(world.policy, observed.now)
    plan = world.planner.plan(desired, observed, policy)
    if plan.looks:
        observed = await looked(world, observed, plan.looks)
        plan = world.planner.plan(desired, observed, policy)
    if world.may_write:
        await note_contests(world, desired, observed)
        await world.ledger.publish(plan, observed.fleet, observed.now)
    return plan, observed


async def note_contests(world: World, desired: Desired, observed: Observed) -> None:
    """Breakers that opened or closed are written down before anything else is done or said."""
    if "cluster" in observed.unseen:
        return
    after = world.policy.timing.contested_after
    found = {
        id: standing(desired.workspaces.get(id), seen, after)
        for id, seen in observed.workspaces.items()
        if id not in desired.invalid and (seen.corrections or id in world.ledger.breakers)
    }
    await world.ledger.contested(found)
    world.view.facts.breakers(world.ledger.breakers)


async def looked(world: World, observed: Observed, pairs: Collection[tuple[str, str]]) -> Observed:
    occupants: dict[ObjectKey, Occupant] = {}
    for kind, namespace in sorted(pairs):
        with suppress(NotFound):  # a kind that is not served holds no names
            occupants |= await look(world.hands.client, kind, namespace)
    return replace(observed, occupants=occupants, looked=frozenset(pairs))


async def execute(world: World, desired: Desired, observed: Observed, plan: Plan) -> Applied:
    """Carries out the steps of this cycle's workspaces; those of others were, or wait for their turn."""
    steps = [s for s in plan.steps if _due(s, observed)]
    if not world.may_write:
        return Applied(unattempted=tuple(steps))
    steps, resting = world.backoff.split(steps, observed.now)
    await world.ledger.deleting(steps, observed.fleet, observed.now)
    applied = await world.hands.execute(steps, desired)
    world.backoff.note(applied, observed.now)
    return replace(applied, failures=(*applied.failures, *resting))


def _due(step: Step, observed: Observed) -> bool:
    return step.workspace in observed.workspaces or not step.workspace.name


async def published(world: World, report: Report) -> None:
    """Tells only of what changed, and of workspaces that are gone."""
    before = world.statuses
    changed = {id: s for id, s in report.statuses.items() if before.get(id) != s}
    gone = [id for id in report.scope if id in before and id not in report.statuses]
    world.statuses |= report.statuses
    for id in gone:
        del world.statuses[id]
    revision = report.plan.revision
    for stage, seconds in world.rollout.saw(revision, report.scope, report.statuses, time.time()):
        telemetry.reached(stage, seconds)
    await world.publish(
        News(
            now=report.observed.now,
            revision=revision,
            scope=report.statuses,
            changed=changed,
            gone=tuple(gone),
            all=world.statuses,
            may_write=world.may_write,
            settled=world.rollout.settled,
        )
    )
