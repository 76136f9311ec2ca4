"""What simulated pods go through: stages, failures, mounts, logs and their end."""

import hashlib
import json

import pytest
from plugins.clock import HandClock
from plugins.world import Bench, pod, pod_spec, workload

from reconciler.dev.clock import Speed
from reconciler.dev.serve import Options, serve

FAIL = "dev.reconciler.dev/fail"


def container(found):
    return (found["status"].get("containerStatuses") or [{"state": {}}])[0]


async def test_a_running_pods_status_is_complete(bench):
    await bench.add_node("n")
    await bench.client.create(pod("p", pod_spec()))
    found = await bench.until("Pod", "p", lambda p: p["status"]["phase"] == "Running")
    status = found["status"]
    assert {each["type"]: each["status"] for each in status["conditions"]}["Ready"] == "True"
    assert status["podIP"] and status["hostIP"] and status["startTime"]
    state = container(found)
    assert state["ready"] and state["started"] and state["restartCount"] == 0
    assert state["imageID"] and state["containerID"] and state["state"]["running"]["startedAt"]


FAILURES = {
    "an image that cannot be pulled": (
        "ImagePullBackOff",
        lambda c: c["state"].get("waiting", {}).get("reason") == "ImagePullBackOff",
    ),
    "a container that keeps crashing": (
        "CrashLoopBackOff",
        lambda c: c["restartCount"] > 0 and c["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff",
    ),
    "a container out of memory": (
        "OOMKilled",
        lambda c: c["lastState"].get("terminated", {}).get("reason") == "OOMKilled",
    ),
    "an exit with a status": ("Error:7", lambda c: c["lastState"].get("terminated", {}).get("exitCode") == 7),
}


@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES.keys())
async def test_fails_as_asked_and_heals_when_no_longer_asked(bench, case):
    how, seen = case
    await bench.add_node("n")
    await bench.client.create(pod("p", pod_spec(), **{FAIL: how}))
    await bench.until("Pod", "p", lambda p: "lastState" in container(p) and seen(container(p)))
    await bench.patch("Pod", "p", {"metadata": {"annotations": {FAIL: None}}})
    await bench.until("Pod", "p", lambda p: container(p)["ready"])


async def test_init_containers_run_first_and_in_order(bench):
    await bench.add_node("n")
    inits = [{"name": name, "image": "i"} for name in ("one", "two")]
    await bench.client.create(pod("p", pod_spec(initContainers=inits)))
    found = await bench.until("Pod", "p", lambda p: p["status"]["phase"] == "Running")
    ended = [each["state"]["terminated"]["exitCode"] for each in found["status"]["initContainerStatuses"]]
    assert ended == [0, 0]


async def test_a_pod_waits_for_the_config_it_mounts(bench):
    await bench.add_node("n")
    volumes = [{"name": "c", "configMap": {"name": "late"}}]
    await bench.client.create(pod("p", pod_spec(volumes=volumes)))
    waiting = await bench.until("Pod", "p", lambda p: container(p)["state"].get("waiting"))
    assert "late" in container(waiting)["state"]["waiting"]["message"]
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late", "namespace": "default"}}
    await bench.client.create(config)
    await bench.until("Pod", "p", lambda p: container(p)["ready"])


async def test_a_tuning_reports_an_artifact_that_follows_from_its_settings(bench):
    await bench.add_node("n")
    settings = json.dumps({"output": {"image": "registry/adapter:1"}})
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "default"},
        "data": {"settings.json": settings},
    }
    await bench.client.create(config)
    template = pod_spec(restartPolicy="Never", volumes=[{"name": "c", "configMap": {"name": "settings"}}])
    template["containers"][0] |= {
        "env": [{"name": "RECONCILER_SETTINGS", "value": "/mnt/config/settings.json"}],
        "volumeMounts": [{"name": "c", "mountPath": "/mnt/config"}],
    }
    await bench.client.create(workload("Job", "tune", template))
    await bench.until("Job", "tune", lambda j: j.get("status", {}).get("succeeded"))
    [found] = await bench.pods()
    said = json.loads(container(found)["state"]["terminated"]["message"])
    digest = "sha256:" + hashlib.sha256(settings.encode()).hexdigest()
    assert said["artifact"] == {"image": "registry/adapter:1", "digest": digest, "simulated": True}
    assert said["metrics"]


async def test_a_deleted_pod_goes_and_its_logs_could_be_read_before(bench):
    await bench.add_node("n")
    await bench.client.create(pod("p", pod_spec()))
    await bench.until("Pod", "p", lambda p: container(p).get("ready"))
    assert "main: ready" in await bench.client.logs("default", "p")
    await bench.delete("Pod", "p")

    async def gone():
        return await bench.get("Pod", "p") is None

    await bench.eventually(gone)


async def test_nothing_is_written_while_nothing_changes(bench):
    await bench.add_node("n")
    await bench.client.create(workload("Deployment", "web", pod_spec(), replicas=2))
    await bench.until("Deployment", "web", lambda d: d.get("status", {}).get("availableReplicas") == 2)
    await bench.client.create(pod("marker", pod_spec(nodeSelector={"none": "such"})))
    await bench.until("Pod", "marker", lambda p: p["status"].get("conditions"))
    writes = [seen for seen in bench.world.api.requests if seen.verb in ("patch", "update")]
    for name in "abcde":
        await bench.add_node(name, ready=False)
        await bench.get("Node", name)
    assert writes == [seen for seen in bench.world.api.requests if seen.verb in ("patch", "update")]


async def test_stages_take_their_time_by_the_clock_given(tmp_path):
    clock = HandClock()
    stages = tmp_path / "stages.yaml"
    stages.write_text(
        "- selector: {image: 'slow*'}\n"
        "  stages: [{to: running, delay: 100}, {to: ready, delay: 1000}]\n"
        "- selector: {}\n  stages: [{to: running}, {to: ready}]\n"
    )
    world = await serve(tmp_path, Options(speed=Speed(node_join_seconds=0), clock=clock, stages=stages))
    bench = Bench(world)
    await bench.add_node("n")
    await bench.client.create(pod("slow", pod_spec(image="slow:1")))
    await bench.client.create(pod("quick", pod_spec(image="quick:1")))
    await bench.until("Pod", "quick", lambda p: container(p).get("ready"))
    waiting = await bench.until("Pod", "slow", lambda p: container(p)["state"].get("waiting"))
    assert waiting["status"]["phase"] == "Pending"
    clock.advance(101)
    await bench.until(
        "Pod", "slow", lambda p: container(p)["state"].get("running") and not container(p)["ready"]
    )
    clock.advance(1000)
    await bench.until("Pod", "slow", lambda p: container(p)["ready"])
    await world.stop()
