"""From findings to a plan: names are looked up before they are taken, fingerprints tell plans apart."""

from dataclasses import replace

from builders import desired, everything, observed, policy, summary, wanted, workspace_yaml, ws

from reconciler.model.world import ObservedWorkspace, Occupant
from reconciler.planning.diff import CLUSTER, make_plan

CHAT = workspace_yaml("chat")
WANT = wanted(CHAT)
FRESH = observed(ObservedWorkspace(WANT.id))
BLIND = replace(FRESH, looked=frozenset())


CHILDREN = {("ConfigMap", "ai"), ("Deployment", "ai"), ("Service", "ai")}


def test_a_name_is_looked_up_before_it_is_taken_or_a_pool_is_paid_for_it():
    plan = make_plan(desired(CHAT), BLIND, policy())
    assert plan.looks == {("Workspace", "ai")} | CHILDREN
    assert plan.steps == ()


def test_a_look_is_for_one_kind_in_one_namespace():
    looked = replace(BLIND, looked=frozenset({("Workspace", "ml"), ("Service", "ai")}))
    wanted_looks = {("Workspace", "ai")} | CHILDREN - {("Service", "ai")}
    assert make_plan(desired(CHAT), looked, policy()).looks == wanted_looks


def test_nothing_after_an_unknown_name_is_done_and_other_workspaces_go_on():
    drifted = everything(wanted(workspace_yaml("other")), Service=None)
    looked = frozenset({("Service", "ai")})
    world = replace(observed(ObservedWorkspace(WANT.id), drifted), looked=looked)
    plan = make_plan(desired(CHAT, workspace_yaml("other")), world, policy())
    assert {s.workspace for s in plan.steps} == {ws("other")}


def test_nothing_is_looked_up_where_nothing_is_created():
    plan = make_plan(desired(CHAT), replace(observed(everything(WANT)), looked=frozenset()), policy())
    assert (plan.looks, plan.steps) == (frozenset(), ())


def test_what_the_look_finds_counts():
    found = replace(FRESH, occupants={WANT.mirror.key: Occupant("", ("helm",))})
    assert summary(make_plan(desired(CHAT), found, policy())) == ["hold NotOurs"]


def test_the_crd_is_installed_once_where_none_is_served():
    plan = make_plan(desired(CHAT), replace(FRESH, crd_served=False), policy())
    assert summary(plan) == ["InstallCrd", "hold CrdMissing"]
    assert plan.steps[0].workspace == CLUSTER


def test_the_crd_of_an_upstream_operator_is_its_own():
    plan = make_plan(desired(CHAT), replace(FRESH, crd_served=False), policy(engine="kaito"))
    assert "InstallCrd" not in summary(plan)


def test_no_crd_is_installed_into_a_cluster_that_cannot_be_read():
    world = replace(FRESH, crd_served=False, unseen=frozenset({"cluster"}))
    assert summary(make_plan(desired(CHAT), world, policy())) == ["hold Unavailable"]


def test_equal_changes_have_equal_fingerprints_whatever_the_revision():
    one = make_plan(desired(CHAT), FRESH, policy())
    two = make_plan(desired(CHAT, revision="2" * 40), FRESH, policy())
    other = make_plan(desired(workspace_yaml("chat", count=2)), FRESH, policy())
    assert one.fingerprint == two.fingerprint != other.fingerprint


def test_a_plan_covers_what_the_cycle_looks_at():
    plan = make_plan(desired(CHAT, workspace_yaml("other")), FRESH, policy())
    assert {s.workspace for s in plan.steps} == {WANT.id}
