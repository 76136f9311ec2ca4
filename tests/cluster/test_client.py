import asyncio
import socket
import time

import orjson
import pytest
from aiohttp import web

from cluster.conftest import QUICK, Script, status, write_kubeconfig
from reconciler.cluster.apply import install_crd
from reconciler.cluster.client import Client
from reconciler.cluster.failures import Gone
from reconciler.errors import Conflict, InvalidSpec, NotFound, NotPermitted, Unavailable
from reconciler.model.names import ObjectKey
from reconciler.model.settings import ClusterSettings

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ai"}, "data": {}}
KEY = ObjectKey("ConfigMap", "ai", "a")

RBAC = (
    'configmaps "a" is forbidden: User "u" cannot patch resource "configmaps" '
    'in API group "" in the namespace "ai"'
)
TERMINATING = {"details": {"causes": [{"reason": "NamespaceTerminating"}]}, "reason": "Forbidden"}

REFUSALS = {
    "a bad request is the user's to mend": (status(400, "bad"), InvalidSpec, "bad (400)"),
    "an invalid object is the user's to mend": (status(422, "spec.x: Invalid value"), InvalidSpec, "spec.x"),
    "a missing right names the remedy": (status(403, RBAC), NotPermitted, "Role"),
    "an admission rule is told apart from a missing right": (
        status(403, "denied by policy"),
        NotPermitted,
        "admission",
    ),
    "an expired credential says so": (status(401, "Unauthorized"), NotPermitted, "renew"),
    "a conflict is a conflict": (status(409, "the object has been modified"), Conflict, "modified"),
    "a namespace being deleted is not a missing right": (
        status(403, "terminating", **TERMINATING),
        Unavailable,
        "term",
    ),
    "a kind that is not served": (
        web.Response(text="404 page not found\n", status=404),
        NotFound,
        "page not found",
    ),
    "an unknown field in an apply comes as a 500": (
        status(500, "failed to create typed patch object (ai/a): .spec.foo: field not declared in schema"),
        InvalidSpec,
        ".spec.foo",
    ),
    "a value of the wrong type in an apply does too": (
        status(500, "failed to create typed patch object (ai/a): .spec.x: expected string, got &{7}"),
        InvalidSpec,
        "expected string",
    ),
    "a redirect is not followed": (web.Response(status=307, headers={"Location": "/x"}), Unavailable, "307"),
    "an answer that is no JSON": (
        web.Response(text="<html>"),
        Unavailable,
        "is this a Kubernetes API server",
    ),
}


