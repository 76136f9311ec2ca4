"""A development world in which things take no time."""

import pytest
from plugins.world import Bench

from reconciler.dev.clock import INSTANT
from reconciler.dev.serve import Options, serve


@pytest.fixture
async def bench(tmp_path):
    world = await serve(tmp_path, Options(speed=INSTANT))
    yield Bench(world)
    await world.stop()
