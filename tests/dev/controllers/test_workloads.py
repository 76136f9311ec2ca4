"""Deployments, StatefulSets and Jobs on simulated nodes, as their status and pods show."""

from dataclasses import replace

import pytest
from plugins.world import Bench, pod_spec, workload

from reconciler.dev.clock import INSTANT
from reconciler.dev.cloud.faults import Fault
from reconciler.dev.cloud.pools import PoolSpec
from reconciler.dev.objects import condition, holds
from reconciler.dev.serve import Options, serve
from reconciler.model.names import ObjectKey

SUCCESS = {"rules": [{"succeededCount": 1}]}


def names(pods):
    return sorted(pod["metadata"]["name"] for pod in pods)


async def settled(bench, kind, name, replicas):
    def done(found):
        status = found.get("status", {})
        ready = status.get("readyReplicas", 0) == status.get("updatedReplicas", 0) == replicas
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return ready and seen and status.get("replicas", 0) == replicas

    return await bench.until(kind, name, done)


async def test_a_deployment_runs_as_many_pods_as_it_says(bench):
    await bench.add_node("n")
    await bench.client.create(workload("Deployment", "web", pod_spec(), replicas=3))
    found = await settled(bench, "Deployment", "web", 3)
    assert found["status"]["availableReplicas"] == 3
    assert holds(found, "Available")
    assert condition(found, "Progressing")["reason"] == "NewReplicaSetAvailable"
    await bench.patch("Deployment", "web", {"spec": {"replicas": 1}})
    await settled(bench, "Deployment", "web", 1)
    await bench.eventually(lambda: _count(bench, 1))


async def _count(bench, number):
    return len(await bench.pods()) == number


async def test_a_deleted_pod_is_replaced(bench):
    await bench.add_node("n")
    await bench.client.create(workload("Deployment", "web", pod_spec(), replicas=1))
    await settled(bench, "Deployment", "web", 1)
    [before] = names(await bench.pods())
    await bench.delete("Pod", before)
    await bench.eventually(lambda: _replaced(bench, before))


async def _replaced(bench, before):
    pods = await bench.pods()
    return len(pods) == 1 and names(pods) != [before] and holds(pods[0], "Ready")


async def test_a_new_template_replaces_every_pod_within_the_room_there_is(bench):
    """With one GPU there is no room for a second pod: the old one goes first."""
    await bench.add_node("n", gpus=1)
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    await bench.client.create(workload("Deployment", "llm", pod_spec(gpus=1), replicas=1, strategy=strategy))
    await settled(bench, "Deployment", "llm", 1)
    template = pod_spec(gpus=1, image="app:2")
    await bench.patch("Deployment", "llm", {"spec": {"template": {"spec": template}}})
    await settled(bench, "Deployment", "llm", 1)
    [pod] = await bench.pods()
    assert pod["spec"]["containers"][0]["image"] == "app:2"


async def test_a_rolling_update_keeps_enough_pods_available(bench):
    await bench.add_node("n")
    await bench.client.create(workload("Deployment", "web", pod_spec(), replicas=4))
    await settled(bench, "Deployment", "web", 4)
    fewest = 4

    def heed(key, old, new):
        nonlocal fewest
        alive = [
            p
            for p in bench.world.view.of_kind("Pod")
            if holds(p, "Ready") and "deletionTimestamp" not in p["metadata"]
        ]
        fewest = min(fewest, len(alive))

    bench.world.view.subscribe("Pod", heed)
    await bench.patch("Deployment", "web", {"spec": {"template": {"spec": pod_spec(image="app:2")}}})
    await settled(bench, "Deployment", "web", 4)
    assert fewest >= 3
    await bench.eventually(lambda: _all_of(bench, "app:2", 4))


async def _all_of(bench, image, number):
    pods = await bench.pods()
    return [p["spec"]["containers"][0]["image"] for p in pods] == [image] * number


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
async def test_a_pod_is_available_when_it_has_been_ready_for_long_enough(bench, kind):
    await bench.add_node("n")
    more = {"serviceName": "web"} if kind == "StatefulSet" else {}
    await bench.client.create(workload(kind, "web", pod_spec(), replicas=1, minReadySeconds=2, **more))
    early = await bench.until(kind, "web", lambda d: d.get("status", {}).get("readyReplicas") == 1)
    assert early["status"].get("availableReplicas", 0) == 0
    await bench.until(kind, "web", lambda d: d["status"]["availableReplicas"] == 1)


