"""One row per rule of the life cycle: what is seen, and all that the plan must say about it."""

from dataclasses import replace

import pytest
from builders import (
    A100,
    NOW,
    V100,
    everything,
    live,
    mirror_of,
    nodes_of,
    observed,
    output_of,
    policy,
    pool_of,
    summary,
    tuning_yaml,
    wanted,
    workspace_yaml,
    ws,
)

from reconciler.model import names
from reconciler.model.names import ObjectKey
from reconciler.model.world import Artifact, ObservedPod, ObservedWorkspace, Occupant
from reconciler.planning.case import Case
from reconciler.planning.converge import converge

WANT = wanted(workspace_yaml("chat", count=2))
RENAMED = wanted(workspace_yaml("chat", count=2, preset="phi-3-mini-4k-instruct", labels={"team": "a"}))
EDITED = wanted(workspace_yaml("chat", count=2, annotations={"kaito.sh/enablelb": "True"}))
REPLACED = wanted(
    workspace_yaml("chat", count=2, instance_type=V100, annotations={"on-immutable-change": "replace"})
)
TUNE = wanted(tuning_yaml("tune"))
TUNE_REPLACED = wanted(
    tuning_yaml("tune", instance_type=V100, annotations={"on-immutable-change": "replace"})
)
WITH_ADAPTER = wanted(workspace_yaml("zed", adapters={"a": output_of("tune")}), tuning_yaml("tune"))
FULL = everything(WANT)
POOL = pool_of(WANT)
EMPTY = ObservedWorkspace(WANT.id)
MIRROR = mirror_of(WANT)
OLD_POOL = pool_of(WANT, generation=0)
NEW_POOL = pool_of(REPLACED, generation=1)
CREATED = ["ApplyObject ConfigMap", "ApplyObject Deployment", "ApplyObject Service"]


def starting(**changes):
    """Nothing but the Workspace object and its pool."""
    return replace(ObservedWorkspace(WANT.id, MIRROR, (POOL,), nodes_of(POOL)), **changes)


def replacing(**changes):
    """A running workspace whose instance type was changed in Git, the Workspace object already written."""
    return replace(FULL, **{"mirror": mirror_of(REPLACED, NEW_POOL.name), **changes})


def moved(**changes):
    """The new pool is there, and all objects are as the new spec wants them."""
    return replace(
        everything(REPLACED, mirror=mirror_of(REPLACED, NEW_POOL.name)),
        **{"pools": (OLD_POOL, NEW_POOL), "nodes": (*nodes_of(OLD_POOL), *nodes_of(NEW_POOL)), **changes},
    )


