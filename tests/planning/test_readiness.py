"""Whether a workload does its job yet, and what the upstream operator says of one, in any era."""

from dataclasses import replace

import pytest
from builders import (
    NOW,
    context,
    desired,
    everything,
    live,
    mirror_of,
    observed,
    policy,
    serving,
    wanted,
    workspace_yaml,
)

from reconciler.model.world import ObservedPod
from reconciler.planning.diff import make_plan

TEXT = workspace_yaml("chat", count=2)
WANT = wanted(TEXT)
UNREADY = live(WANT.workload, status={"readyReplicas": 1, "updatedReplicas": 2})


def hold(seen):
    (found,) = make_plan(desired(TEXT), observed(seen), policy()).holds
    return found


def pod(reason, message=""):
    return ObservedPod("chat-x", "Pending", False, reason=reason, message=message)


READY = {
    "all replicas": (serving(WANT.workload), True),
    "too few are ready": (UNREADY, False),
    "old replicas still serve": (serving(WANT.workload, status__updatedReplicas=1), False),
    "the status is of an older generation": (serving(WANT.workload, metadata__generation=2), False),
    "no status yet": (live(WANT.workload), False),
}


@pytest.mark.parametrize(("deployment", "ready"), READY.values(), ids=READY)
def test_workload_ready(deployment, ready):
    plan = make_plan(desired(TEXT), observed(everything(WANT, Deployment=deployment)), policy())
    assert (plan.holds == ()) == ready


WAITS = {
    "it starts": ((), 10, "WorkloadNotReady", True, 7190),
    "its image cannot be pulled": (
        (pod("ImagePullBackOff", "no such tag"),),
        10,
        "ImagePullBackOff",
        False,
        7190,
    ),
    "a passing reason": ((pod("ContainerCreating"),), 10, "WorkloadNotReady", True, 7190),
    "it crashes": ((pod("CrashLoopBackOff"),), 10, "CrashLoopBackOff", False, 3590),
    "it has crashed for an hour": ((pod("CrashLoopBackOff"),), 3600, "IdleSpend", False, None),
    "not ready for two hours": ((), 7200, "IdleSpend", False, None),
}


@pytest.mark.parametrize(("pods", "since", "reason", "waiting", "recheck"), WAITS.values(), ids=WAITS)
def test_waiting_for_a_workload(pods, since, reason, waiting, recheck):
    found = hold(everything(WANT, Deployment=UNREADY, pods=pods, since={"notReady": NOW - since}))
    assert (found.reason, found.waiting, found.recheck_after) == (reason, waiting, recheck)


def test_a_failing_pod_is_named_with_its_message():
    found = hold(everything(WANT, Deployment=UNREADY, pods=(pod("ErrImagePull", "no such tag"),)))
    assert found.why == "pod chat-x ErrImagePull: no such tag"


def test_progress_is_told_in_replicas():
    assert hold(everything(WANT, Deployment=UNREADY)).why == "1 of 2 replicas are ready"


# --- engine kaito ----------------------------------------------------------------------------------

DELIVERED = wanted(TEXT, where=context(engine="kaito"))
DEPLOYED = {"type": "InferenceReady", "status": "True", "reason": "InferenceReady"}

ERAS = {
    "nothing reported": ([], ["OperatorPending"], True),
    "v0.3.1 and newer, ready": ([DEPLOYED, {"type": "WorkspaceSucceeded", "status": "True"}], [], None),
    "until v0.3.0, ready": ([DEPLOYED, {"type": "WorkspaceReady", "status": "True"}], [], None),
    "still working": (
        [{"type": "WorkspaceSucceeded", "status": "False", "reason": "workspacePending", "message": "nodes"}],
        ["OperatorPending"],
        True,
    ),
    "failed, and an earlier condition says why": (
        [
            {"type": "ResourceReady", "status": "False", "reason": "machineFailed", "message": "no quota"},
            {"type": "WorkspaceSucceeded", "status": "False", "reason": "workspacePending"},
        ],
        ["MachineFailed"],
        False,
    ),
    "failed": (
        [{"type": "WorkspaceSucceeded", "status": "False", "reason": "workspaceFailed", "message": "x"}],
        ["WorkspaceFailed"],
        False,
    ),
    "only its first conditions": ([{"type": "ResourceReady", "status": "True"}], ["OperatorPending"], True),
}


@pytest.mark.parametrize(("conditions", "reasons", "waiting"), ERAS.values(), ids=ERAS)
def test_the_operators_conditions(conditions, reasons, waiting):
    mirror = mirror_of(DELIVERED)
    mirror.manifest["status"] = {"conditions": conditions}
    seen = replace(everything(DELIVERED), mirror=mirror)
    found = desired(TEXT, where=context(engine="kaito"))
    plan = make_plan(found, observed(seen), policy(engine="kaito"))
    assert plan.steps == ()
    assert [h.reason for h in plan.holds] == reasons
    assert all(h.waiting == waiting for h in plan.holds)


def test_engine_kaito_makes_no_pool_and_no_children():
    assert DELIVERED.pool is None
    assert DELIVERED.objects == ()
