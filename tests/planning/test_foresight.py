"""What a change leads to in the end: its whole list of steps, its GPUs and its price."""

from dataclasses import replace

import pytest
from builders import (
    A100,
    EIGHT,
    catalogues,
    context,
    desired,
    everything,
    observed,
    policy,
    pool_of,
    summary,
    tuning_yaml,
    wanted,
    workspace_yaml,
    ws,
)

from reconciler.model.world import ObservedPod, ObservedWorkspace
from reconciler.planning.foresight import foreseen

CHAT = wanted(workspace_yaml("chat"))
NOTHING = ObservedWorkspace(ws("chat"))
MOVES = {"on-immutable-change": "replace"}


def said(text, *seen, rules=None, where=None):
    return foreseen(desired(text, where=where), observed(*seen), rules or policy())


CREATED = ["ApplyObject Workspace", "CreatePool", "ApplyObject ConfigMap", "ApplyObject Deployment"]
CASES = {
    "a new workspace": (workspace_yaml("chat"), NOTHING, [*CREATED, "ApplyObject Service"], 1, 4.0),
    "nothing to do": (workspace_yaml("chat"), everything(CHAT), [], 0, 0.0),
    "one that is no longer declared": (
        workspace_yaml("other", annotations={"suspend": "2099-01-01T00:00:00Z ann later"}),
        everything(CHAT),
        ["DeleteObject ConfigMap", "DeleteObject Deployment", "DeleteObject Service"],
        -1,
        -4.0,
    ),
    "twice as many nodes": (
        workspace_yaml("chat", count=2, annotations=MOVES),
        everything(CHAT),
        ["ApplyObject Workspace", "ApplyObject Deployment", "ScalePool"],
        1,
        4.0,
    ),
    "larger machines": (
        workspace_yaml("chat", instance_type=EIGHT, annotations=MOVES),
        everything(CHAT),
        ["CreatePool", "DeletePool"],
        7,
        23.0,
    ),
    "a failed pool is made again": (
        workspace_yaml("chat"),
        everything(CHAT, objects={}, pools=(pool_of(CHAT, state="failed"),), since={"poolFailed": 0.0}),
        ["CreatePool", "ApplyObject Deployment"],
        0,
        0.0,
    ),
    "a tuning": (tuning_yaml("chat"), NOTHING, ["CreatePool", "ApplyObject Job"], 1, 4.0),
}


@pytest.mark.parametrize(("text", "seen", "steps", "gpus", "dollars"), CASES.values(), ids=CASES)
def test_what_follows(text, seen, steps, gpus, dollars):
    found = said(text, seen)
    named = summary(list(found.plan.steps))
    assert set(steps) <= set(named), named
    assert bool(named) == bool(steps)
    assert (found.gpus, found.dollars_per_hour) == (gpus, dollars)


def test_nothing_is_done_twice():
    for text, seen, *_ in CASES.values():
        steps = said(text, seen).plan.steps
        assert len({(step.workspace, str(step.action)) for step in steps}) == len(steps)


def test_all_of_a_removed_workspace_goes():
    running = everything(CHAT, pods=(ObservedPod("chat-x", "Running", True),))
    found = foreseen(
        desired(workspace_yaml("other")), observed(running, ObservedWorkspace(ws("other"))), policy()
    )
    gone = [s for s in summary(list(found.plan.steps)) if s.startswith("Delete")]
    assert gone[-1] == "DeleteObject Workspace"
    assert sorted(gone[:-1]) == [
        "DeleteObject ConfigMap",
        "DeleteObject Deployment",
        "DeleteObject Service",
        "DeletePool",
    ]
    assert CHAT.id not in found.fleet


def test_stages_that_only_take_time_are_not_told():
    assert said(workspace_yaml("chat"), NOTHING).plan.holds == ()


def test_a_stage_the_world_is_in_is():
    creating = everything(CHAT, objects={}, nodes=(), pools=(pool_of(CHAT, state="creating"),))
    (hold,) = said(workspace_yaml("chat"), creating).plan.holds
    assert hold.waiting


def test_an_adapter_that_must_be_tuned_first_is_told():
    served = workspace_yaml("chat", adapters={"a": "registry.example.com/adapters/tune:1"})
    found = foreseen(
        desired(served, tuning_yaml("tune")),
        observed(NOTHING, ObservedWorkspace(ws("tune"))),
        policy(),
    )
    assert [hold.reason for hold in found.plan.holds] == ["WaitingForArtifact"]


def test_what_is_held_costs_nothing():
    limits = policy().limits.model_copy(update={"max_dollars_per_hour": 1.0})
    found = said(workspace_yaml("chat"), NOTHING, rules=policy(limits=limits))
    assert [hold.reason for hold in found.plan.holds] == ["SpendLimit"]
    assert (found.gpus, found.dollars_per_hour) == (0, 0.0)


def test_the_machines_an_operator_will_take_count_too():
    where = replace(context(), engine="kaito")
    found = foreseen(
        desired(workspace_yaml("chat", count=2), where=where), observed(NOTHING), policy(engine="kaito")
    )
    assert summary(list(found.plan.steps)) == ["ApplyObject Workspace"]
    assert (found.gpus, found.dollars_per_hour) == (2, 8.0)


def test_other_workspaces_are_left_out():
    """As in a review, where only what changed is looked at."""
    world = observed(everything(CHAT))
    alone = replace(world, workspaces={ws("new"): ObservedWorkspace(ws("new"))})
    found = foreseen(desired(workspace_yaml("chat"), workspace_yaml("new")), alone, policy())
    assert {step.workspace for step in found.plan.steps} == {ws("new")}
    assert found.gpus == 1
    assert catalogues().skus.get(A100).gpus == 1
