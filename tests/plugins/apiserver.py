"""A Kubernetes API server of our own on a free port, and a kubeconfig for it."""

import pytest

from reconciler.dev.api.server import ApiServer


@pytest.fixture
async def apiserver():
    server = ApiServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def kubeconfig(apiserver, tmp_path):
    path = tmp_path / "kubeconfig"
    apiserver.write_kubeconfig(path)
    return path
