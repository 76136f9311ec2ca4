"""What a workspace's owner reads: one row per verdict, and times that only move when something did."""

from dataclasses import replace

import pytest
from builders import (
    NOW,
    desired,
    everything,
    finished,
    live,
    mirror_of,
    nodes_of,
    observed,
    output_of,
    policy,
    pool_of,
    serving,
    tuning_yaml,
    wanted,
    workspace_yaml,
    ws,
)

from reconciler.model import names
from reconciler.model.plan import Applied, Failure
from reconciler.model.world import Footprint, ObservedPod, ObservedWorkspace
from reconciler.planning.diff import make_plan
from reconciler.planning.guards import guard
from reconciler.planning.status import assess

CHAT = workspace_yaml("chat")
WANT = wanted(CHAT)
TUNING = tuning_yaml("chat")
TUNE = wanted(TUNING)
POOL = pool_of(WANT)
MIRROR = mirror_of(WANT)
UNREADY = live(WANT.workload, status={"readyReplicas": 0})
RETRIED = workspace_yaml("chat", annotations={"suspend": "2099-01-01T00:00:00Z ann moving"})


def told(text, seen, *, failure=None, before=None, **world):
    """The status of `seen` where Git declares `text`, one or several; empty: something else."""
    texts = text if isinstance(text, tuple) else (text or workspace_yaml("x"),)
    found, look = desired(*texts), observed(seen, **world)
    plan = guard(make_plan(found, look, policy()), found, look, policy())
    failures = tuple(Failure(s.workspace, s, *failure) for s in plan.steps[:1]) if failure else ()
    return assess(found, look, plan, Applied(failures=failures), before or {}).get(seen.id)


VERDICTS = {
    "nothing exists": (CHAT, ObservedWorkspace(WANT.id), {}, "Provisioning", "Progressing"),
    "nodes are awaited": (
        CHAT,
        ObservedWorkspace(WANT.id, MIRROR, (POOL,)),
        {},
        "Provisioning",
        "NodesNotReady",
    ),
    "objects are created": (
        CHAT,
        ObservedWorkspace(WANT.id, MIRROR, (POOL,), nodes_of(POOL)),
        {},
        "Provisioning",
        "Progressing",
    ),
    "replicas are awaited": (CHAT, everything(WANT, Deployment=UNREADY), {}, "Deploying", "WorkloadNotReady"),
    "a pod cannot start": (
        CHAT,
        everything(
            WANT, Deployment=UNREADY, pods=(ObservedPod("p", "Pending", False, reason="ErrImagePull"),)
        ),
        {},
        "Held",
        "ErrImagePull",
    ),
    "everything is as declared": (CHAT, everything(WANT), {}, "Ready", "AsDeclared"),
    "drift is being corrected": (
        CHAT,
        everything(WANT, Service=live(WANT.services[0], spec__type="NodePort")),
        {},
        "Ready",
        "AsDeclared",
    ),
    "a moved file is being noted": (
        CHAT,
        everything(
            WANT,
            mirror=live(
                WANT.mirror,
                metadata__annotations={**MIRROR.manifest["metadata"]["annotations"], names.PATH: "old.yaml"},
            ),
        ),
        {},
        "Ready",
        "AsDeclared",
    ),
    "it serves while another release waits": (
        CHAT,
        everything(
            WANT,
            Deployment=serving(
                WANT.workload,
                spec__template__spec__containers__0__image="old",
                metadata__annotations={
                    **WANT.workload.manifest["metadata"]["annotations"],
                    names.RENDER: "old",
                },
            ),
        ),
        {},
        "Ready",
        "RendererChanged",
    ),
    "Git changed it": (
        CHAT,
        everything(wanted(workspace_yaml("chat", annotations={"kaito.sh/enablelb": "True"}))),
        {},
        "Deploying",
        "Progressing",
    ),
    "an immutable field was edited": (
        workspace_yaml("chat", count=2),
        everything(WANT),
        {},
        "Held",
        "ImmutableField",
    ),
    "its file is invalid": (CHAT.replace("phi-3", "phy-3"), everything(WANT), {}, "Invalid", "InvalidSpec"),
    "its adapter is awaited": (
        (workspace_yaml("chat", adapters={"x": output_of("t")}), tuning_yaml("t")),
        ObservedWorkspace(WANT.id, MIRROR),
        {},
        "Waiting",
        "WaitingForArtifact",
    ),
    "it is suspended": (RETRIED, everything(WANT), {}, "Suspended", "Suspended"),
    "the cluster cannot be read": (
        CHAT,
        everything(WANT),
        {"unseen": frozenset({"cluster"})},
        "Waiting",
        "Unavailable",
    ),
    "a node was lost": (CHAT, everything(WANT, nodes=()), {}, "Provisioning", "NodesNotReady"),
    "it is being deleted": ("", everything(WANT), {}, "Deleting", "Deleting"),
    "its deletion is held": (
        "",
        everything(WANT),
        {"fleet": {WANT.id: Footprint(protected=True)}},
        "Held",
        "Protected",
    ),
    "the tuning runs": (
        TUNING,
        everything(TUNE, Job=live(TUNE.workload), pods=()),
        {},
        "Tuning",
        "WorkloadNotReady",
    ),
    "the tuning succeeded": (TUNING, everything(TUNE), {}, "Succeeded", "TuningSucceeded"),
    "the tuning failed": (
        TUNING,
        everything(TUNE, Job=finished(TUNE.workload, "Failed")),
        {},
        "Failed",
        "TuningFailed",
    ),
}