CASES = {
    "nothing exists: the name is written down before the pool is asked for": (
        WANT,
        EMPTY,
        {},
        ["ApplyObject Workspace", "CreatePool"],
    ),
    "the pool is missing": (WANT, starting(pools=(), nodes=()), {}, ["CreatePool"]),
    "the pool is being created": (
        WANT,
        starting(pools=(replace(POOL, state="creating"),), nodes=()),
        {},
        ["hold NodesNotReady"],
    ),
    "one of two nodes joined": (WANT, starting(nodes=nodes_of(POOL)[:1]), {}, ["hold NodesNotReady"]),
    "nodes joined and are not ready": (
        WANT,
        starting(nodes=nodes_of(POOL, ready=False)),
        {},
        ["hold NodesNotReady"],
    ),
    "ready nodes offer no GPU yet": (WANT, starting(nodes=nodes_of(POOL, gpus=0)), {}, ["hold GpusMissing"]),
    "nodes of another pool do not count": (
        WANT,
        starting(nodes=tuple(replace(n, pool="other") for n in nodes_of(POOL))),
        {},
        ["hold NodesNotReady"],
    ),
    "all nodes are ready: objects are created in order": (WANT, starting(), {}, CREATED),
    "a pool of too few nodes is scaled": (WANT, starting(pools=(replace(POOL, count=1),)), {}, ["ScalePool"]),
    "a pool of too many nodes is scaled": (
        WANT,
        starting(pools=(replace(POOL, count=3),)),
        {},
        ["ScalePool"],
    ),
    "a pool that just failed waits": (
        WANT,
        starting(pools=(replace(POOL, state="failed", reason="NoCapacity"),), since={"poolFailed": NOW - 1}),
        {},
        ["hold NoCapacity"],
    ),
    "a pool that failed a minute ago is asked for again": (
        WANT,
        starting(pools=(replace(POOL, state="failed"),), since={"poolFailed": NOW - 61}),
        {},
        ["CreatePool"],
    ),
    "the old pool is still going: a new one is named otherwise": (
        WANT,
        starting(pools=(replace(POOL, state="deleting"),)),
        {},
        ["ApplyObject Workspace", "CreatePool"],
    ),
    "everything is as declared": (WANT, FULL, {}, []),
    "the cloud cannot be read, nothing runs": (
        WANT,
        starting(pools=()),
        {"unseen": frozenset({"simulated"})},
        ["hold Unavailable"],
    ),
    "the cloud cannot be read, all runs": (
        WANT,
        FULL,
        {"unseen": frozenset({"simulated"})},
        ["hold PoolUnseen"],
    ),
    "the cloud cannot be read, the workload drifted": (
        WANT,
        everything(WANT, Deployment=live(WANT.workload, spec__replicas=1)),
        {"unseen": frozenset({"simulated"})},
        ["ApplyObject Deployment", "hold PoolUnseen", "hold WorkloadNotReady"],
    ),
    "another cloud cannot be read": (WANT, starting(), {"unseen": frozenset({"aks"})}, CREATED),
    "the cluster cannot be read": (WANT, EMPTY, {"unseen": frozenset({"cluster"})}, ["hold Unavailable"]),
    "Workspaces are not served yet": (WANT, EMPTY, {"crd_served": False}, ["hold CrdMissing"]),
    "a node was lost under a running workload": (
        WANT,
        everything(WANT, nodes=nodes_of(POOL)[:1]),
        {},
        ["hold NodesNotReady"],
    ),
    "a node was lost and Git changed in one cycle: Git is applied": (
        EDITED,
        everything(WANT, nodes=nodes_of(POOL)[:1]),
        {},
        ["ApplyObject Workspace", "ApplyObject Deployment", "ApplyObject Service", "hold NodesNotReady"],
    ),
    "the Workspace object was deleted under a running workload": (
        WANT,
        everything(WANT, mirror=None),
        {},
        ["ApplyObject Workspace"],
    ),
    "the Deployment was deleted: nodes count again": (
        WANT,
        everything(WANT, Deployment=None, nodes=()),
        {},
        ["hold NodesNotReady"],
    ),
    "the Service was deleted": (WANT, everything(WANT, Service=None), {}, ["ApplyObject Service"]),
    "a child is being deleted": (
        WANT,
        everything(WANT, Service=live(WANT.services[0], metadata__deletionTimestamp="now")),
        {},
        ["hold Deleting"],
    ),
    "a replica is not ready": (
        WANT,
        everything(WANT, Deployment=live(WANT.workload, status__readyReplicas=1)),
        {},
        ["hold WorkloadNotReady"],
    ),
    "only a label of the Workspace changed in Git": (
        RENAMED,
        FULL,
        {},
        ["ApplyObject Workspace", "ApplyObject ConfigMap", "ApplyObject Deployment", "ApplyObject Service"],
    ),
    # --- replacement
    "another instance type: the new pool comes first, what runs is left alone": (
        REPLACED,
        FULL,
        {},
        ["ApplyObject Workspace", "CreatePool"],
    ),
    "the new pool has no nodes yet: what runs is left alone": (
        REPLACED,
        replacing(pools=(OLD_POOL, replace(NEW_POOL, state="creating"))),
        {},
        ["hold NodesNotReady", "hold Replacing"],
    ),
    "the new pool cannot be had: what runs is left alone": (
        REPLACED,
        replacing(pools=(OLD_POOL, replace(NEW_POOL, state="failed", reason="NoCapacity"))),
        {},
        ["hold NoCapacity", "hold Replacing"],
    ),
    "the new nodes are ready: the workload moves, the old pool stays": (
        REPLACED,
        replacing(pools=(OLD_POOL, NEW_POOL), nodes=(*nodes_of(OLD_POOL), *nodes_of(NEW_POOL))),
        {},
        ["ApplyObject Deployment", "hold Replacing"],
    ),
    "moved, but a pod is still on the old pool": (
        REPLACED,
        moved(pods=(ObservedPod("p", "Running", True, node=f"{OLD_POOL.name}-0"),)),
        {},
        ["hold Replacing"],
    ),
    "moved and serving: the old pool goes": (REPLACED, moved(), {}, ["DeletePool"]),
    "the cloud cannot be read: nobody knows where to move": (
        REPLACED,
        replacing(),
        {"unseen": frozenset({"simulated"})},
        ["hold PoolUnseen"],
    ),
    "a tuning that runs moves only when its new pool is ready": (
        TUNE_REPLACED,
        everything(TUNE, Job=live(TUNE.workload), pods=()),
        {},
        ["ApplyObject Workspace", "CreatePool", "hold WorkloadNotReady"],
    ),
    # --- names taken by others
    "a foreign Workspace of this name: nothing at all is created": (
        WANT,
        EMPTY,
        {"occupants": {WANT.mirror.key: Occupant("", ("kubectl",))}},
        ["hold NotOurs"],
    ),
    "a Workspace delivered by another tool": (
        WANT,
        EMPTY,
        {"occupants": {WANT.mirror.key: Occupant("", ("flux",), ("kustomize.toolkit.fluxcd.io/name=x",))}},
        ["hold DeliveredElsewhere"],
    ),
    "a foreign Deployment of this name: no pool is paid for": (
        WANT,
        ObservedWorkspace(WANT.id),
        {"occupants": {WANT.workload.key: Occupant("", ("helm",))}},
        ["ApplyObject Workspace", "hold NotOurs"],
    ),
    "a foreign Deployment came while the nodes joined: nothing is created beside it": (
        WANT,
        starting(),
        {"occupants": {WANT.workload.key: Occupant("", ("helm",))}},
        ["hold NotOurs"],
    ),
    "another workspace of ours holds the name": (
        WANT,
        starting(),
        {"occupants": {WANT.workload.key: Occupant("c1/ai/other", ())}},
        ["hold NotOurs"],
    ),
    "our own object that the cache has not seen yet": (
        WANT,
        starting(),
        {"occupants": {WANT.workload.key: Occupant("c1/ai/chat", ())}},
        CREATED,
    ),
    # --- between workspaces
    "an adapter that is not made yet": (
        WITH_ADAPTER,
        ObservedWorkspace(WITH_ADAPTER.id),
        {},
        ["ApplyObject Workspace", "hold WaitingForArtifact"],
    ),
    "an adapter that is made": (
        WITH_ADAPTER,
        ObservedWorkspace(WITH_ADAPTER.id),
        {"artifacts": {ws("tune"): Artifact(output_of("tune"), "sha256:1", "k")}},
        ["ApplyObject Workspace", "CreatePool"],
    ),
    "a running workload does not wait for its adapter to be made anew": (
        WITH_ADAPTER,
        everything(WITH_ADAPTER),
        {},
        [],
    ),
}