async def test_a_deployment_that_makes_no_progress_says_so(bench):
    await bench.client.create(
        workload("Deployment", "web", pod_spec(), replicas=1, progressDeadlineSeconds=1)
    )
    stuck = await bench.until(
        "Deployment", "web", lambda d: (condition(d, "Progressing") or {}).get("status") == "False"
    )
    assert condition(stuck, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert not holds(stuck, "Available")


async def test_deleting_a_deployment_takes_its_pods_along(bench):
    await bench.add_node("n")
    await bench.client.create(workload("Deployment", "web", pod_spec(), replicas=2))
    await settled(bench, "Deployment", "web", 2)
    await bench.delete("Deployment", "web")
    await bench.eventually(lambda: _count(bench, 0))


async def test_an_ordered_statefulset_starts_the_next_pod_when_the_one_before_is_ready(bench):
    await bench.client.create(workload("StatefulSet", "db", pod_spec(), replicas=2, serviceName="db"))
    await bench.eventually(lambda: _count(bench, 1))
    assert names(await bench.pods()) == ["db-0"]
    await bench.add_node("n")
    await settled(bench, "StatefulSet", "db", 2)
    pods = {p["metadata"]["name"]: p for p in await bench.pods()}
    assert sorted(pods) == ["db-0", "db-1"]
    assert pods["db-1"]["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "db-1"
    assert pods["db-1"]["spec"]["hostname"] == "db-1"


async def test_a_parallel_statefulset_starts_all_pods_at_once(bench):
    spec = {"replicas": 3, "podManagementPolicy": "Parallel", "serviceName": "llm"}
    await bench.client.create(workload("StatefulSet", "llm", pod_spec(), **spec))
    await bench.eventually(lambda: _count(bench, 3))
    assert names(await bench.pods()) == ["llm-0", "llm-1", "llm-2"]


async def test_a_statefulset_renews_its_pods_under_their_names_and_shrinks_from_the_top(bench):
    await bench.add_node("n")
    await bench.client.create(workload("StatefulSet", "db", pod_spec(), replicas=2, serviceName="db"))
    await settled(bench, "StatefulSet", "db", 2)
    await bench.patch("StatefulSet", "db", {"spec": {"template": {"spec": pod_spec(image="app:2")}}})
    found = await settled(bench, "StatefulSet", "db", 2)
    assert found["status"]["updateRevision"]
    await bench.eventually(lambda: _all_of(bench, "app:2", 2))
    await bench.patch("StatefulSet", "db", {"spec": {"replicas": 1}})
    await bench.eventually(lambda: _count(bench, 1))
    assert names(await bench.pods()) == ["db-0"]


async def test_a_statefulset_gives_each_pod_a_claim_that_outlives_it(bench):
    template = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    spec = {"replicas": 1, "serviceName": "db", "volumeClaimTemplates": [template]}
    await bench.client.create(workload("StatefulSet", "db", pod_spec(), **spec))
    claim = await bench.until(
        "PersistentVolumeClaim", "data-db-0", lambda c: c["status"].get("phase") == "Bound"
    )
    assert claim["status"]["capacity"] == {"storage": "1Gi"}
    [pod] = await bench.eventually(bench.pods)
    claimed = {v["name"]: v.get("persistentVolumeClaim") for v in pod["spec"]["volumes"]}
    assert claimed["data"] == {"claimName": "data-db-0"}
    await bench.delete("StatefulSet", "db")
    await bench.eventually(lambda: _count(bench, 0))
    assert await bench.get("PersistentVolumeClaim", "data-db-0")


async def test_a_job_completes(bench):
    await bench.add_node("n")
    await bench.client.create(workload("Job", "tune", pod_spec(restartPolicy="Never"), backoffLimit=0))
    job = await bench.until("Job", "tune", lambda j: holds(j, "Complete"))
    assert job["status"]["succeeded"] == 1
    assert job["status"]["completionTime"] >= job["status"]["startTime"]
    [pod] = await bench.pods()
    assert pod["status"]["phase"] == "Succeeded"


async def test_a_job_runs_until_enough_pods_have_succeeded(bench):
    await bench.add_node("n")
    template = pod_spec(restartPolicy="Never")
    await bench.client.create(workload("Job", "tune", template, completions=3, parallelism=2))
    job = await bench.until("Job", "tune", lambda j: holds(j, "Complete"))
    assert job["status"]["succeeded"] == 3
    assert len(await bench.pods()) == 3


async def test_a_job_without_a_number_of_completions_ends_with_its_first_success(bench):
    await bench.add_node("n")
    await bench.client.create(workload("Job", "work", pod_spec(restartPolicy="Never"), parallelism=3))
    job = await bench.until("Job", "work", lambda j: holds(j, "Complete"))
    assert job["status"]["succeeded"] == len(await bench.pods()) == 3


async def test_a_suspended_job_waits_and_goes_on(bench):
    await bench.client.create(workload("Job", "tune", pod_spec(restartPolicy="Never")))
    await bench.eventually(lambda: _count(bench, 1))
    await bench.patch("Job", "tune", {"spec": {"suspend": True}})
    stopped = await bench.until("Job", "tune", lambda j: holds(j, "Suspended"))
    assert "startTime" not in stopped["status"]
    await bench.eventually(lambda: _count(bench, 0))
    await bench.add_node("n")
    await bench.patch("Job", "tune", {"spec": {"suspend": False}})
    job = await bench.until("Job", "tune", lambda j: holds(j, "Complete"))
    assert condition(job, "Suspended")["reason"] == "JobResumed"


@pytest.mark.parametrize(
    "spec", [{"completionMode": "Indexed", "completions": 1}, {"successPolicy": SUCCESS}]
)
async def test_a_job_of_a_sort_that_is_not_modelled_says_so_and_starts_nothing(bench, spec):
    await bench.client.create(workload("Job", "tune", pod_spec(restartPolicy="Never"), **spec))

    async def warned():
        return [e for e in (await bench.client.list("Event"))[0] if e["reason"] == "NotModelled"]

    [event] = await bench.eventually(warned)
    assert next(iter(spec)) in event["message"]
    assert event["involvedObject"]["name"] == "tune"
    assert await bench.pods() == []


async def test_a_job_gives_up_after_its_backoff_limit(bench):
    await bench.add_node("n")
    fails = {"dev.reconciler.dev/fail": "Error:3"}
    template = pod_spec(restartPolicy="Never")
    await bench.client.create(workload("Job", "tune", template, fails, backoffLimit=1))
    job = await bench.until("Job", "tune", lambda j: holds(j, "Failed"))
    assert condition(job, "Failed")["reason"] == "BackoffLimitExceeded"
    assert job["status"]["failed"] == 2
    pods = await bench.pods()
    assert {p["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] for p in pods} == {3}


@pytest.mark.parametrize(
    ("action", "codes", "reason", "failed"),
    [
        ("FailJob", [3], "PodFailurePolicy", 1),
        ("FailJob", [2], "BackoffLimitExceeded", 2),
        ("Count", [3], "BackoffLimitExceeded", 2),
    ],
)
async def test_a_job_fails_at_once_for_an_exit_code_that_its_policy_names(
    bench, action, codes, reason, failed
):
    await bench.add_node("n")
    rules = [{"action": action, "onExitCodes": {"operator": "In", "values": codes}}]
    more = {"backoffLimit": 1, "podFailurePolicy": {"rules": rules}}
    fails = {"dev.reconciler.dev/fail": "Error:3"}
    await bench.client.create(workload("Job", "tune", pod_spec(restartPolicy="Never"), fails, **more))
    job = await bench.until("Job", "tune", lambda j: holds(j, "Failed"))
    assert condition(job, "Failed")["reason"] == reason
    assert job["status"]["failed"] == failed


async def test_a_failure_that_the_policy_ignores_counts_for_nothing(bench):
    await bench.add_node("n")
    rules = [{"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [2]}}]
    more = {"backoffLimit": 0, "podFailurePolicy": {"rules": rules}}
    fails = {"dev.reconciler.dev/fail": "Error:3"}
    await bench.client.create(workload("Job", "tune", pod_spec(restartPolicy="Never"), fails, **more))

    async def two_have_failed():
        return sum(pod["status"]["phase"] == "Failed" for pod in await bench.pods()) >= 2

    await bench.eventually(two_have_failed)
    job = await bench.client.get(ObjectKey("Job", "default", "tune"))
    assert not holds(job, "Failed")


async def test_a_job_that_takes_too_long_is_ended(bench):
    await bench.client.create(
        workload("Job", "tune", pod_spec(restartPolicy="Never"), activeDeadlineSeconds=1)
    )
    job = await bench.until("Job", "tune", lambda j: holds(j, "Failed"))
    assert condition(job, "Failed")["reason"] == "DeadlineExceeded"
    await bench.eventually(lambda: _count(bench, 0))


async def test_a_jump_of_the_clock_counts_for_deadlines(bench):
    template = pod_spec(restartPolicy="Never")
    await bench.client.create(workload("Job", "tune", template, activeDeadlineSeconds=7200))
    await bench.until("Job", "tune", lambda j: j.get("status", {}).get("active"))
    bench.world.pace.clock.jump(-3600)
    await bench.patch("Job", "tune", {"metadata": {"labels": {"look": "again"}}})
    await bench.client.create(workload("Job", "other", template, activeDeadlineSeconds=7200))
    await bench.until("Job", "other", lambda j: j.get("status", {}).get("active"))
    assert not condition(await bench.get("Job", "tune"), "Failed")
    bench.world.pace.clock.jump(2 * 7200)
    await bench.patch("Job", "tune", {"metadata": {"labels": {"look": "once-more"}}})
    job = await bench.until("Job", "tune", lambda j: holds(j, "Failed"))
    assert condition(job, "Failed")["reason"] == "DeadlineExceeded"


async def test_a_finished_job_goes_when_its_time_is_up(bench):
    await bench.add_node("n")
    template = pod_spec(restartPolicy="Never")
    await bench.client.create(workload("Job", "tune", template, ttlSecondsAfterFinished=0))

    async def gone():
        return await bench.get("Job", "tune") is None and not await bench.pods()

    await bench.eventually(gone)


async def test_pods_of_a_removed_node_start_elsewhere(bench):
    await bench.add_node("doomed")
    await bench.client.create(workload("Deployment", "web", pod_spec(), replicas=1))
    await settled(bench, "Deployment", "web", 1)
    await bench.add_node("safe")
    await bench.delete("Node", "doomed")
    await bench.eventually(lambda: _all_on(bench, "safe"))


async def test_pods_of_a_node_that_stops_answering_are_not_ready_and_start_elsewhere(bench):
    await bench.add_node("doomed")
    await bench.client.create(workload("Deployment", "web", pod_spec(), replicas=1))
    await settled(bench, "Deployment", "web", 1)
    await bench.add_node("safe")
    lost = {"type": "Ready", "status": "Unknown", "lastTransitionTime": "2020-01-01T00:00:00Z"}
    await bench.patch("Node", "doomed", {"status": {"conditions": [lost]}}, "status")
    await bench.eventually(lambda: _all_on(bench, "safe"))


@pytest.mark.parametrize("removed", [True, False])
async def test_a_lost_machines_work_goes_to_its_replacement(bench, removed):
    cloud = bench.world.cloud.cloud
    cloud.put("rx", PoolSpec(key="k", instance_type="T", count=1, gpus_per_node=1))
    await bench.client.create(workload("Deployment", "llm", pod_spec(gpus=1), replicas=1))
    await settled(bench, "Deployment", "llm", 1)
    [before] = await bench.pods()
    cloud.inject(Fault(kind="nodeLost", remove=removed))
    cloud.put("rx", PoolSpec(key="k", instance_type="T", count=2, gpus_per_node=1))

    async def moved():
        pods = [p for p in await bench.pods() if "deletionTimestamp" not in p["metadata"]]
        nodes = {p["spec"].get("nodeName") for p in pods if holds(p, "Ready")}
        return nodes and before["spec"]["nodeName"] not in nodes

    await bench.eventually(moved)


async def test_a_pod_of_a_silent_node_is_known_to_be_over_only_when_the_node_is_gone(bench):
    """Two pods of one name in a StatefulSet would be worse than none."""
    await bench.add_node("doomed")
    await bench.client.create(workload("StatefulSet", "db", pod_spec(), replicas=1, serviceName="db"))
    await settled(bench, "StatefulSet", "db", 1)
    lost = {"type": "Ready", "status": "Unknown", "lastTransitionTime": "2020-01-01T00:00:00Z"}
    await bench.patch("Node", "doomed", {"status": {"conditions": [lost]}}, "status")
    evicted = await bench.until("Pod", "db-0", lambda p: "deletionTimestamp" in p["metadata"])
    assert evicted["status"]["reason"] == "NodeLost"
    await bench.add_node("safe")
    await bench.delete("Node", "doomed")
    await bench.until("Pod", "db-0", lambda p: p["spec"].get("nodeName") == "safe")


async def test_pods_of_a_node_that_comes_back_in_time_stay(tmp_path):
    world = await serve(tmp_path, Options(speed=replace(INSTANT, eviction_seconds=1000)))
    bench = Bench(world)
    await bench.add_node("n")
    await bench.client.create(workload("Deployment", "web", pod_spec(), replicas=1))
    await settled(bench, "Deployment", "web", 1)
    [before] = names(await bench.pods())
    for status in ("Unknown", "True"):
        turned = {"type": "Ready", "status": status, "lastTransitionTime": world.pace.stamp()}
        await bench.patch("Node", "n", {"status": {"conditions": [turned]}}, "status")
        wanted = int(status == "True")
        await bench.until("Deployment", "web", lambda d, n=wanted: d["status"]["readyReplicas"] == n)
    assert names(await bench.pods()) == [before]
    await world.stop()


async def _all_on(bench, node):
    """An evicted pod of a node that does not answer may still be there, terminating."""
    pods = [p for p in await bench.pods() if "deletionTimestamp" not in p["metadata"]]
    return [p["spec"].get("nodeName") for p in pods if holds(p, "Ready")] == [node] and len(pods) == 1