@pytest.mark.parametrize(("reply", "error", "words"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_an_answer_becomes_one_error_with_one_sentence(
    script: Script, scripted: Client, reply, error, words
):
    script.reply(reply)
    with pytest.raises(error) as caught:
        await scripted.apply(CONFIG)
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert str(caught.value).startswith("patch ConfigMap ai/a: ")
    assert len(script.requests) == 1


async def test_an_apply_is_forced_and_ours(script: Script, scripted: Client):
    script.reply(web.json_response(CONFIG))
    assert await scripted.apply(CONFIG) == CONFIG
    (request,) = script.requests
    assert request.method == "PATCH"
    assert request.path_qs == "/api/v1/namespaces/ai/configmaps/a?fieldManager=reconciler&force=true"
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert request.headers["Authorization"] == "Bearer secret"
    assert "Impersonate-User" not in request.headers
    assert orjson.loads(script.bodies[0]) == CONFIG


async def test_a_service_account_is_impersonated(script: Script, scripted: Client):
    script.reply(web.json_response(CONFIG))
    await scripted.apply(CONFIG, impersonate="ai:deployer")
    assert script.requests[0].headers["Impersonate-User"] == "system:serviceaccount:ai:deployer"


@pytest.mark.parametrize("account", ["ai", ":deployer", "ai:", "ai:x\r\nA: b", "a:b:c"])
async def test_half_an_account_is_refused_and_never_dropped(script: Script, scripted: Client, account: str):
    script.reply(web.json_response(CONFIG))
    with pytest.raises(InvalidSpec):
        await scripted.apply(CONFIG, impersonate=account)
    assert script.requests == []


@pytest.mark.parametrize("name", ["..", "a/b", "%2e%2e"])
async def test_a_name_cannot_leave_its_path(script: Script, scripted: Client, name: str):
    with pytest.raises(InvalidSpec):
        await scripted.get(ObjectKey("ConfigMap", "ai", name))
    assert script.requests == []


async def test_overload_is_waited_out_as_the_server_asks(script: Script, patient: Client):
    busy = web.Response(status=429, headers={"Retry-After": "1"})
    script.reply(busy, web.json_response(CONFIG))
    began = time.monotonic()
    assert await patient.apply(CONFIG) == CONFIG
    assert time.monotonic() - began >= 1
    assert len(script.requests) == 2


async def test_a_server_that_asks_for_too_much_patience_is_unavailable(script: Script, scripted: Client):
    script.reply(web.Response(status=429, text="slow down", headers={"Retry-After": "60"}))
    began = time.monotonic()
    with pytest.raises(Unavailable, match="slow down") as caught:
        await scripted.get(KEY)
    assert caught.value.retry_after == 60
    assert time.monotonic() - began < 5


async def test_a_connection_reset_after_a_write_is_tried_again(script: Script, scripted: Client):
    async def reset(request: web.Request) -> web.StreamResponse:
        request.transport.abort()
        return web.Response()

    script.reply(reset, web.json_response(CONFIG))
    assert await scripted.apply(CONFIG) == CONFIG


async def test_a_silent_server_is_unavailable(script: Script, scripted: Client):
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    script.reply(hang)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="no answer from http:"):
        await scripted.get(KEY)
    assert time.monotonic() - began < 5


async def test_no_server_is_one_sentence(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{unused.getsockname()[1]}"
        settings = ClusterSettings(kubeconfig=write_kubeconfig(tmp_path / "config", server))
        client = await Client.connect(settings, patience=QUICK)
        with pytest.raises(Unavailable, match=f"no answer from {server}"):
            await client.get_raw("/version")
        await client.close()


async def test_absent_is_none_and_gone_is_false(script: Script, scripted: Client):
    script.reply(status(404, 'configmaps "a" not found'))
    assert await scripted.get(KEY) is None
    assert await scripted.delete(KEY) is False


async def test_a_deletion_names_the_object_it_means(script: Script, scripted: Client):
    script.reply(web.json_response({"kind": "Status", "status": "Success"}))
    assert await scripted.delete(KEY, uid="u1", grace_seconds=0) is True
    sent = orjson.loads(script.bodies[0])
    assert sent["preconditions"] == {"uid": "u1"}
    assert (sent["propagationPolicy"], sent["gracePeriodSeconds"]) == ("Background", 0)


async def test_a_list_is_all_pages_with_kind_and_version(script: Script, scripted: Client):
    first = {"metadata": {"resourceVersion": "7", "continue": "c"}, "items": [{"metadata": {"name": "a"}}]}
    last = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "b"}}]}
    script.reply(web.json_response(first), web.json_response(last))
    items, version = await scripted.list("Workspace", "ai", labels="x=y")
    assert version == "7"
    assert [(i["apiVersion"], i["kind"], i["metadata"]["name"]) for i in items] == [
        ("kaito.sh/v1alpha1", "Workspace", "a"),
        ("kaito.sh/v1alpha1", "Workspace", "b"),
    ]
    assert [r.query.get("continue") for r in script.requests] == [None, "c"]
    assert {r.query["labelSelector"] for r in script.requests} == {"x=y"}


async def test_a_list_whose_snapshot_expired_begins_again(script: Script, scripted: Client):
    first = {"metadata": {"resourceVersion": "7", "continue": "c"}, "items": [{"metadata": {"name": "old"}}]}
    whole = {"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "new"}}]}
    script.reply(web.json_response(first), status(410, "too old"), web.json_response(whole))
    items, version = await scripted.list("ConfigMap")
    assert ([item["metadata"]["name"] for item in items], version) == (["new"], "9")


async def test_an_endless_answer_is_refused(script: Script, scripted: Client):
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * (4 << 20))

    script.reply(endless)
    with pytest.raises(Unavailable, match="larger than 64 MiB"):
        await scripted.get(KEY)


