"""The daemon against the development world, and against a real control plane where there is one."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from e2e.bed import Bed

from .realcluster import ASSETS, SERVERS, ControlPlane, has

PROGRAMS = ("kube-controller-manager", "kube-scheduler")


def pytest_generate_tests(metafunc):
    """Every test of a bed runs on every server, but for those marked `dev_only`, which say why."""
    if "new_bed" in metafunc.fixturenames and len(SERVERS) > 1:
        only_ours = any(metafunc.definition.iter_markers("dev_only")) or not all(map(has, PROGRAMS))
        metafunc.parametrize("new_bed", SERVERS[:1] if only_ours else SERVERS, indirect=True)


@pytest.fixture
async def new_bed(request, tmp_path, connections_end):
    """Makes beds. On a real server each has a control plane of its own, so that none disturbs another."""
    async with AsyncExitStack() as opened:

        async def make(name="bed", **options):
            plane = None
            if getattr(request, "param", "dev") == "real":
                plane = ControlPlane(Path(ASSETS), tmp_path / f"{name}-control-plane")
                opened.callback(plane.stop)
                plane.start()
            made = Bed(tmp_path / name, control_plane=plane, **options)
            opened.push_async_callback(made.stop)
            await made.start()
            return made

        yield make


@pytest.fixture
async def bed(new_bed):
    return await new_bed()
