"""Guards judge the world: what is held, under which name, and what lets it through."""

from dataclasses import replace

import pytest
from builders import (
    A100,
    EIGHT,
    NOW,
    V100,
    copied,
    desired,
    everything,
    observed,
    place,
    policy,
    summary,
    wanted,
    workspace_yaml,
    ws,
)

from reconciler.loop.ledger import Ledger, acknowledged
from reconciler.model import names
from reconciler.model.plan import DELETIONS, ApplyObject
from reconciler.model.policy import Deletion
from reconciler.model.settings import Limits
from reconciler.model.world import Footprint, ObservedWorkspace
from reconciler.planning.diff import make_plan
from reconciler.planning.guards import guard

LETTERS = "abcdefgh"


def running(names_=LETTERS, **more):
    return [everything(wanted(workspace_yaml(n, **more))) for n in names_]


def guarded(found, world, settings=None):
    settings = settings or policy()
    return guard(make_plan(found, world, settings), found, world, settings)


def left(names_):
    """Git declares only these, and one that is not there yet, so the tree is not empty."""
    return desired(*[workspace_yaml(n) for n in names_], workspace_yaml("new"))


def deletions(plan):
    return {s.workspace.name for s in plan.steps if isinstance(s.action, DELETIONS)}


def reasons(plan):
    return {h.reason for h in plan.holds}


def group_of(plan):
    (group,) = plan.groups
    return group


# --- deletions -------------------------------------------------------------------------------------

COUNTS = {
    "three of eight": ("abcde", set(LETTERS[5:]), None),
    "four of eight": ("abcd", set(), "MassDeletion"),
    "all": ("", set(), "MassDeletion"),
}


@pytest.mark.parametrize(("kept", "deleted", "reason"), COUNTS.values(), ids=COUNTS)
def test_mass_deletion(kept, deleted, reason):
    plan = guarded(left(kept), observed(*running()))
    assert deletions(plan) == deleted
    assert (reason in reasons(plan)) == bool(reason)


def test_a_quarter_of_many_is_no_mass_deletion():
    fleet = {ws(f"w{n}"): Footprint() for n in range(24)}
    world = observed(*running("abcd"))
    world = replace(world, fleet={**world.fleet, **fleet})
    texts = [workspace_yaml(id.name) for id in fleet]
    assert deletions(guarded(desired(*texts), world)) == set("abcd")


def test_a_mass_deletion_split_over_cycles_is_held():
    """Three were deleted a minute ago; the fourth is held though this cycle sees only one."""
    recent = tuple(Deletion(NOW - 60, ws(n), 1) for n in "bcd")
    world = observed(*running("aefgh"))
    plan = guarded(left("efgh"), world, policy(recent=recent))
    assert deletions(plan) == set()
    assert "MassDeletion" in reasons(plan)
    assert "3 of them in the last minutes" in group_of(plan).why


def test_deletions_of_an_hour_ago_are_forgotten():
    recent = tuple(Deletion(NOW - 3600, ws(n), 1) for n in "bcd")
    assert deletions(guarded(left("efgh"), observed(*running("aefgh")), policy(recent=recent))) == {"a"}


def test_one_workspace_deleted_step_by_step_counts_once():
    recent = tuple(Deletion(NOW - 60, ws(n), 1) for n in "abc")
    assert deletions(guarded(left("defgh"), observed(*running()), policy(recent=recent))) == set("abc")


def test_what_a_cycle_does_not_look_at_counts():
    world = observed(*running())
    share = replace(world, workspaces={ws("a"): world.workspaces[ws("a")]})
    assert "MassDeletion" in reasons(guarded(left(""), share))


def test_a_tree_that_declares_nothing_deletes_nothing():
    plan = guarded(desired(), observed(*running("a")))
    assert deletions(plan) == set()
    assert reasons(plan) == {"EmptySource"}


def test_gpus_that_would_be_freed():
    big = {"instance_type": EIGHT}
    one, two = (
        guarded(left(""), observed(*running("a", **big))),
        guarded(left(""), observed(*running("ab", **big))),
    )
    assert deletions(one) == {"a"}
    assert (deletions(two), "GpusFreed" in reasons(two)) == (set(), True)