async def test_requests_under_way_are_bounded(script: Script, scripted: Client):
    under_way, most, full = 0, 0, asyncio.Event()

    async def count(_: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 4:
            full.set()
        await full.wait()
        under_way -= 1
        return web.json_response(CONFIG)

    script.reply(count)
    await asyncio.gather(*(scripted.get(KEY) for _ in range(20)))
    assert most == 4


async def test_every_answer_is_counted(script: Script, tmp_path):
    seen = []
    settings = ClusterSettings(kubeconfig=write_kubeconfig(tmp_path / "config", script.url))
    client = await Client.connect(settings, patience=QUICK, on_request=lambda *call: seen.append(call))
    script.reply(status(503), web.json_response(CONFIG))
    await client.get(KEY)
    await client.close()
    assert [call[:3] for call in seen] == [("get", "ConfigMap", 503), ("get", "ConfigMap", 200)]
    assert all(call[3] >= 0 for call in seen)


async def test_a_watch_gives_events_until_the_server_ends_it(script: Script, scripted: Client):
    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        whole = orjson.dumps({"type": "ADDED", "object": CONFIG}) + b"\n"
        for at in range(0, len(whole), 7):  # lines do not come in whole packets
            await response.write(whole[at : at + 7])
        await response.write(whole + orjson.dumps({"type": "BOOKMARK", "object": {}}) + b"\n")
        return response

    script.reply(events)
    seen = [event async for event in scripted.watch("ConfigMap", "ai", resource_version="5")]
    assert seen == [("ADDED", CONFIG), ("ADDED", CONFIG), ("BOOKMARK", {})]
    assert script.requests[0].query["resourceVersion"] == "5"
    assert script.requests[0].query["allowWatchBookmarks"] == "true"


EXPIRED = web.Response(
    body=orjson.dumps({"type": "ERROR", "object": {"code": 410, "message": "too old"}}) + b"\n"
)
WATCH_ENDS = {
    "an expired version inside the stream": (EXPIRED, Gone),
    "an expired version as a status": (status(410, "too old"), Gone),
    "a version of the future": (status(504, "Too large resource version"), Unavailable),
    "a kind that is not served": (status(404), NotFound),
    "a missing right": (status(403, RBAC), NotPermitted),
}


@pytest.mark.parametrize(("reply", "error"), WATCH_ENDS.values(), ids=WATCH_ENDS.keys())
async def test_a_watch_ends_with_the_reason(script: Script, scripted: Client, reply, error):
    script.reply(reply)
    with pytest.raises(error):
        async for _ in scripted.watch("ConfigMap", resource_version="5"):
            pass
    assert len(script.requests) == 1


async def test_a_watch_that_fell_silent_is_dropped(script: Script, scripted: Client):
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    script.reply(silent)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        async for _ in scripted.watch("ConfigMap", resource_version="5"):
            pass
    assert QUICK.watch < time.monotonic() - began < QUICK.watch + 3


DEFINITION = {"kind": "CustomResourceDefinition", "metadata": {"name": "workspaces.kaito.sh"}}


def listed(*conditions: dict) -> web.Response:
    item = {**DEFINITION, "status": {"conditions": list(conditions)}}
    return web.json_response({"metadata": {"resourceVersion": "3"}, "items": [item]})


async def test_a_definition_that_is_not_established_in_time_is_unavailable(script: Script, scripted: Client):
    script.reply(web.json_response(DEFINITION), listed(), web.Response(body=b""), listed())
    with pytest.raises(Unavailable, match=r"workspaces\.kaito\.sh was not established within 0\.3 s"):
        await install_crd(scripted, DEFINITION, seconds=0.3)


async def test_a_definition_is_waited_for_by_watch(script: Script, scripted: Client):
    established = {"type": "Established", "status": "True"}
    event = {"type": "MODIFIED", "object": {**DEFINITION, "status": {"conditions": [established]}}}
    script.reply(status(409, "exists"), listed(), web.Response(body=orjson.dumps(event) + b"\n"))
    await install_crd(scripted, DEFINITION)
    assert script.requests[-1].query["resourceVersion"] == "3"
