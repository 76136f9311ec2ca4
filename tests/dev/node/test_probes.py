"""Probes against real programs."""

import aiohttp
import pytest
from plugins.pods import held_up, main, shell
from plugins.world import pod

from reconciler.dev.objects import ready

QUICK = {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 5}


def served(**fields):
    ports = [{"name": "http", "containerPort": 5000}]
    return {"name": "main", "image": "program:1", "ports": ports} | fields


def get(path, **more):
    return {"httpGet": {"path": path, "port": "http"}} | QUICK | more


async def make_sick(found, path):
    async with aiohttp.request("POST", f"http://{found['status']['podIP']}:5000{path}"):
        pass


async def test_readiness_follows_what_the_program_answers(local):
    await local.client.create(pod("p", {"containers": [served(readinessProbe=get("/ready"))]}))
    found = await local.until("Pod", "p", ready)
    assert main(found)["ready"] and main(found)["started"]
    await make_sick(found, "/ready")
    found = await local.until("Pod", "p", lambda p: not ready(p))
    assert "running" in main(found)["state"] and main(found)["restartCount"] == 0


async def test_two_pods_serve_on_one_port(local):
    for name in ("p", "q"):
        await local.client.create(pod(name, {"containers": [served(readinessProbe=get("/"))]}))
    addresses = {(await local.until("Pod", name, ready))["status"]["podIP"] for name in ("p", "q")}
    assert len(addresses) == 2


async def test_a_program_that_is_not_alive_is_started_again(local):
    probes = {"livenessProbe": get("/alive"), "startupProbe": get("/alive", failureThreshold=60)}
    await local.client.create(pod("p", {"containers": [served(**probes)]}))
    found = await local.until("Pod", "p", ready)
    await make_sick(found, "/alive")
    found = await local.until("Pod", "p", lambda p: main(p)["restartCount"] and ready(p))
    last = main(found)["lastState"]["terminated"]
    assert last["exitCode"] == 143
    assert last["message"] == "Liveness probe failed: HTTP probe failed with statuscode: 500"


async def test_other_probes_wait_for_the_startup_probe(local):
    script = "sleep 0.3; touch $RECONCILER_ROOT/up; exec sleep 300"
    up = {"exec": {"command": ["sh", "-c", "test -e $RECONCILER_ROOT/up"]}}
    probes = {"startupProbe": up | QUICK | {"failureThreshold": 30}, "livenessProbe": up | QUICK}
    await local.client.create(pod("p", {"containers": [shell(script, **probes)]}))
    found = await local.until("Pod", "p", lambda p: "running" in main(p)["state"])
    assert not main(found)["started"] and not main(found)["ready"]
    found = await local.until("Pod", "p", lambda p: main(p)["started"])
    assert ready(found) and main(found)["restartCount"] == 0


FAILING = {
    "exec": ({"exec": {"command": ["sh", "-c", "echo no; exit 3"]}}, "command ended with status 3: no"),
    "tcp": ({"tcpSocket": {"port": 1}}, "Connect call failed"),
    "http": ({"httpGet": {"path": "/", "port": 1}}, "Cannot connect"),
    "timeout": ({"exec": {"command": ["sleep", "300"]}, "timeoutSeconds": 1}, "no answer within 1 s"),
}


@pytest.mark.parametrize("case", FAILING.values(), ids=FAILING.keys())
async def test_a_program_that_never_starts_is_ended_and_says_why(local, case):
    action, message = case
    spec = {"containers": [shell("exec sleep 300", startupProbe=QUICK | action)], "restartPolicy": "Never"}
    await local.client.create(pod("p", spec))
    found = await local.until("Pod", "p", lambda p: p["status"]["phase"] == "Failed")
    said = main(found)["state"]["terminated"]["message"]
    assert said.startswith("Startup probe failed: ")
    assert message in said


async def test_a_socket_is_probed(local):
    probe = {"tcpSocket": {"port": 5000}} | QUICK
    await local.client.create(pod("p", {"containers": [served(readinessProbe=probe)]}))
    await local.until("Pod", "p", ready)


BAD = {
    "unknown port": ({"readinessProbe": {"httpGet": {"port": "web"}}}, "readinessProbe cannot be run"),
    "grpc": ({"livenessProbe": {"grpc": {"port": 1}}}, "livenessProbe cannot be run"),
    "hook": ({"lifecycle": {"postStart": {"exec": {"command": ["true"]}}}}, "postStart cannot be run"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
async def test_what_cannot_be_probed_is_told(local, case):
    fields, message = case
    await local.client.create(pod("p", {"containers": [served(**fields)]}))
    waiting = await held_up(local, "p")
    assert waiting["reason"] == "CreateContainerError"
    assert message in waiting["message"]