def test_gpus_freed_a_minute_ago_count():
    recent = (Deletion(NOW - 60, ws("b"), 8),)
    plan = guarded(left(""), observed(*running("a")), policy(recent=recent))
    assert "GpusFreed" in reasons(plan)


def test_a_protected_workspace_is_held_alone():
    kept = everything(wanted(workspace_yaml("a", annotations={"protect": "true"})))
    plan = guarded(left(""), observed(kept, *running("b")))
    assert deletions(plan) == {"b"}
    assert {h.workspace.name for h in plan.holds if h.reason == "Protected"} == {"a"}


def test_a_hold_names_what_acknowledges_it():
    plan = guarded(left(""), observed(*running()))
    holds = [h for h in plan.holds if h.reason == "MassDeletion"]
    assert {h.workspace.name for h in holds} == set(LETTERS)
    assert {h.group for h in holds} == {group_of(plan).fingerprint}
    assert f"acknowledge {group_of(plan).fingerprint}" in holds[0].why


def test_the_released_go_and_the_others_stay():
    released = frozenset({"delete ai/a", "delete ai/b"})
    assert deletions(guarded(left(""), observed(*running()), policy(released=released))) == {"a", "b"}


def test_steps_that_are_no_deletion_are_not_held():
    plan = guarded(left(""), observed(*running(), ObservedWorkspace(ws("new"))))
    assert "CreatePool" in summary(plan)


# --- acknowledgements ------------------------------------------------------------------------------


async def published(plan, world, at=NOW):
    ledger = Ledger(None)
    await ledger.publish(plan, world.fleet, at)
    return ledger


async def test_an_unrelated_change_keeps_the_acknowledgement():
    world = observed(*running())
    plan = guarded(desired(workspace_yaml("x"), revision="1" * 40), world)
    ledger = await published(plan, world)
    later = desired(workspace_yaml("x", count=2), workspace_yaml("y"), revision="2" * 40)
    world = replace(world, fleet={**world.fleet, ws("x"): Footprint(gpus=1)})
    again = guarded(later, world, ledger.policy(policy(), NOW))
    await ledger.publish(again, world.fleet, NOW + 5)
    assert await ledger.acknowledge(group_of(plan).fingerprint, NOW + 10)
    assert deletions(guarded(later, world, ledger.policy(policy(), NOW + 10))) == set(LETTERS)


async def test_an_acknowledgement_is_for_exactly_that_group():
    world = observed(*running())
    ledger = await published(guarded(left("a"), world), world)
    (fingerprint,) = ledger.published
    await ledger.acknowledge(fingerprint, NOW)
    assert deletions(guarded(left(""), world, ledger.policy(policy(), NOW))) == set(LETTERS) - {"a"}


async def test_an_acknowledgement_made_before_the_hold_does_not_count():
    world = observed(*running())
    plan = guarded(left(""), world)
    ledger = await published(plan, world, at=NOW)
    assert await ledger.acknowledge(group_of(plan).fingerprint, NOW - 1) == frozenset()


async def test_an_acknowledgement_lasts_a_day():
    world = observed(*running())
    plan = guarded(left(""), world)
    ledger = await published(plan, world)
    await ledger.acknowledge(group_of(plan).fingerprint, NOW)
    assert ledger.policy(policy(), NOW + 86_399).released
    assert not ledger.policy(policy(), NOW + 86_401).released


async def test_an_acknowledgement_counts_once():
    world = observed(*running())
    plan = guarded(left(""), world)
    ledger = await published(plan, world)
    await ledger.acknowledge(group_of(plan).fingerprint, NOW)
    reverted = guarded(left(LETTERS), world, ledger.policy(policy(), NOW))
    await ledger.publish(reverted, world.fleet, NOW + 1)
    assert deletions(guarded(left(""), world, ledger.policy(policy(), NOW + 2))) == set()


