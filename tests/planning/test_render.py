"""A plan as people and programs read it; what strangers wrote is shown and never obeyed."""

import json

import pytest
from builders import (
    EIGHT,
    V100,
    desired,
    everything,
    observed,
    policy,
    pool_of,
    serving,
    tuning_yaml,
    wanted,
    workspace_yaml,
    ws,
)

from reconciler.model.plan import Hold, Plan
from reconciler.model.world import Desired, ObservedWorkspace
from reconciler.planning.foresight import foreseen
from reconciler.planning.proposal import Proposal, document
from reconciler.planning.render import text


def proposed(found, world, settings=None):
    settings = settings or policy()
    return foreseen(found, world, settings)


def fresh(*names, **more):
    texts = [workspace_yaml(n, **more) for n in names]
    return proposed(desired(*texts), observed(*[ObservedWorkspace(ws(n)) for n in names]))


CHAT = wanted(workspace_yaml("chat"))
DRIFTED = proposed(
    desired(workspace_yaml("chat")),
    observed(
        everything(
            CHAT,
            Deployment=serving(
                CHAT.workload,
                spec__replicas=9,
                metadata__managedFields=[
                    {
                        "manager": "kubectl-edit",
                        "operation": "Update",
                        "fieldsV1": {"f:spec": {"f:replicas": {}}},
                    }
                ],
            ),
        )
    ),
)
GOING = proposed(
    desired(workspace_yaml("new")),
    observed(*[everything(wanted(workspace_yaml(n))) for n in "abcd"], ObservedWorkspace(ws("new"))),
)


def test_a_first_push():
    pool = pool_of(CHAT).name
    assert text(fresh("chat")).splitlines() == [
        f"plan {fresh('chat').plan.fingerprint} at 1111111",
        "5 to create, 0 to change, 0 to delete, 0 held; +1 GPU, +4.00 $/h",
        "",
        "ai/chat  chat.yaml:1",
        "  + Workspace ai/chat: Workspace ai/chat does not exist",
        f"  + pool {pool} (1 × Standard_NC24ads_A100_v4): pool {pool} does not exist",
        "  + ConfigMap ai/chat-settings: ConfigMap ai/chat-settings does not exist",
        "  + Deployment ai/chat: Deployment ai/chat does not exist",
        "  + Service ai/chat: Service ai/chat does not exist",
    ]


def test_a_change_shows_was_and_wanted_and_who():
    assert "      spec.replicas: 9 → 1 (by kubectl-edit)" in text(DRIFTED).splitlines()


def test_a_held_group_tells_what_lets_it_through():
    (group,) = GOING.plan.groups
    remedy = f"to let MassDeletion through, commit with the trailer Reconciler-Ack: {group.fingerprint}"
    assert remedy in text(GOING).splitlines()
    assert {h["acknowledge"] for h in document(GOING)["holds"] if h["reason"] == "MassDeletion"} == {
        group.fingerprint
    }


def test_counts_tell_holds_from_waiting():
    counts = document(GOING)["counts"]
    assert counts == {"create": 5, "change": 0, "delete": 0, "held": 4, "waiting": 0}
    assert "5 to create, 0 to change, 0 to delete, 4 held" in text(GOING)


DELTAS = {
    "a new pool of eight": (fresh("a", instance_type=EIGHT), 8, 27.0),
    "a running workspace": (DRIFTED, 0, 0.0),
    "a pool that goes": (
        proposed(desired(workspace_yaml("new")), observed(everything(CHAT, objects={}))),
        -1,
        -4.0,
    ),
    "two more nodes": (
        proposed(
            desired(workspace_yaml("chat", count=3, annotations={"on-immutable-change": "replace"})),
            observed(everything(CHAT)),
        ),
        2,
        8.0,
    ),
}


@pytest.mark.parametrize(("proposal", "gpus", "dollars"), DELTAS.values(), ids=DELTAS)
def test_gpus_and_dollars(proposal, gpus, dollars):
    assert (proposal.gpus, proposal.dollars_per_hour) == (gpus, dollars)


def test_no_price_no_dollars():
    proposal = proposed(fresh("a").desired, fresh("a").observed, policy(prices={}))
    assert proposal.dollars_per_hour is None
    assert "$/h" not in text(proposal)


def test_a_retried_pool_adds_nothing():
    failed = pool_of(CHAT, state="failed")
    seen = everything(CHAT, objects={}, pools=(failed,), since={"poolFailed": 0.0})
    assert proposed(desired(workspace_yaml("chat")), observed(seen)).gpus == 0


def test_the_document_is_json_with_all_steps():
    said = json.loads(json.dumps(document(DRIFTED)))
    (step,) = said["steps"]
    assert said["fingerprint"] == DRIFTED.plan.fingerprint
    assert (step["workspace"], step["verb"], step["target"], step["cause"]) == (
        "ai/chat",
        "change",
        "Deployment ai/chat",
        "drift",
    )
    assert step["changes"] == [
        {"field": "spec.replicas", "was": "9", "wanted": "1", "manager": "kubectl-edit"}
    ]


def test_steps_of_the_cluster_have_a_name():
    found = desired(workspace_yaml("chat"))
    said = text(proposed(found, observed(crd_served=False)))
    assert "the cluster" in said.splitlines()
    assert "  + CustomResourceDefinition workspaces.kaito.sh" in said


EVIL = "<img src=x>\n</pre></details>\n@everyone **[x](http://evil)** \x1b[31m `code` &amp;"


def hostile():
    hold = Hold(ws("chat"), "InvalidSpec", EVIL)
    found = Desired("1" * 40, {})
    return Proposal(Plan("1" * 40, holds=(hold,)), found, observed(), policy(), {})


def test_text_for_a_terminal_has_no_control_characters():
    said = text(hostile())
    assert "\x1b" not in said
    assert len(said.splitlines()) == 5


def test_warnings_are_shown():
    found = desired(tuning_yaml("tune", method="lora", instance_type=V100))
    proposal = proposed(found, observed(ObservedWorkspace(ws("tune"))))
    (warning,) = document(proposal)["warnings"]["ai/tune"]
    assert "wants 72 GiB" in warning
    assert f"  ? {warning}" in text(proposal).splitlines()


def test_a_plan_of_nothing():
    said = text(proposed(desired(workspace_yaml("chat")), observed(everything(CHAT))))
    assert said.splitlines()[1] == "0 to create, 0 to change, 0 to delete, 0 held"
