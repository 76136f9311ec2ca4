"""A bench for each driver, and one for a certain driver where a rule is its own."""

from contextlib import asynccontextmanager

import pytest
from forge import openapi
from forge.benches import BENCHES


@asynccontextmanager
async def running(name, folder):
    """Every request that GitHub's stand-in took has to be one that GitHub describes."""
    bench = BENCHES[name](folder)
    await bench.start()
    yield bench
    await bench.stop()
    if name.startswith("github"):
        taken = [asked for asked in bench.server.asked if asked.status < 300]
        assert [fault for asked in taken for fault in openapi.faults(asked)] == []


@pytest.fixture(params=BENCHES)
async def bench(request, tmp_path):
    async with running(request.param, tmp_path) as made:
        yield made


@pytest.fixture
async def github(tmp_path):
    async with running("github", tmp_path) as made:
        yield made


@pytest.fixture
async def github_app(tmp_path):
    async with running("github-app", tmp_path) as made:
        yield made


@pytest.fixture
async def gitlab(tmp_path):
    async with running("gitlab", tmp_path) as made:
        yield made


@pytest.fixture
async def azure(tmp_path):
    async with running("azuredevops", tmp_path) as made:
        yield made
