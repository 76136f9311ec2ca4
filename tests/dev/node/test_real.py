"""Local processes on a control plane of upstream's."""

import pytest
from plugins.pods import removed, run, shell
from plugins.world import Bench, pod_spec, workload

from reconciler.dev.clock import INSTANT
from reconciler.dev.objects import ready
from reconciler.dev.serve import Options, serve
from reconciler.model.names import ObjectKey


@pytest.fixture
async def local(tmp_path, table, control_plane, connections_end):
    options = Options(speed=INSTANT, images=table, control_plane=control_plane.kubeconfig)
    world = await serve(tmp_path / "world", options)
    bench = Bench(world)
    await bench.add_node("n")
    yield bench
    await bench.delete("Node", "n")
    await world.stop()


async def test_its_controllers_and_scheduler_see_the_processes(local):
    template = pod_spec(image="program:1")
    probe = {"httpGet": {"path": "/", "port": 5000}, "periodSeconds": 1}
    template["containers"][0]["readinessProbe"] = probe
    await local.client.create(workload("Deployment", "web", template, replicas=2))
    await local.until("Deployment", "web", lambda d: d.get("status", {}).get("availableReplicas") == 2)
    job = pod_spec(restartPolicy="Never")
    job["containers"] = [shell("echo done > /dev/termination-log")]
    await local.client.create(workload("Job", "once", job))
    await local.until("Job", "once", lambda j: j.get("status", {}).get("succeeded"))
    for kind, name in (("Deployment", "web"), ("Job", "once")):
        await local.delete(kind, name)

    async def none_left():
        return not await local.pods()

    await local.eventually(none_left)


async def test_a_pods_end_and_message_are_kept(local):
    terminated = await run(local, "printf why > /dev/termination-log; exit 3")
    assert (terminated["exitCode"], terminated["message"]) == (3, "why")
    await removed(local, "p")


async def test_its_nodes_stay_ready(local):
    lease = ObjectKey("Lease", "kube-node-lease", "n")

    async def renewed():
        return await local.client.get(lease)

    await local.eventually(renewed)
    assert ready(await local.get("Node", "n"))
