"""How far a revision has come."""

from reconciler.loop.rollout import Rollout
from reconciler.model.names import WorkspaceId
from reconciler.model.status import WorkspaceStatus

A, B = WorkspaceId("ai", "a"), WorkspaceId("ai", "b")


def seen(rollout: Rollout, revision: str, now: float, **phases: str) -> list[tuple[str, float]]:
    """What a cycle of `revision` reached; the phase `gone` is an absent workspace."""
    ids = {WorkspaceId("ai", name): phase for name, phase in phases.items()}
    found = {id: WorkspaceStatus(id, p, "", "", revision) for id, p in ids.items() if p != "gone"}
    return rollout.saw(revision, ids, found, now)


def test_each_stage_is_reached_once():
    rollout = Rollout()
    rollout.begin("r1", {A}, 100.0)
    assert seen(rollout, "r1", 101.0, a="Provisioning") == [("planned", 1.0)]
    assert seen(rollout, "r1", 105.0, a="Deploying") == [("applied", 5.0)]
    assert seen(rollout, "r1", 109.0, a="Ready", b="Ready") == [("ready", 9.0)]
    assert seen(rollout, "r1", 110.0, a="Ready") == []


def test_a_removed_workspace_is_applied_and_never_ready():
    rollout = Rollout()
    rollout.begin("r1", {A}, 0.0)
    assert seen(rollout, "r1", 2.0, a="gone") == [("planned", 2.0), ("applied", 2.0)]
    assert rollout.settled == ("r1",)


def test_the_time_a_person_takes_is_not_measured():
    rollout = Rollout()
    rollout.begin("r1", {A}, 0.0)
    assert seen(rollout, "r1", 2.0, a="Held") == [("planned", 2.0)]
    assert seen(rollout, "r1", 9000.0, a="Ready") == []


def test_what_ran_before_the_start_is_settled_but_not_measured():
    rollout = Rollout()
    rollout.begin("r1", {A}, None)
    assert seen(rollout, "r1", 2.0, a="Ready") == []
    assert rollout.settled == ("r1",)


def test_a_cycle_of_an_older_revision_says_nothing_of_a_newer_one():
    rollout = Rollout()
    rollout.begin("r1", {A}, None)
    rollout.begin("r2", {A}, 5.0)
    assert seen(rollout, "r1", 6.0, a="Ready") == []
    assert rollout.settled == ("r1",)
    assert seen(rollout, "r2", 7.0, a="Ready") == [("planned", 2.0), ("applied", 2.0), ("ready", 2.0)]
    assert rollout.settled == ("r2", "r1")


def test_a_revision_is_settled_when_its_last_workspace_is_whatever_others_wait_for():
    rollout = Rollout()
    rollout.begin("r1", {A}, 0.0)
    rollout.begin("r2", {B}, 1.0)
    seen(rollout, "r2", 2.0, b="Failed", a="Provisioning")
    assert rollout.settled == ("r2",)
    seen(rollout, "r2", 3.0, a="Ready")
    assert set(rollout.settled) == {"r1", "r2"}


def test_a_revision_that_changes_nothing_is_nothing_to_wait_for():
    rollout = Rollout()
    rollout.begin("r1", set(), 0.0)
    assert seen(rollout, "r1", 1.0, a="Ready") == []
    assert rollout.settled == ()
