"""Engine `kaito`: what is delivered in which order, and what the operator's words mean."""

from dataclasses import replace

import pytest
from builders import (
    CLUSTER_ID,
    config_yaml,
    context,
    desired,
    everything,
    live,
    mirror_of,
    observed,
    policy,
    qlora_config,
    summary,
    tuning_yaml,
    workspace_yaml,
    ws,
)

from reconciler.model import names
from reconciler.model.plan import Applied
from reconciler.model.world import ObservedWorkspace
from reconciler.planning.diff import make_plan
from reconciler.planning.status import assess

KAITO = context(engine="kaito", driver="")
POLICY = policy(engine="kaito")
SHARED = config_yaml("shared", qlora_config())
CHAT = workspace_yaml("chat")
TUNE = tuning_yaml("tune")
BOTH = (SHARED, tuning_yaml("a", config="shared"), tuning_yaml("b", config="shared"))


def declared(*texts):
    return desired(*texts, where=KAITO)


def want(text):
    return next(iter(declared(text).workspaces.values()))


def condition(type, status, reason, message=""):
    return {"type": type, "status": status, "reason": reason, "message": message}


def reported(text, *conditions):
    wanted = want(text)
    return everything(wanted, mirror=mirror_of(wanted, status={"conditions": list(conditions)}))


def phase_of(text, *conditions):
    """(phase, reason) of a workspace of which the operator says this."""
    world, wanted = observed(reported(text, *conditions)), declared(text)
    plan = make_plan(wanted, world, POLICY)
    (status,) = assess(wanted, world, plan, Applied(), {}).values()
    return status.phase, status.reason


SERVES = condition("InferenceReady", "True", "WorkspaceInferenceStatusSuccess")
WORDS = {
    "nothing yet": (CHAT, (), ("Deploying", "OperatorPending")),
    "v0.3 creates machines": (
        CHAT,
        (condition("MachineReady", "Unknown", "CreateMachinePending"),),
        ("Deploying", "OperatorPending"),
    ),
    "v0.3.0 is done": (
        CHAT,
        (SERVES, condition("WorkspaceReady", "True", "workspaceSucceeded")),
        ("Ready", "AsDeclared"),
    ),
    "v0.3.2 is done": (
        CHAT,
        (SERVES, condition("WorkspaceSucceeded", "True", "workspaceSucceeded")),
        ("Ready", "AsDeclared"),
    ),
    "v0.4 finds no machines": (
        CHAT,
        (
            condition("WorkspaceSucceeded", "False", "workspaceFailed"),
            condition("ResourceReady", "False", "workspaceResourceStatusFailed"),
            condition("NodeClaimReady", "False", "nodeClaimFailedCreation"),
        ),
        ("Held", "NodeClaimFailedCreation"),
    ),
    "head waits for nodes": (
        CHAT,
        (
            condition("NodesReady", "False", "NodeNotReady"),
            condition("WorkspaceSucceeded", "False", "workspacePending"),
        ),
        ("Deploying", "OperatorPending"),
    ),
    "head's pod ran out of memory": (
        CHAT,
        (
            condition("NodesReady", "True", "NodesReady"),
            condition("InferenceReady", "False", "ContainerOOMKilled"),
            condition("WorkspaceSucceeded", "False", "workspacePending"),
        ),
        ("Held", "ContainerOOMKilled"),
    ),
    "a tuning runs": (
        TUNE,
        (condition("WorkspaceSucceeded", "False", "workspacePending"),),
        ("Tuning", "OperatorPending"),
    ),
    "a tuning failed": (
        TUNE,
        (
            condition("JobStarted", "False", "WorkspaceTuningJobStatusFailed"),
            condition("WorkspaceSucceeded", "False", "workspaceFailed"),
        ),
        ("Failed", "WorkspaceTuningJobStatusFailed"),
    ),
    "a tuning succeeded": (
        TUNE,
        (condition("WorkspaceSucceeded", "True", "workspaceSucceeded"),),
        ("Succeeded", "TuningSucceeded"),
    ),
}


@pytest.mark.parametrize(("text", "conditions", "expected"), WORDS.values(), ids=WORDS)
def test_what_the_operator_says(text, conditions, expected):
    assert phase_of(text, *conditions) == expected


def test_what_the_operator_writes_is_no_drift():
    seen = reported(CHAT, SERVES, condition("WorkspaceSucceeded", "True", "workspaceSucceeded"))
    metadata = seen.mirror.manifest["metadata"]
    metadata["finalizers"] = [names.FOREIGN_FINALIZER]
    metadata["annotations"][names.FOREIGN_HASH] = "abc"
    seen.mirror.manifest["resource"]["preferredNodes"] = ["n1"]
    assert summary(make_plan(declared(CHAT), observed(seen), POLICY)) == []


# --- ConfigMaps ------------------------------------------------------------------------------------


def test_a_shared_configmap_is_written_once_and_the_others_wait():
    found = make_plan(
        declared(*BOTH), observed(ObservedWorkspace(ws("a")), ObservedWorkspace(ws("b"))), POLICY
    )
    assert [(s.workspace.name, s.action.object.key.kind) for s in found.steps] == [
        ("a", "ConfigMap"),
        ("a", "Workspace"),
    ]
    assert [(h.workspace.name, h.reason) for h in found.holds] == [("b", "WaitingForConfig")]


def test_the_next_in_order_takes_over_a_configmap_whose_owner_leaves():
    before, after = declared(*BOTH), declared(*(t for t in BOTH if "name: a\n" not in t))
    configmap = live(before.workspaces[ws("a")].config[0])
    seen = everything(after.workspaces[ws("b")])
    seen = replace(seen, objects={configmap.key: configmap})
    (step,) = make_plan(after, observed(seen, looked=frozenset()), POLICY).steps
    assert step.action.object.key == configmap.key
    assert step.action.object.manifest["metadata"]["annotations"][names.OWNER] == f"{CLUSTER_ID}/ai/b"


def leaving_a(users):
    """a is no longer declared; its ConfigMap is still there, named by `users`."""
    wanted = declared(*BOTH).workspaces[ws("a")]
    configmap = live(wanted.config[0])
    seen = ObservedWorkspace(ws("a"), objects={configmap.key: configmap})
    users = {configmap.key: frozenset(users)} if users else {}
    return make_plan(declared(CHAT), observed(seen, config_users=users), POLICY)


USERS = {
    "nobody names it": ((), ["DeleteObject ConfigMap", "hold Deleting"]),
    "another names it": ((ws("b"),), ["hold Deleting"]),
}


@pytest.mark.parametrize(("users", "expected"), USERS.values(), ids=USERS)
def test_a_configmap_is_pruned_when_no_workspace_names_it(users, expected):
    assert summary(leaving_a(users)) == expected


def test_an_adapter_in_the_making_is_awaited():
    chat = workspace_yaml("chat", adapters={"mine": "registry.example.com/adapters/tune:1"})
    world = observed(ObservedWorkspace(ws("chat")))
    assert summary(make_plan(declared(TUNE, chat), world, POLICY)) == ["hold WaitingForArtifact"]


def test_it_is_the_operator_that_brings_the_definition():
    found = make_plan(declared(CHAT), observed(ObservedWorkspace(ws("chat")), crd_served=False), POLICY)
    (hold,) = found.holds
    assert found.steps == ()
    assert (hold.reason, "install the Kaito operator" in hold.why) == ("CrdMissing", True)