def test_trailers_are_read_from_commit_messages():
    message = "Remove old models\n\nThey moved.\n\nReconciler-Ack: 0123456789ab\nSigned-off-by: x\n"
    assert acknowledged([message, "Reconciler-Ack: short"]) == ["0123456789ab"]


# --- another rendering -----------------------------------------------------------------------------


def rerendered(found):
    """As another release would resolve the same files: every Deployment's image differs."""

    def other(want):
        manifest = copied(want.workload.manifest)
        place(manifest, ["spec", "template", "spec", "containers", "0", "image"], "new:2")
        manifest["metadata"]["annotations"][names.RENDER] = "other"
        workload = replace(want.workload, render="other", manifest=manifest)
        return replace(want, workload=workload)

    return replace(found, workspaces={id: other(w) for id, w in found.workspaces.items()})


THREE = rerendered(desired(*[workspace_yaml(n) for n in "abc"]))
RENDERS = frozenset(f"render ai/{n}" for n in "abc")


def restarted(plan):
    return {s.workspace.name for s in plan.steps if isinstance(s.action, ApplyObject)}


def test_a_changed_renderer_restarts_no_pod():
    plan = guarded(THREE, observed(*running("abc")))
    assert plan.steps == ()
    assert reasons(plan) == {"RendererChanged"}
    assert group_of(plan).members == RENDERS


def test_once_released_one_workspace_at_a_time():
    plan = guarded(THREE, observed(*running("abc")), policy(released=RENDERS))
    assert restarted(plan) == {"a"}
    assert reasons(plan) == {"RendererWave"}


def after_a_restarted(ready):
    world = observed(everything(THREE.workspaces[ws("a")]), *running("bc"))
    return replace(world, fleet={**world.fleet, ws("a"): Footprint(ready=ready)})


def test_the_next_wave_waits_until_the_first_is_ready():
    released = policy(released=RENDERS)
    assert restarted(guarded(THREE, after_a_restarted(ready=False), released)) == set()
    assert restarted(guarded(THREE, after_a_restarted(ready=True), released)) == {"b"}


async def test_a_released_wave_is_remembered_while_it_is_not_ready():
    world = observed(*running("abc"))
    plan = guarded(THREE, world)
    ledger = await published(plan, world)
    await ledger.acknowledge(group_of(plan).fingerprint, NOW)
    for n, expected in ((1, set()), (2, set())):
        world = after_a_restarted(ready=False)
        plan = guarded(THREE, world, ledger.policy(policy(), NOW + n))
        await ledger.publish(plan, world.fleet, NOW + n)
        assert restarted(plan) == expected


def test_a_larger_wave():
    plan = guarded(THREE, observed(*running("abc")), policy(released=RENDERS, limits=Limits(render_wave=2)))
    assert restarted(plan) == {"a", "b"}


def test_a_rendering_that_restarts_nothing_is_not_held():
    world = observed(*running("a", labels={"team": "x"}))
    assert "ApplyObject Deployment" in summary(
        guarded(desired(workspace_yaml("a", labels={"team": "y"})), world)
    )


# --- spend, mode -----------------------------------------------------------------------------------


def spend(limit):
    return policy(limits=Limits(max_dollars_per_hour=limit))


def test_new_pools_wait_at_the_spending_limit():
    world = observed(*running("a"), ObservedWorkspace(ws("b")), ObservedWorkspace(ws("c")))
    found = desired(workspace_yaml("a"), workspace_yaml("b", instance_type=V100), workspace_yaml("c"))
    plan = guarded(found, world, spend(8.0))
    assert {s.workspace.name for s in plan.steps if s.action.__class__.__name__ == "CreatePool"} == {"b"}
    assert {h.workspace.name for h in plan.holds if h.reason == "SpendLimit"} == {"c"}


def test_reserved_nodes_are_paid_for_already():
    world = observed(*running("a"), ObservedWorkspace(ws("b")), ObservedWorkspace(ws("c")))
    found = desired(workspace_yaml("a"), workspace_yaml("b"), workspace_yaml("c"))
    plan = guarded(found, world, replace(spend(4.0), reserved={A100: 2}))
    assert {s.workspace.name for s in plan.steps if s.action.__class__.__name__ == "CreatePool"} == {"b", "c"}
    plan = guarded(found, world, replace(spend(3.9), reserved={A100: 2}))
    assert {h.workspace.name for h in plan.holds if h.reason == "SpendLimit"} == {"c"}