@pytest.mark.parametrize(("want", "seen", "world", "expected"), CASES.values(), ids=CASES)
def test_converge(want, seen, world, expected):
    case = Case(want, seen, observed(seen, **world), policy())
    assert summary(list(converge(case))) == expected


def test_adopting_lets_a_foreign_object_through_and_says_so():
    want = wanted(workspace_yaml("chat", annotations={"adopt": "true"}))
    occupied = observed(ObservedWorkspace(want.id), occupants={want.mirror.key: Occupant("", ("kubectl",))})
    first = next(iter(converge(Case(want, ObservedWorkspace(want.id), occupied, policy()))))
    assert first.action.object.key == want.mirror.key
    assert "adopted" in first.why


def test_a_pool_gets_its_name_before_it_exists():
    mirror, pool = converge(Case(WANT, EMPTY, observed(EMPTY), policy()))
    written = mirror.action.object.manifest["metadata"]["annotations"][names.POOL]
    assert written == pool.action.name == names.pool_name("c1", "ai/chat", 0)


def test_an_unreadable_cloud_does_not_forget_the_name_of_a_pool():
    seen = starting(pools=(), mirror=mirror_of(WANT, "rotherpool"))
    world = observed(seen, unseen=frozenset({"simulated"}))
    assert summary(list(converge(Case(WANT, seen, world, policy())))) == ["hold Unavailable"]


def test_a_file_that_moved_changes_nothing_but_the_path_written_down():
    moved_file = replace(WANT, mirror=wanted("# moved\n" + workspace_yaml("chat", count=2)).mirror)
    manifest = moved_file.mirror.manifest
    manifest["metadata"]["annotations"][names.PATH] = "elsewhere.yaml"
    (step,) = converge(Case(moved_file, FULL, observed(FULL), policy()))
    assert step.action.object.key == ObjectKey("Workspace", "ai", "chat")
    assert step.why == "path is now elsewhere.yaml"


def test_instance_types_are_compared_without_case():
    seen = everything(WANT, pools=(replace(POOL, instance_type=A100.lower()),))
    assert summary(list(converge(Case(WANT, seen, observed(seen), policy())))) == []
