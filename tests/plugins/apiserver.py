"""A Kubernetes API server of our own on a free port, and a kubeconfig for it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def in_thread(server: ApiServer) -> Iterator[ApiServer]:
    """Runs it in a thread with an event loop of its own, for tests that block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="apiserver")
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
