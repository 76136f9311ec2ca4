"""A Service's port on this machine, and why a connection is refused."""

import asyncio
import contextlib

import pytest
from plugins.world import pod, pod_spec

from reconciler.dev.cloud.nodes import SIMULATED
from reconciler.dev.proxy import ServiceProxy
from reconciler.errors import InvalidSpec, NotFound
from reconciler.model.names import ObjectKey

PLACE = "127.0.8.1"


@pytest.fixture
async def listening():
    """A server that answers each line in capitals, and its port on the pod's own loopback address."""

    async def answer(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    server = await asyncio.start_server(answer, PLACE, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def proxied(bench):
    """Starts a proxy; the second value is what it said of refused connections."""
    async with contextlib.AsyncExitStack() as open_ones:

        async def start(name="web", port=""):
            said = []
            proxy = ServiceProxy(bench.client, ObjectKey("Service", "default", name), port, said.append)
            open_ones.push_async_callback(proxy.stop)
            return await proxy.start(), said

        yield start


def service(*ports, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": list(ports)} | spec,
    }


async def runs_at(bench, address, port):
    """A pod of a node that is none of ours, so that its status is what we say."""
    await bench.add_node("real")
    await bench.patch("Node", "real", {"metadata": {"annotations": {SIMULATED: None}}})
    made = pod("a", pod_spec(nodeName="real"))
    made["metadata"]["labels"] = {"app": "web"}
    made["spec"]["containers"][0]["ports"] = [{"name": "serving", "containerPort": port}]
    await bench.client.create(made)
    now = {"podIP": address, "conditions": [{"type": "Ready", "status": "True"}]}
    await bench.patch("Pod", "a", {"status": now}, "status")


async def say(address, text):
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(text)
    writer.write_eof()
    heard = await reader.read()
    writer.close()
    return heard


async def test_bytes_go_to_a_ready_pod_and_come_back(bench, proxied, listening):
    await bench.client.create(service({"port": 80, "targetPort": "serving"}))
    await runs_at(bench, PLACE, listening)
    address, said = await proxied()
    heard = await say(address, b"hello\n" * 20_000)
    assert said == []
    assert heard == b"HELLO\n" * 20_000


async def test_a_port_is_chosen_by_name_or_number(bench, proxied, listening):
    ports = [{"name": "http", "port": 80, "targetPort": "serving"}, {"name": "other", "port": 81}]
    await bench.client.create(service(*ports))
    await runs_at(bench, PLACE, listening)
    for port in ("http", "80"):
        address, _ = await proxied(port=port)
        assert await say(address, b"x\n") == b"X\n"
    with pytest.raises(InvalidSpec, match=r"SERVICE:PORT; it has 80 \(http\), 81 \(other\)"):
        await proxied()


async def test_without_a_ready_pod_the_connection_is_refused_with_the_reason(bench, proxied):
    await bench.client.create(service({"port": 80}))
    address, said = await proxied()
    assert await say(address, b"x\n") == b""
    assert said == ["connection refused: no pod behind Service default/web is ready"]


async def test_nobody_listens_in_a_simulated_pod(bench, proxied):
    await bench.client.create(service({"port": 80}))
    await runs_at(bench, "10.70.0.1", 80)
    address, said = await proxied()
    assert await say(address, b"x\n") == b""
    assert "are simulated, nothing listens there: a" in said[0]


async def test_a_pod_that_does_not_listen_is_named(bench, proxied):
    await bench.client.create(service({"port": 9}))
    await runs_at(bench, PLACE, 9)
    address, said = await proxied()
    assert await say(address, b"x\n") == b""
    assert f"pod a is ready, but does not listen on {PLACE}:9" in said[0]


async def test_services_that_choose_no_pods_are_refused(bench, proxied):
    with pytest.raises(NotFound, match="there is no Service default/web"):
        await proxied()
    await bench.client.create(service({"port": 80}, selector=None))
    with pytest.raises(InvalidSpec, match="has no selector"):
        await proxied()
