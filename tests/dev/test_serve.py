"""The development world as a process of its own."""

import asyncio
import json
import shutil
import subprocess

import pytest
from plugins.world import Bench, pod, pod_spec

from reconciler.cluster.client import Client
from reconciler.dev.clock import INSTANT
from reconciler.dev.cloud.pools import PoolSpec
from reconciler.dev.process import WorldProcess
from reconciler.dev.serve import Options, serve
from reconciler.errors import Unavailable
from reconciler.model.names import ObjectKey
from reconciler.model.plan import CreatePool
from reconciler.model.settings import ClusterSettings, SimulatedProvisioner
from reconciler.model.world import DesiredPool
from reconciler.provisioners.simulated import Simulated


@pytest.fixture
async def process(tmp_path):
    made = WorldProcess(tmp_path / "world", ["--fast"])
    yield made
    await made.stop()


async def test_a_pool_asked_of_the_cloud_becomes_nodes_of_the_cluster(process):
    addresses = await process.start()
    client = await Client.connect(ClusterSettings(kubeconfig=process.root / "kubeconfig"))
    driver = Simulated(SimulatedProvisioner(url=addresses.cloud))
    await driver.apply(CreatePool("rabc", DesiredPool("ai/phi", "simulated", "Standard_NC", 1, 1)))
    async with asyncio.timeout(20):
        while [pool.state for pool in await driver.observe()] != ["ready"]:
            await asyncio.sleep(0.05)
    nodes, _ = await client.list("Node", labels="reconciler.dev/pool=rabc")
    assert len(nodes) == 1
    assert await client.get(ObjectKey("Namespace", "", "kube-system"))
    await driver.close()
    await client.close()


async def test_it_says_where_everything_is_and_ends_cleanly_when_asked(process):
    addresses = await process.start()
    said = json.loads((process.root / "world.json").read_text())
    assert said["apiserver"] == addresses.apiserver
    assert said["pid"] == addresses.pid
    if shutil.which("git"):
        listed = await asyncio.to_thread(subprocess.run, ["git", "ls-remote", addresses.git], check=False)
        assert listed.returncode == 0
    assert await process.stop() == 0
    assert not (process.root / "world.json").exists()
    assert "Traceback" not in process.log.read_text()


async def test_a_world_that_cannot_start_says_why(tmp_path):
    process = WorldProcess(tmp_path / "world", ["--stages", str(tmp_path / "nowhere.yaml")])
    with pytest.raises(Unavailable, match=r"nowhere\.yaml"):
        await process.start()


async def test_a_control_plane_of_its_own_gets_nodes_and_nothing_else(tmp_path, apiserver, kubeconfig):
    world = await serve(tmp_path / "world", Options(speed=INSTANT, control_plane=kubeconfig))
    bench = Bench(world)
    assert world.api is None
    assert world.addresses().kubeconfig == str(kubeconfig)
    assert world.addresses().apiserver.startswith(apiserver.url)
    world.cloud.cloud.put("rx", PoolSpec(key="k", instance_type="T", count=1, gpus_per_node=1))
    node = await bench.eventually(lambda: next(iter(world.view.of_kind("Node")), None))
    await bench.client.create(pod("left", pod_spec()))
    await bench.client.create(pod("bound", pod_spec(nodeName=node["metadata"]["name"])))
    await bench.until("Pod", "bound", lambda p: p["status"]["phase"] == "Running")
    left = await bench.get("Pod", "left")
    assert "nodeName" not in left["spec"]
    await world.stop()