@pytest.mark.parametrize(("text", "seen", "world", "phase", "reason"), VERDICTS.values(), ids=VERDICTS)
def test_verdict(text, seen, world, phase, reason):
    status = told(text, seen, **world)
    assert (status.phase, status.reason) == (phase, reason)
    assert status.ready == (phase in ("Ready", "Succeeded"))
    finals = {c.type: c.status for c in status.conditions if c.type.startswith("Workspace")}
    assert finals == dict.fromkeys(
        ("WorkspaceReady", "WorkspaceSucceeded"), "True" if status.ready else "False"
    )


FAILURES = {
    "that passes": (("NoCapacity", "no machines", 60.0), "Waiting", "NoCapacity"),
    "that only a new commit mends": (("InvalidSpec", "refused", None), "Failed", "InvalidSpec"),
}


@pytest.mark.parametrize(("failure", "phase", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_step_that_failed(failure, phase, reason):
    status = told(CHAT, ObservedWorkspace(WANT.id), failure=failure)
    assert (status.phase, status.reason, status.message) == (phase, reason, failure[1])


def test_what_a_status_tells_of_a_serving_workspace():
    status = told(CHAT, everything(WANT))
    assert (status.path, status.line) == ("chat.yaml", 1)
    assert status.endpoint == "http://chat.ai.svc/chat"
    assert (status.instance_type, status.gpus, status.pool) == (POOL.instance_type, 1, POOL.name)
    assert status.nodes == (f"{POOL.name}-0",)
    assert {c.type for c in status.conditions} == {
        "ResourceReady",
        "InferenceReady",
        "WorkspaceReady",
        "WorkspaceSucceeded",
    }


def test_what_a_status_tells_of_a_finished_tuning():
    status = told(TUNING, everything(TUNE))
    assert str(status.artifact) == f"{output_of('chat')}@sha256:{'a' * 64}"
    assert str(status.artifact) in status.message


def test_nothing_is_told_of_what_is_neither_declared_nor_there():
    assert told("", ObservedWorkspace(WANT.id)) is None


def test_only_what_the_cycle_looked_at_gets_a_status():
    """Another workspace's step may be pending; what is seen of it is not known here."""
    found = desired(CHAT, workspace_yaml("other"))
    both = observed(ObservedWorkspace(WANT.id), ObservedWorkspace(ws("other")))
    plan = make_plan(found, both, policy())
    share = replace(both, workspaces={WANT.id: both.workspaces[WANT.id]})
    assert set(assess(found, share, plan, Applied(), {})) == {WANT.id}


# --- times -----------------------------------------------------------------------------------------


def test_times_stay_while_nothing_changes():
    first = told(CHAT, everything(WANT))
    later = told(CHAT, everything(WANT), before={WANT.id: first}, now=NOW + 100)
    assert later == first
    assert (later.since, [c.since for c in later.conditions]) == (NOW, [NOW] * 4)


def test_times_move_with_what_changes_and_with_nothing_else():
    first = told(CHAT, everything(WANT))
    later = told(CHAT, everything(WANT, Deployment=UNREADY), before={WANT.id: first}, now=NOW + 100)
    since = {c.type: c.since for c in later.conditions}
    assert later.since == NOW + 100
    assert (since["ResourceReady"], since["InferenceReady"]) == (NOW, NOW + 100)


WAITS = {
    "a pool that failed": ObservedWorkspace(
        WANT.id, MIRROR, (replace(POOL, state="failed"),), since={"poolFailed": NOW}
    ),
    "a workload that starts": everything(WANT, Deployment=UNREADY, since={"notReady": NOW}),
    "a live suspension": everything(
        WANT, mirror=live(WANT.mirror, metadata__annotations={names.SUSPEND: "2027-01-15T12:00:00Z ann x"})
    ),
}


@pytest.mark.parametrize("seen", WAITS.values(), ids=WAITS)
def test_waiting_does_not_tick(seen):
    first = told(CHAT, seen)
    assert told(CHAT, seen, before={WANT.id: first}, now=NOW + 7) == first


def test_a_pool_that_is_kept_a_while_does_not_tick():
    seen = everything(TUNE, since={"succeeded": NOW})
    assert told(TUNING, seen, now=NOW + 7) == told(TUNING, seen)
