"""What every provisioner driver promises. A further driver joins with an entry in DRIVERS."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from plugins.clock import HandClock

from reconciler.cluster.client import Client
from reconciler.dev.api.server import ApiServer
from reconciler.dev.clock import Pace, Speed
from reconciler.dev.cloud.cloud import Cloud
from reconciler.dev.cloud.faults import Fault
from reconciler.dev.cloud.http import CloudServer
from reconciler.errors import InvalidSpec, QuotaExceeded, Unavailable
from reconciler.model.plan import CreatePool, DeletePool, ScalePool
from reconciler.model.settings import ClusterSettings, SimulatedProvisioner
from reconciler.model.world import DesiredPool, ObservedPool
from reconciler.provisioners import Provisioner
from reconciler.provisioners.simulated import Simulated

WANTED = DesiredPool("ai/phi", "simulated", "Standard_NC24ads_A100_v4", 2, 1, (("apps", "phi"),))
CREATE = CreatePool("rabc", WANTED)
DELETE = DeletePool("rabc", "simulated")


@dataclass
class Bench:
    """A driver with its cloud: `later` lets simulated time pass, `break_with` makes things go wrong."""

    driver: Provisioner
    later: Callable[[], None]
    break_with: Callable[..., None]
    mend: Callable[[], None]
    shut: Callable[[], Any]

    async def pool(self) -> ObservedPool | None:
        return next((pool for pool in await self.driver.observe() if pool.name == "rabc"), None)

    async def until(self, true: Callable[[ObservedPool | None], Any]) -> ObservedPool | None:
        async with asyncio.timeout(10):
            while not true(found := await self.pool()):
                self.later()
                await asyncio.sleep(0.005)
        return found


@asynccontextmanager
async def simulated(folder: Path) -> AsyncIterator[Bench]:
    api = ApiServer()
    await api.start()
    api.write_kubeconfig(folder / "kubeconfig")
    client = await Client.connect(ClusterSettings(kubeconfig=folder / "kubeconfig"))
    clock = HandClock()
    pace = Pace(clock, random.Random(0), Speed())
    server = CloudServer(Cloud(client, pace), pace)
    await server.start()
    driver = Simulated(SimulatedProvisioner(url=server.url))
    faults = server.cloud.faults
    yield Bench(
        driver,
        lambda: clock.advance(60),
        lambda kind, **k: faults.add(Fault(kind=kind, **k)),
        faults.clear,
        server.stop,
    )
    await driver.close()
    await server.stop()
    await client.close()
    await api.stop()


DRIVERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Bench]]] = {"simulated": simulated}


@pytest.fixture(params=DRIVERS.values(), ids=DRIVERS.keys())
async def bench(request, tmp_path):
    async with request.param(tmp_path) as made:
        yield made


async def test_a_pool_is_seen_as_it_was_asked_for_and_becomes_ready(bench):
    await bench.driver.apply(CREATE)
    asked = ObservedPool("rabc", "ai/phi", bench.driver.name, WANTED.instance_type, 2, 1, "creating")
    assert await bench.pool() == asked
    assert await bench.until(lambda pool: pool.state == "ready") == replace(asked, state="ready")


async def test_creating_a_pool_again_changes_nothing(bench):
    await bench.driver.apply(CREATE)
    await bench.until(lambda pool: pool.state == "ready")
    await bench.driver.apply(CREATE)
    assert [pool.state for pool in await bench.driver.observe()] == ["ready"]


async def test_a_pool_can_grow_and_shrink(bench):
    await bench.driver.apply(CREATE)
    await bench.until(lambda pool: pool.state == "ready")
    for count in (3, 1):
        await bench.driver.apply(ScalePool("rabc", replace(WANTED, count=count), 2))
        await bench.until(lambda pool, count=count: (pool.state, pool.count) == ("ready", count))


async def test_a_deleted_pool_is_seen_going_and_then_is_gone(bench):
    await bench.driver.apply(CREATE)
    await bench.until(lambda pool: pool.state == "ready")
    await bench.driver.apply(DELETE)
    assert (await bench.pool()).state == "deleting"
    await bench.driver.apply(DELETE)
    await bench.until(lambda pool: pool is None)
    await bench.driver.apply(DELETE)


async def test_over_quota_is_said_at_once_in_the_clouds_words(bench):
    bench.break_with("quota")
    with pytest.raises(QuotaExceeded, match=WANTED.instance_type):
        await bench.driver.apply(CREATE)
    bench.mend()
    await bench.driver.apply(CREATE)
    await bench.until(lambda pool: pool.state == "ready")


async def test_a_pool_without_capacity_fails_with_a_reason_and_can_be_tried_again(bench):
    bench.break_with("capacity")
    await bench.driver.apply(CREATE)
    failed = await bench.until(lambda pool: pool.state == "failed")
    assert failed.reason == "NoCapacity"
    assert failed.message
    bench.mend()
    await bench.driver.apply(CREATE)
    assert (await bench.until(lambda pool: pool.state == "ready")).reason == ""


async def test_a_throttling_cloud_says_when_to_come_back(bench):
    bench.break_with("throttle", seconds=7)
    with pytest.raises(Unavailable) as caught:
        await bench.driver.apply(CREATE)
    assert caught.value.retry_after == 7


async def test_a_cloud_that_fails_is_not_an_empty_one(bench):
    await bench.driver.apply(CREATE)
    bench.break_with("down")
    for ask in (bench.driver.observe(), bench.driver.apply(CREATE), bench.driver.apply(DELETE)):
        with pytest.raises(Unavailable):
            await ask


async def test_a_cloud_that_cannot_be_reached_is_unavailable(bench):
    await bench.shut()
    for ask in (bench.driver.observe(), bench.driver.apply(CREATE), bench.driver.apply(DELETE)):
        with pytest.raises(Unavailable):
            await ask


async def test_the_instance_type_of_a_pool_cannot_be_changed(bench):
    await bench.driver.apply(CREATE)
    with pytest.raises(InvalidSpec):
        await bench.driver.apply(CreatePool("rabc", replace(WANTED, instance_type="Standard_ND96asr_v4")))
