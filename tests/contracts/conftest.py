"""Every test here runs against the development server, and against a real one where there is one."""

import re
import secrets

import pytest
from contracts import widgets
from contracts.api import Api, Server
from plugins.kubectl import kubectl_for
from plugins.realcluster import ASSETS, SERVERS, has

from reconciler.dev.api.server import ApiServer

collect_ignore = [] if ASSETS else ["test_differential.py"]


def pytest_collection_modifyitems(config, items):
    """A folder with an API server alone, as is usual, is asked for what that does alone."""
    if not ASSETS or has("kube-controller-manager"):
        return
    lonely = [item for item in items if item.get_closest_marker("controllers") and "real" in item.name]
    config.hook.pytest_deselected(items=lonely)
    items[:] = [item for item in items if item not in lonely]


@pytest.fixture(params=SERVERS)
async def server(request, tmp_path, connections_end):
    if request.param == "real":
        plane = request.getfixturevalue("control_plane")
        yield Server("real", plane.kubeconfig, plane.version, plane.forget)
        return
    made = ApiServer()
    await made.start()
    made.write_kubeconfig(tmp_path / "dev.kubeconfig")
    major, minor = re.findall(r"\d+", made.version)[:2]

    async def forget():
        made.store.compact()

    yield Server("dev", tmp_path / "dev.kubeconfig", (int(major), int(minor)), forget)
    await made.stop()


@pytest.fixture
async def api(server):
    """A client with a namespace of the test's own."""
    async with Api(server, f"suite-{secrets.token_hex(4)}") as client:
        await client.made("/api/v1/namespaces", {"metadata": {"name": client.namespace}})
        yield client


@pytest.fixture
async def widgets_at(api):
    """The path of widgets in the test's namespace."""
    return await widgets.served(api)


@pytest.fixture
def kubectl(server, api, tmp_path):
    """kubectl in the test's namespace."""
    run = kubectl_for(server.kubeconfig, tmp_path)

    async def in_namespace(*arguments, **options):
        return await run("--namespace", api.namespace, *arguments, **options)

    return in_namespace
