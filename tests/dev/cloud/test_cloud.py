"""Pools of the simulated cloud as they show in the cluster, and what can go wrong with them."""

import random
from contextlib import asynccontextmanager

import aiohttp
import pytest
from plugins.clock import HandClock
from plugins.world import Bench

from reconciler.cluster.client import Client
from reconciler.dev.clock import Pace, Speed
from reconciler.dev.cloud.cloud import Cloud
from reconciler.dev.cloud.http import CloudServer
from reconciler.dev.objects import condition, ready
from reconciler.model.settings import ClusterSettings

POOL = {
    "key": "ai/phi",
    "instanceType": "Standard_NC",
    "count": 2,
    "gpusPerNode": 4,
    "labels": {"apps": "phi"},
}
SPEED = Speed(node_join_seconds=100, node_ready_seconds=10, pool_gone_seconds=50, jitter=0)


class CloudBench:
    """A cloud on a clock turned by hand, and its cluster."""

    def __init__(self, client, clock, http):
        self.client, self.clock, self.http = client, clock, http

    async def put(self, **changes):
        async with self.http.put("/pools/rabc", json=POOL | changes) as answer:
            return answer.status, await answer.json()

    async def fault(self, kind, **more):
        async with self.http.post("/faults", json={"kind": kind} | more) as answer:
            assert answer.status == 201

    async def state(self):
        async with self.http.get("/pools") as answer:
            pools = (await answer.json())["pools"]
        return pools[0]["state"] if pools else None

    async def nodes(self):
        return (await self.client.list("Node"))[0]

    async def joined(self, number, are_ready):
        async def check():
            nodes = await self.nodes()
            return len(nodes) == number and sum(map(ready, nodes)) == are_ready

        await Bench.eventually(self, check)

    async def becomes(self, state):
        async def check():
            return await self.state() == state

        await Bench.eventually(self, check)


@asynccontextmanager
async def running(kubeconfig, kept=None):
    client = await Client.connect(ClusterSettings(kubeconfig=kubeconfig))
    clock = HandClock()
    pace = Pace(clock, random.Random(0), SPEED)
    server = CloudServer(Cloud(client, pace, kept), pace)
    await server.start()
    async with aiohttp.ClientSession(server.url) as http:
        yield CloudBench(client, clock, http)
    await server.stop()
    await client.close()


@pytest.fixture
async def bench(kubeconfig):
    async with running(kubeconfig) as made:
        yield made


async def test_nodes_join_one_by_one_and_the_pool_is_ready_when_all_are(bench):
    assert (await bench.put())[0] == 202
    bench.clock.advance(99)
    assert await bench.nodes() == []
    bench.clock.advance(2)
    await bench.joined(1, are_ready=0)
    bench.clock.advance(10)
    await bench.joined(1, are_ready=1)
    assert await bench.state() == "creating"
    bench.clock.advance(30)
    await bench.joined(2, are_ready=1)
    bench.clock.advance(10)
    await bench.joined(2, are_ready=2)
    await bench.becomes("ready")


async def grown(bench):
    await bench.put()
    bench.clock.advance(200)
    await bench.joined(2, are_ready=0)
    bench.clock.advance(20)
    await bench.joined(2, are_ready=2)
    await bench.becomes("ready")


async def test_a_node_carries_what_the_scheduler_and_the_daemon_look_for(bench):
    await grown(bench)
    node = (await bench.nodes())[0]
    expected = {
        "node.kubernetes.io/instance-type": "Standard_NC",
        "reconciler.dev/pool": "rabc",
        "apps": "phi",
    }
    assert expected.items() <= node["metadata"]["labels"].items()
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "4"
    assert node["spec"]["taints"] == [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]


async def test_a_pools_nodes_leave_with_it(bench):
    await grown(bench)
    async with bench.http.delete("/pools/rabc") as answer:
        assert answer.status == 202
    assert await bench.state() == "deleting"
    assert (await bench.put())[0] == 409
    bench.clock.advance(51)
    await bench.joined(0, are_ready=0)
    await bench.becomes(None)
    async with bench.http.delete("/pools/rabc") as answer:
        assert answer.status == 404


async def test_a_pool_deleted_while_its_nodes_are_under_way_gets_none(bench):
    await bench.put()
    async with bench.http.delete("/pools/rabc") as answer:
        assert answer.status == 202
    bench.clock.advance(500)
    await bench.becomes(None)
    assert await bench.nodes() == []


async def test_nodes_may_never_join(bench):
    await bench.fault("neverJoins", pool="rabc", times=1)
    await bench.put()
    bench.clock.advance(100_000)
    await bench.joined(1, are_ready=0)
    bench.clock.advance(20)
    await bench.joined(1, are_ready=1)
    assert await bench.state() == "creating"


async def test_nodes_may_join_late(bench):
    await bench.fault("lateJoin", seconds=1000)
    await bench.put()
    bench.clock.advance(500)
    assert await bench.nodes() == []
    bench.clock.advance(1000)
    await bench.joined(2, are_ready=0)


async def test_a_lost_node_goes_and_may_be_replaced(bench):
    await grown(bench)
    before = {node["metadata"]["name"] for node in await bench.nodes()}
    await bench.fault("nodeLost", pool=min(before), repair=True, seconds=30)
    await bench.joined(1, are_ready=1)
    bench.clock.advance(200)
    await bench.joined(2, are_ready=1)
    after = {node["metadata"]["name"] for node in await bench.nodes()}
    assert len(after & before) == 1


async def test_a_lost_node_may_stay_and_be_silent(bench):
    await grown(bench)
    await bench.fault("nodeLost", pool="rabc", remove=False, repair=True, seconds=30)
    await bench.joined(2, are_ready=0)
    bench.clock.advance(31)
    await bench.joined(2, are_ready=2)


async def test_a_cloud_that_is_kept_goes_on_where_it_was(kubeconfig, tmp_path):
    kept = tmp_path / "pools.json"
    async with running(kubeconfig, kept) as before:
        await grown(before)
        await before.put(count=4)
        before.clock.advance(101)
        await before.joined(3, are_ready=2)
        assert await before.state() == "updating"
    async with running(kubeconfig, kept) as after:
        assert await after.state() == "updating"
        after.clock.advance(101)
        await after.joined(4, are_ready=3)
        after.clock.advance(11)
        await after.joined(4, are_ready=4)
        await after.becomes("ready")
        async with after.http.delete("/pools/rabc") as answer:
            assert answer.status == 202
    async with running(kubeconfig, kept) as last:
        assert await last.state() == "deleting"
        last.clock.advance(51)
        await last.joined(0, are_ready=0)
        await last.becomes(None)


async def test_a_jump_of_the_clock_moves_what_is_written_and_not_what_is_awaited(bench):
    await bench.put(count=1)
    async with bench.http.post("/clock", json={"seconds": -86400}) as answer:
        assert answer.status == 200
    bench.clock.advance(99)
    assert await bench.nodes() == []
    bench.clock.advance(2)
    await bench.joined(1, are_ready=0)
    [node] = await bench.nodes()
    assert condition(node, "Ready")["lastTransitionTime"].startswith("2023-11-13T")


async def test_what_it_does_not_understand_is_refused(bench):
    status, said = await bench.put(colour="blue")
    assert (status, said["error"]["code"]) == (400, "InvalidParameter")
    async with bench.http.post("/faults", json={"kind": "gremlins"}) as answer:
        assert answer.status == 400
