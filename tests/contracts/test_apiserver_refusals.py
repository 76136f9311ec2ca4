"""What each server refuses, with the code and the reason it gives. Nothing is refused in silence."""

import copy

import pytest
from contracts.api import CRDS, config_map, deployment, pod
from contracts.widgets import definition
from plugins.realcluster import SERVERS

PROTOBUF = "application/vnd.kubernetes.protobuf"

BOTH = {
    "an unknown kind": ("GET", "/apis/apps/v1/things", {}, 404, "could not find the requested"),
    "a created collection": ("PUT", "{home}/configmaps", {}, 405, "does not allow this method"),
    "a deleted status": ("DELETE", "{home}/pods/worker/status", {}, 405, "does not allow this method"),
    "an object without its namespace": ("POST", "/api/v1/configmaps", {}, 405, "does not allow this method"),
    "a body of another type": ("POST", "{home}/configmaps", {"media": "text/plain"}, 415, "application/json"),
    "a patch of another type": ("PATCH", "{home}/pods/worker", {"media": "application/json"}, 415, ""),
}
NOT_HERE = "not served by this development server"
DEV = {
    "protobuf": ("POST", "{home}/configmaps", {"media": PROTOBUF}, 415, "send JSON or YAML"),
    "the second OpenAPI": ("GET", "/openapi/v2", {}, 501, "read /openapi/v3"),
    "scale": ("GET", "{apps}/deployments/web/scale", {}, 501, NOT_HERE),
    "exec": ("POST", "{home}/pods/worker/exec", {}, 501, NOT_HERE),
    "attach": ("POST", "{home}/pods/worker/attach", {}, 501, NOT_HERE),
    "portforward": ("POST", "{home}/pods/worker/portforward", {}, 501, NOT_HERE),
    "eviction": ("POST", "{home}/pods/worker/eviction", {}, 501, NOT_HERE),
    "binding": ("POST", "{home}/pods/worker/binding", {}, 501, NOT_HERE),
    "logs without a node agent": ("GET", "{home}/pods/worker/log", {}, 501, "no node agent"),
    "the deprecated watch paths": ("GET", "/api/v1/watch/namespaces", {}, 404, "use ?watch=true"),
    "ingresses": ("GET", "/apis/networking.k8s.io/v1/ingresses", {}, 404, "could not find the requested"),
    "daemon sets": ("GET", "/apis/apps/v1/daemonsets", {}, 404, "could not find the requested"),
    "horizontal autoscalers": (
        "GET", "/apis/autoscaling/v2/horizontalpodautoscalers", {}, 404, "could not find the requested",
    ),
}  # fmt: skip
REAL = {
    "exec in a pod on no node": ("POST", "{home}/pods/worker/exec", {}, 400, "host"),
    "protobuf that is none": ("POST", "{home}/configmaps", {"media": PROTOBUF}, 400, "ConfigMap"),
}


async def refused(api, case):
    method, path, more, code, text = case
    await api.made(api.path("pods"), pod())
    await api.made(api.path("apps/deployments"), deployment(replicas=0))
    homes = {
        "home": f"/api/v1/namespaces/{api.namespace}",
        "apps": f"/apis/apps/v1/namespaces/{api.namespace}",
    }
    path = path.format(**homes)
    binary = more.get("media") in (PROTOBUF, "text/plain")
    body = b"k8s\0" if binary else None if method in ("GET", "DELETE") else config_map("a")
    found, status = await api.ask(method, path, body, **more)
    assert found == code, status
    assert (status["kind"], status["status"]) == ("Status", "Failure")
    assert text in status["message"]


@pytest.mark.parametrize("what", BOTH)
async def test_every_server_refuses(what, api):
    await refused(api, BOTH[what])


LACKING = [
    (name, what) for name, table in (("dev", DEV), ("real", REAL)) if name in SERVERS for what in table
]


@pytest.mark.parametrize(("server", "what"), LACKING, indirect=["server"])
async def test_one_server_refuses(server, what, api):
    await refused(api, (DEV if server.is_dev else REAL)[what])


async def test_a_conversion_webhook_is_called_by_a_real_server_alone(api, server):
    group = f"{api.namespace}.example.com"
    crd = copy.deepcopy(definition(group))
    client = {"url": "https://webhook.example.com/convert"}
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": client}
    crd["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    code, answer = await api.create(CRDS, crd)
    if not server.is_dev:
        assert code == 201, answer
        return
    assert (code, answer["reason"]) == (501, "NotImplemented")
    assert "use strategy None" in answer["message"]
