"""Metrics and probes over HTTP."""

import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

import aiohttp
import pytest

from reconciler import telemetry
from reconciler.errors import Unavailable
from reconciler.model.settings import WebSettings
from reconciler.web import Probes, serve

LOOPBACK = WebSettings(host="127.0.0.1", port=0)


@pytest.fixture
async def web():
    """A running server whose answers the test decides, and a function that asks it."""
    state = {"alive": True, "missing": ["no first plan", "https://a:hunter22@git cannot be read"]}
    server = await serve(LOOPBACK, Probes(lambda: state["alive"], lambda: state["missing"]))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(path) as response:
                return response.status, await response.text()

        yield state, get
    await server.close()


async def test_ready_once_nothing_is_missing(web):
    state, get = web
    assert await get("/readyz") == (503, "no first plan\nhttps://***@git cannot be read\n")
    state["missing"] = []
    assert await get("/readyz") == (200, "ok\n")


async def test_healthy_until_a_cycle_hangs(web):
    state, get = web
    assert (await get("/healthz"))[0] == 200
    state["alive"] = False
    assert (await get("/healthz"))[0] == 503


async def test_it_answers_though_the_daemon_is_busy():
    """This thread, the daemon's, does nothing else until the answer is there."""
    server = await serve(LOOPBACK, Probes(lambda: True, list))
    with ThreadPoolExecutor(1) as asker:
        asked = asker.submit(urlopen, f"http://127.0.0.1:{server.port}/healthz", timeout=10)
        assert asked.result(timeout=20).read() == b"ok\n"
    await server.close()


async def test_metrics_in_the_text_format(web):
    _, get = web
    telemetry.source_read("abc")
    code, text = await get("/metrics")
    assert code == 200
    assert 'workspace_reconciler_revision_info{revision="abc"} 1.0' in text


async def test_a_taken_port_is_named_with_its_setting():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"web\.port: 127\.0\.0\.1:{port} is taken"):
            await serve(WebSettings(host="127.0.0.1", port=port), Probes(lambda: True, list))


async def test_an_address_of_another_machine_is_refused():
    with pytest.raises(Unavailable, match=r"web\.host"):
        await serve(WebSettings(host="192.0.2.1", port=0), Probes(lambda: True, list))
