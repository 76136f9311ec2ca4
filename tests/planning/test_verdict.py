"""What the checks on a pull request say: state and description by case."""

import pytest
from builders import (
    EIGHT,
    desired,
    everything,
    observed,
    policy,
    tuning_yaml,
    wanted,
    workspace_yaml,
    ws,
)

from reconciler.model.settings import Limits
from reconciler.model.world import ObservedWorkspace
from reconciler.planning.foresight import foreseen
from reconciler.planning.verdict import Teller, fingerprints
from reconciler.sources import catalog

SHIPPED = catalog.load()
CHAT = wanted(workspace_yaml("chat"))
TELLER = Teller("prod", "https://forge.example.com/pull/7")
NEW = ObservedWorkspace(ws("chat"))


def verdict(text, seen=NEW, rules=None, problems=()):
    found = desired(text)
    scope = {*found.workspaces, *found.invalid, seen.id}
    proposal = foreseen(found, observed(seen), rules or policy())
    listed = [*problems, *(p for each in found.invalid.values() for p in each)]
    return TELLER.planned(TELLER.validity(found, listed, scope), proposal, SHIPPED)


def told(check):
    return check.state, check.description


def test_a_change_that_can_be_made():
    found = verdict(workspace_yaml("chat"))
    assert told(found.validate) == ("success", "workspaces: 1 changed, valid")
    state, description = told(found.plan)
    assert state == "success"
    assert description.startswith("workspaces: 1 to create; +1 GPU, +4.00 $/h, +2,920 $/month; plan ")
    assert found.comment.startswith("### Plan `")
    assert {check.context for check in found.checks} == {"reconciler/prod/validate", "reconciler/prod/plan"}
    assert all(check.link == TELLER.link for check in found.checks)


def test_warnings_are_counted_and_remarked_on_their_line():
    found = verdict(tuning_yaml("chat", method="lora", instance_type="Standard_NC6s_v3")).validate
    assert (
        told(found) == ("success", "workspaces: 1 changed, valid; 3 warnings")
        or "warning" in found.description
    )
    assert {(remark.path, remark.line) for remark in found.annotations} == {("chat.yaml", 1)}


def test_what_is_not_valid_fails_both_with_file_and_line():
    found = verdict(workspace_yaml("chat").replace("phi-3-mini-4k-instruct", "phi-3-mini-4k-instrct"))
    state, description = told(found.validate)
    assert state == "failure"
    assert description.startswith("chat.yaml:1: inference.preset.name: unknown preset")
    assert told(found.plan) == ("failure", "not valid: see validate")
    (remark,) = found.validate.annotations
    assert "did you mean phi-3-mini-4k-instruct?" in remark.message


def test_what_can_never_be_made_fails_the_plan_alone():
    found = verdict(workspace_yaml("chat", instance_type=EIGHT), everything(CHAT))
    assert found.validate.state == "success"
    assert (found.plan.state, found.plan.description[:22]) == ("failure", "ImmutableField ai/chat")


def test_what_needs_an_approval_says_so_first():
    found = verdict(workspace_yaml("chat"), rules=policy(limits=Limits(approve_gpus=0)))
    assert found.plan.state == "success"
    (group,) = fingerprints(found.plan.description)
    assert found.plan.description.startswith(f"to acknowledge: {group}; ")
    assert group in found.comment


def test_a_description_without_groups_names_none():
    assert fingerprints(verdict(workspace_yaml("chat")).plan.description) == frozenset()


WITHOUT_A_PLAN = {
    "nothing in scope": (TELLER.nothing(), "success", "nothing for prod"),
    "a conflict": (TELLER.unmergeable("it conflicts in a"), "failure", "cannot be merged: it conflicts in a"),
    "not looked at yet": (TELLER.pending(), "pending", "being looked at"),
}


@pytest.mark.parametrize(("found", "state", "said"), WITHOUT_A_PLAN.values(), ids=WITHOUT_A_PLAN)
def test_every_request_gets_both_checks(found, state, said):
    assert [told(check) for check in found.checks] == [(state, said)] * 2
    assert found.comment == ""


@pytest.mark.parametrize(("policy_", "state"), [("fail", "failure"), ("neutral", "neutral")])
def test_a_cluster_that_cannot_be_read_is_policy(policy_, state):
    valid = TELLER.validity(desired(workspace_yaml("chat")), [], {ws("chat")})
    found = TELLER.unknown(valid, "cluster cannot be read", policy_)
    assert told(found.validate) == ("success", "workspaces: 1 changed, valid")
    assert told(found.plan) == (state, "not planned: cluster cannot be read")


def test_a_stranger_learns_nothing_of_what_runs():
    valid = TELLER.validity(desired(workspace_yaml("chat")), [], {ws("chat")})
    found = TELLER.untrusted(valid)
    assert (found.plan.state, found.comment) == ("neutral", "")
    assert "reconciler/plan" in found.plan.description
