"""The server around the verbs: discovery, defaults, faults, the request log, several in one process."""

import asyncio
import gzip
import json

import aiohttp
import httpx
import pytest
import yaml
from plugins.apiserver import in_thread

from reconciler.dev.api.server import ApiServer, Fault

from . import kubernetes_schemas
from .client import APPS, CORE, KAITO, Client, config_map, deployment, pod

MAPS = f"{CORE}/configmaps"


async def test_discovery_names_what_is_served_in_both_forms(kaito):
    _, legacy = await kaito.get("/apis/kaito.sh/v1beta1")
    entry = next(r for r in legacy["resources"] if r["name"] == "workspaces")
    assert (entry["shortNames"], entry["categories"]) == (["wk"], ["ai"])
    assert {"get", "list", "watch", "patch"} <= set(entry["verbs"])
    _, groups = await kaito.get("/apis")
    assert {"apps", "batch", "kaito.sh"} <= {g["name"] for g in groups["groups"]}
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    async with kaito.session.get("/apis", headers={"Accept": accept}) as response:
        aggregated = await response.json(content_type=None)
    group = next(g for g in aggregated["items"] if g["metadata"].get("name") == "kaito.sh")
    assert [v["version"] for v in group["versions"]] == ["v1beta1", "v1alpha1"]


async def test_every_openapi_document_in_the_index_resolves(kaito):
    _, index = await kaito.get("/openapi/v3")
    assert {"api/v1", "apis/apps/v1", "apis/kaito.sh/v1beta1"} <= set(index["paths"])
    for entry in index["paths"].values():
        code, document = await kaito.get(entry["serverRelativeURL"])
        assert code == 200
        schemas = document["components"]["schemas"]
        for link in links(document):
            assert link.removeprefix("#/components/schemas/") in schemas


