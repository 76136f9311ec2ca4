"""What no plan may ever do, whatever people declare and whatever befalls the world."""

from dataclasses import replace

from builders import policy
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.histories import ALL, FREE, histories, live_through
from small_world import SmallWorld

from reconciler.model.plan import (
    DELETIONS,
    ApplyObject,
    CreatePool,
    DeleteObject,
    DeletePool,
    Plan,
    ScalePool,
    Step,
)
from reconciler.model.world import Observed
from reconciler.planning.diff import make_plan
from reconciler.planning.guards import guard
from reconciler.planning.status import assess

EXAMPLES = 30


def assert_safe(world: SmallWorld, plan: Plan, seen: Observed) -> None:
    for step in plan.steps:
        assert_known(world, step, seen)
        assert_seen(step, seen)
        assert_meant(world, step)
        assert_nodes_first(world, step, seen)
        assert_serves_meanwhile(world, step, seen)


def assert_known(world: SmallWorld, step: Step, seen: Observed) -> None:
    """Only what is declared or ours."""
    assert step.workspace in world.desired.workspaces or seen.workspaces[step.workspace].exists
    if isinstance(step.action, DeleteObject):
        mine = seen.workspaces[step.workspace]
        assert step.action.key in {*mine.objects, *([mine.mirror.key] if mine.mirror else [])}


def assert_seen(step: Step, seen: Observed) -> None:
    """Unknown is not absent."""
    assert "cluster" not in seen.unseen
    if isinstance(step.action, CreatePool | ScalePool | DeletePool):
        assert "simulated" not in seen.unseen


def assert_meant(world: SmallWorld, step: Step) -> None:
    """Nothing is pruned whose file is broken, nor anything while nobody knows what a broken file holds."""
    whole = isinstance(step.action, DELETIONS) and step.cause == "prune"
    if whole and step.workspace not in world.desired.workspaces:
        assert step.workspace not in world.desired.invalid
        assert step.workspace not in world.spoilt
        assert world.desired.declared_anything or f"delete {step.workspace}" in world.released()


def assert_nodes_first(world: SmallWorld, step: Step, seen: Observed) -> None:
    if not isinstance(step.action, ApplyObject) or not step.action.creates:
        return
    want = world.desired.workspaces[step.workspace]
    if want.workload is None or step.action.object.key != want.workload.key:
        return
    mine = seen.workspaces[step.workspace]
    fitting = {
        p.name for p in mine.pools if p.instance_type == want.pool.instance_type and p.state != "deleting"
    }
    ready = [n for n in mine.nodes if n.pool in fitting and n.ready and n.gpus >= want.pool.gpus_per_node]
    assert len(ready) >= want.pool.count


def assert_serves_meanwhile(world: SmallWorld, step: Step, seen: Observed) -> None:
    """A pool under a serving workload goes only when its pods have moved."""
    want = world.desired.workspaces.get(step.workspace)
    if isinstance(step.action, DeletePool) and want is not None and want.kind == "inference":
        live = seen.workspaces[step.workspace].objects[want.workload.key]
        assert live.spec == want.workload.spec
        assert live.manifest["status"]["readyReplicas"] >= want.pool.count


@given(histories(ALL))
@settings(max_examples=EXAMPLES)
def test_no_plan_is_ever_unsafe(history):
    world = SmallWorld(rules=FREE)

    def cycle():
        plan, seen = world.plan()
        assert_safe(world, plan, seen)
        world.cycle()

    live_through(history, world, cycle)
    assert world.stolen == []


@given(histories(ALL, least=1, size=2))
@settings(max_examples=EXAMPLES)
def test_no_history_deletes_more_than_the_limits_allow_at_once(history):
    world = SmallWorld(rules=policy())

    def cycle():
        before = len(world.fleet())
        plan, _ = world.plan()
        recent = len(world.ledger.policy(world.rules, world.now).recent)
        going = {s.workspace for s in plan.steps if isinstance(s.action, DELETIONS) and s.cause == "prune"}
        gone = {id for id in going if id not in world.desired.workspaces}
        assert len(gone) <= max(3, 0.25 * (before + recent))
        world.cycle()

    live_through(history, world, cycle)


@given(histories(ALL), st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES)
def test_a_plan_does_not_depend_on_the_order_things_are_listed_in(history, random):
    world = SmallWorld(rules=FREE)
    live_through(history, world)
    plan, seen = world.plan()

    def shuffled(mapping):
        items = list(mapping.items())
        random.shuffle(items)
        return dict(items)

    found = world.desired
    other = replace(found, workspaces=shuffled(found.workspaces), invalid=shuffled(found.invalid))
    slices = {
        id: replace(s, objects=shuffled(s.objects), pools=tuple(random.sample(s.pools, len(s.pools))))
        for id, s in shuffled(seen.workspaces).items()
    }
    looked = replace(seen, workspaces=slices, fleet=shuffled(seen.fleet))
    rules = world.ledger.policy(world.rules, world.now)
    again = guard(make_plan(other, looked, rules), other, looked, rules)
    assert again == plan
    assert again.fingerprint == plan.fingerprint


@given(histories(ALL))
@settings(max_examples=EXAMPLES)
def test_the_incremental_planner_agrees_with_a_full_pass(history):
    world = SmallWorld(rules=FREE)

    def cycle():
        one, whole, seen = world.share()
        assert timeless(one) == timeless(whole)
        world.carry_out(whole, seen)
        world.tick()

    live_through(history, world, cycle)


def timeless(plan: Plan) -> Plan:
    return replace(plan, holds=tuple(replace(h, recheck_after=None) for h in plan.holds))


@given(histories(ALL))
@settings(max_examples=EXAMPLES)
def test_statuses_do_not_tick(history):
    world = SmallWorld(rules=FREE)

    def cycle():
        world.cycle()
        plan, seen = world.plan()
        first = assess(world.desired, seen, plan, world.nothing, world.statuses)
        world.now += 0.5
        plan, seen = world.plan()
        assert assess(world.desired, seen, plan, world.nothing, first) == first
        world.now -= 0.5

    live_through(history, world, cycle)
