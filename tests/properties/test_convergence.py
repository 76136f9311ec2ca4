"""From any state and any history, the world becomes exactly what is declared, and says so.

These look at the world, not at the plan: a planner that never sees a difference also ends without steps.
"""

from builders import output_of, tuning_yaml, workspace_yaml, ws
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.histories import FREE, histories, live_through, texts, trees
from small_world import SmallWorld

from reconciler.model import names
from reconciler.model.fields import differences
from reconciler.model.names import ObjectKey
from reconciler.model.world import DesiredObject, DesiredWorkspace

ENOUGH = 40


def settle(world: SmallWorld, tree) -> None:
    """Everything readable again, nothing in the way, everything acknowledged, and time."""
    world.unseen = frozenset()
    world.vacate()
    world.push(texts(tree))
    for _ in range(ENOUGH):
        world.cycle()
        world.acknowledge()


def expected_pools(world: SmallWorld) -> dict[str, tuple[str, int]]:
    wanted = [w for w in world.desired.workspaces.values() if w.kind == "inference"]
    return {w.pool.key: (w.pool.instance_type, w.pool.count) for w in wanted}


def required(want: DesiredWorkspace) -> set[ObjectKey]:
    """A finished tuning need not keep its Job."""
    children = want.objects if want.kind == "inference" else ()
    return {want.mirror.key, *(o.key for o in children)}


def wrong_fields(world: SmallWorld, want: DesiredObject) -> list[str]:
    live = world.objects.get(want.key)
    if live is None or want.key.kind == "Job":
        return []
    found = differences(want.manifest, live.manifest)
    return [f"{want.key} {d.field}" for d in found if not d.field.endswith(names.SPEC)]


def assert_as_declared(world: SmallWorld) -> None:
    wanted = world.desired.workspaces.values()
    pools = [(p.seen.key, (p.seen.instance_type, p.seen.count)) for p in world.pools.values()]
    assert sorted(pools) == sorted(expected_pools(world).items())
    assert all(len(p.nodes) == p.seen.count and all(n.ready for n in p.nodes) for p in world.pools.values())
    assert set().union(*map(required, wanted)) <= set(world.objects)
    assert set(world.objects) <= {o.key for w in wanted for o in (w.mirror, *w.objects)}
    assert [f for w in wanted for o in (w.mirror, *w.objects) for f in wrong_fields(world, o)] == []
    ready = {w.id: "Ready" if w.kind == "inference" else "Succeeded" for w in wanted}
    assert {id: s.phase for id, s in world.statuses.items()} == ready
    plan, _ = world.plan()
    assert (plan.steps, plan.holds) == ((), ())


@given(histories(), trees())
@settings(max_examples=60)
def test_any_history_ends_in_the_declared_world(history, tree):
    world = SmallWorld(rules=FREE)
    live_through(history, world)
    settle(world, tree)
    assert_as_declared(world)
    assert world.stolen == []


@given(trees(least=1), st.integers(0, 12))
@settings(max_examples=30)
def test_dying_after_any_step_leaves_nothing_behind(tree, steps):
    world = SmallWorld(rules=FREE)
    world.push(texts(tree))
    for after in range(6):
        world.crash((steps + after) % 13)
        world.push(texts(tree))
        world.tick()
    settle(world, tree)
    assert_as_declared(world)


def test_a_dependent_starts_once_its_adapter_is_made():
    world = SmallWorld(rules=FREE)
    world.push({"t.yaml": tuning_yaml("t"), "z.yaml": workspace_yaml("z", adapters={"x": output_of("t")})})
    started = None
    for _ in range(20):
        world.cycle()
        if started is None and any(p.seen.key == "ai/z" for p in world.pools.values()):
            started = world.statuses[ws("t")].phase
    assert started == "Succeeded"
    assert world.statuses[ws("z")].phase == "Ready"