def links(node):
    if isinstance(node, list):
        return [link for item in node for link in links(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [link for value in node.values() for link in links(value)]


async def test_the_version_and_health_need_no_token(apiserver):
    async with aiohttp.ClientSession(apiserver.url) as session:
        for path in ("/healthz", "/livez", "/readyz", "/version"):
            async with session.get(path) as response:
                assert response.status == 200


async def test_everyone_may_do_everything(api):
    review = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": {}}
    _, answer = await api.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert answer["status"]["allowed"] is True


async def test_a_deployment_meets_the_defaults_of_a_real_server(api):
    _, made = await api.create(f"{APPS}/deployments", deployment(resources={"limits": {"cpu": "1000m"}}))
    spec = made["spec"]
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    (container,) = spec["template"]["spec"]["containers"]
    assert container == {
        "name": "main",
        "image": "nginx:1",
        "imagePullPolicy": "IfNotPresent",
        "resources": {"limits": {"cpu": "1"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


QUANTITIES = {"1000m": "1", "0.5": "500m", "1024Mi": "1Gi", "1.5Gi": "1536Mi", "100M": "100M", "2000k": "2M"}


@pytest.mark.parametrize("written", QUANTITIES)
async def test_quantities_are_stored_in_their_canonical_form(written, api):
    resources = {"requests": {"memory": written}}
    _, made = await api.create(f"{APPS}/deployments", deployment(resources=resources))
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["memory"] == QUANTITIES[written]


async def test_a_job_gets_its_selector_and_keeps_it_when_applied_again(api):
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    body = {"metadata": {"name": "tune"}, "spec": {"template": template}}
    _, made = await api.apply(jobs, body)
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": uid}
    assert made["spec"]["template"]["metadata"]["labels"]["controller-uid"] == uid
    assert (await api.apply(jobs, body)) == (200, made)
    template["spec"]["containers"][0]["image"] = "other"
    code, status = await api.apply(jobs, body)
    assert (code, status["details"]["causes"][0]["field"]) == (422, "spec.template")


async def test_a_service_gets_an_address_and_a_secret_its_encoded_strings(api):
    _, service = await api.create(
        f"{CORE}/services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    )
    assert service["spec"]["clusterIP"].startswith("10.96.")
    assert service["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    _, secret = await api.create(f"{CORE}/secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    assert (secret["type"], secret["data"]) == ("Opaque", {"a": "Yg=="})


async def test_a_pod_starts_pending_on_no_node(api):
    _, made = await api.create(f"{CORE}/pods", pod() | {"status": {"phase": "Running"}})
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    _, placed = await api.patch(f"{CORE}/pods/worker", {"spec": {"nodeName": "n1"}})
    assert placed["spec"]["nodeName"] == "n1"


async def test_requests_are_recorded_with_agent_and_impersonated_user(api, apiserver):
    apiserver.requests.clear()
    async with api.session.get(f"{MAPS}/none", headers={"Impersonate-User": "team-a"}) as response:
        assert response.status == 404
    (seen,) = apiserver.requests
    assert (seen.verb, seen.resource, seen.name, seen.code) == ("get", "configmaps", "none", 404)
    assert (seen.agent, seen.user) == ("tests/1.0", "team-a")


async def test_a_fault_refuses_as_often_as_it_was_told(api, apiserver):
    apiserver.faults.append(Fault("429", verb="create", resource="configmaps", seconds=7))
    code, status = await api.create(MAPS, config_map())
    assert (code, status["reason"], api.headers["Retry-After"]) == (429, "TooManyRequests", "7")
    assert (await api.create(MAPS, config_map()))[0] == 201


async def test_faults_can_be_ordered_over_http(api):
    order = {"faults": [{"action": "500", "name": "settings", "times": 2}]}
    await api.create("/_faults", order)
    assert [(await api.get(f"{MAPS}/settings"))[0] for _ in range(3)] == [500, 500, 404]
    _, left = await api.get("/_faults")
    assert left[0]["times"] == 0


async def test_a_reset_takes_the_write_and_gives_no_answer(api, apiserver):
    apiserver.faults.append(Fault("reset", verb="create"))
    with pytest.raises(aiohttp.ClientError):
        await api.create(MAPS, config_map())
    assert (await api.get(f"{MAPS}/settings"))[0] == 200


async def test_answers_and_watch_events_can_be_slow(api, apiserver):
    clock = asyncio.get_running_loop().time
    apiserver.faults[:] = [Fault("slow", verb="get", seconds=0.2), Fault("slow", verb="watch", seconds=0.3)]
    began = clock()
    await api.get(f"{MAPS}/settings")
    assert clock() - began >= 0.2
    async with api.watch(MAPS) as watch:
        began = clock()
        await api.create(MAPS, config_map())
        assert (await watch.next())[0] == "ADDED"
        assert clock() - began >= 0.3


async def test_what_is_no_fault_is_refused_and_changes_nothing(api, apiserver):
    apiserver.faults[:] = [Fault("500", name="other")]
    code, refused = await api.create("/_faults", {"faults": [{"action": "429", "colour": "red"}]})
    assert (code, "colour" in refused["message"]) == (400, True)
    assert len(apiserver.faults) == 1


async def test_a_body_that_is_too_large_is_refused(api):
    code, refused = await api.create(MAPS, config_map(a="x" * (3 << 20)))
    assert (code, refused["reason"]) == (413, "RequestEntityTooLarge")


async def test_watches_can_be_dropped(api):
    async with api.watch(MAPS) as watch:
        await api.create("/_faults", {"dropWatches": True})
        assert await watch.next() is None


def test_a_blocking_client_is_served_from_a_thread():
    with in_thread(ApiServer()) as server, httpx.Client(base_url=f"{server.url}/{server.token}") as client:
        assert client.post(MAPS, json=config_map()).status_code == 201
        with client.stream("GET", MAPS, params={"watch": "1", "timeoutSeconds": 1}) as watch:
            assert [json.loads(line)["type"] for line in watch.iter_lines()] == ["ADDED"]


async def test_two_servers_share_nothing(api):
    other = ApiServer(token="fixed")
    await other.start()
    try:
        async with Client(other) as theirs:
            await theirs.create(MAPS, config_map())
            assert (await api.get(f"{MAPS}/settings"))[0] == 404
    finally:
        await other.stop()


async def test_the_kubeconfig_alone_lets_a_client_in(kubeconfig):
    server = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    async with aiohttp.ClientSession() as session, session.get(f"{server}/api/v1/nodes") as response:
        assert response.status == 200


async def test_verbs_that_are_not_served_say_so(kaito):
    await kaito.create(f"{CORE}/pods", pod())
    assert (await kaito.create(f"{CORE}/pods/worker/eviction", {}))[0] == 501
    assert (await kaito.get(f"{APPS}/deployments/web/scale"))[0] == 501
    assert (await kaito.get("/openapi/v2"))[0] == 501
    assert (await kaito.get(f"{APPS}/deployments/web/colour"))[0] == 404
    assert (await kaito.put(MAPS, {}))[0] == 405
    assert (await kaito.create("/api/v1/configmaps", config_map()))[0] == 405
    assert (await kaito.delete(f"{KAITO}/workspaces/falcon/status"))[0] == 405


def test_the_built_in_schemas_are_what_the_script_writes():
    packed = gzip.decompress(kubernetes_schemas.TARGET.read_bytes())
    assert json.loads(packed) == kubernetes_schemas.reachable(kubernetes_schemas.source())