def test_scaling_up_counts_the_added_nodes_and_scaling_down_is_free():
    one = observed(everything(wanted(workspace_yaml("a"))))
    replace_ = {"annotations": {"on-immutable-change": "replace"}}
    two = desired(workspace_yaml("a", count=2, **replace_))
    assert "hold SpendLimit" in summary(guarded(two, one, spend(7.9)))
    assert "ScalePool" in summary(guarded(two, one, spend(8.0)))
    many = observed(everything(wanted(workspace_yaml("a", count=3))))
    assert "ScalePool" in summary(guarded(two, many, spend(1.0)))


def test_mode_observe_writes_nothing():
    world = observed(*running("a"), ObservedWorkspace(ws("b")), crd_served=True)
    plan = guarded(desired(workspace_yaml("b"), workspace_yaml("c")), world, policy(mode="observe"))
    assert plan.steps == ()
    assert "ObserveMode" in reasons(plan)
    assert all("mode observe" in h.why for h in plan.holds if h.reason == "ObserveMode")


def test_mode_deliver_writes_what_git_declares_and_nothing_made_of_it():
    world = observed(ObservedWorkspace(ws("b")))
    plan = guarded(desired(workspace_yaml("b")), world, policy(mode="deliver"))
    assert summary(plan) == ["ApplyObject Workspace", "hold DeliverMode"]


# --- approval --------------------------------------------------------------------------------------

NEW = [ObservedWorkspace(ws(name)) for name in "ab"]
TWO = desired(workspace_yaml("a"), workspace_yaml("b", instance_type=EIGHT))
LARGE = {
    "dollars": ({"approve_dollars_per_hour": 30.9}, "new machines for 31.00 $/h, more than 30.90"),
    "GPUs": ({"approve_gpus": 8}, "9 new GPUs, more than 8"),
}


@pytest.mark.parametrize(("limits", "why"), LARGE.values(), ids=LARGE)
def test_a_large_change_needs_an_approval(limits, why):
    settings = policy(limits=Limits(**limits))
    plan = guarded(TWO, observed(*NEW), settings)
    assert "CreatePool" not in summary(plan)
    assert {h.reason for h in plan.holds if h.group} == {"ApprovalNeeded"}
    assert why in group_of(plan).why
    released = replace(settings, released=group_of(plan).members)
    assert summary(guarded(TWO, observed(*NEW), released)).count("CreatePool") == 2


SMALL = [{}, {"approve_dollars_per_hour": 31.0}, {"approve_gpus": 9}, {"approve_replaced": 0}]


@pytest.mark.parametrize("limits", SMALL, ids=str)
def test_a_change_within_the_limits_does_not(limits):
    plan = guarded(TWO, observed(*NEW), policy(limits=Limits(**limits)))
    assert summary(plan).count("CreatePool") == 2


def test_other_machines_for_what_runs_need_an_approval():
    moving = {"on-immutable-change": "replace"}
    found = desired(*(workspace_yaml(n, instance_type=EIGHT, annotations=moving) for n in "ab"))
    plan = guarded(found, observed(*running("ab")), policy(limits=Limits(approve_replaced=1)))
    assert "2 workspaces get other machines, more than 1" in group_of(plan).why
    assert "CreatePool" not in summary(plan)


def test_what_was_approved_is_not_asked_for_again_when_the_cloud_fails():
    failed = everything(wanted(workspace_yaml("a")), objects={}, nodes=(), since={"poolFailed": 0.0})
    failed = replace(failed, pools=tuple(replace(p, state="failed") for p in failed.pools))
    plan = guarded(desired(workspace_yaml("a")), observed(failed), policy(limits=Limits(approve_gpus=0)))
    assert "CreatePool" in summary(plan)
