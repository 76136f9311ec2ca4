"""What clients ask before they ask for objects: groups, documents, versions, health, and who they are."""

import re
from urllib.parse import urlsplit

import pytest
from contracts.ages import able
from contracts.widgets import GROUP

BUILT_IN = {
    "/api/v1": "namespaces nodes pods services configmaps secrets serviceaccounts events",
    "/apis/apps/v1": "deployments replicasets statefulsets",
    "/apis/batch/v1": "jobs",
    "/apis/coordination.k8s.io/v1": "leases",
    "/apis/apiextensions.k8s.io/v1": "customresourcedefinitions",
}


@pytest.mark.parametrize("document", BUILT_IN)
async def test_the_legacy_documents_list(document, api):
    found = await api.seen(document)
    assert found["kind"] == "APIResourceList"
    by_name = {each["name"]: each for each in found["resources"]}
    assert set(BUILT_IN[document].split()) <= set(by_name)
    verbs = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    plain = [each for name, each in by_name.items() if name in BUILT_IN[document].split()]
    assert all(verbs - {"deletecollection"} <= set(each["verbs"]) for each in plain)
    assert f"/{found['groupVersion']}" == document.removeprefix("/api").removeprefix("s")


async def test_short_names_scopes_and_subresources_are_told(api):
    core = {each["name"]: each for each in (await api.seen("/api/v1"))["resources"]}
    assert core["configmaps"]["shortNames"] == ["cm"]
    assert (core["pods"]["namespaced"], core["nodes"]["namespaced"]) == (True, False)
    assert {"pods/status", "pods/log"} <= set(core)
    apps = {each["name"]: each for each in (await api.seen("/apis/apps/v1"))["resources"]}
    assert "all" in apps["deployments"]["categories"]
    assert apps["deployments/status"]["kind"] == "Deployment"


async def test_groups_are_listed_with_their_preferred_version(api, widgets_at):
    assert (await api.seen("/api"))["versions"] == ["v1"]
    groups = {each["name"]: each for each in (await api.seen("/apis"))["groups"]}
    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    ours = await api.until(f"/apis/{GROUP}", lambda code, _: code == 200)
    assert [each["version"] for each in ours["versions"]] == ["v1", "v1beta1"]
    resources = await api.until(f"/apis/{GROUP}/v1", lambda code, found: code == 200 and found["resources"])
    (widgets, status) = resources["resources"]
    assert (widgets["kind"], widgets["shortNames"], widgets["categories"]) == ("Widget", ["wd"], ["toys"])
    assert (status["name"], set(status["verbs"])) == ("widgets/status", {"get", "patch", "update"})


async def test_aggregated_discovery_says_the_same_in_one_document(api, server, widgets_at):
    media = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    found = await api.seen("/apis", headers={"Accept": f"{media},application/json"})
    if not able(server.version, "aggregated discovery"):
        assert found["kind"] == "APIGroupList"
        return
    assert (found["kind"], found["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    assert media in api.headers["Content-Type"]
    groups = {each["metadata"]["name"]: each for each in found["items"]}
    apps = {each["resource"]: each for each in groups["apps"]["versions"][0]["resources"]}
    deployments = apps["deployments"]
    assert (deployments["scope"], deployments["responseKind"]["kind"]) == ("Namespaced", "Deployment")
    assert "status" in {each["subresource"] for each in deployments["subresources"]}
    core = await api.seen("/api", headers={"Accept": f"{media},application/json"})
    assert "pods" in {each["resource"] for each in core["items"][0]["versions"][0]["resources"]}


async def test_openapi_v3_describes_kinds_well_enough_for_clients(api, server, widgets_at):
    code, index = await api.get("/openapi/v3")
    if not able(server.version, "openapi v3"):
        assert code == 404
        return
    assert {"api/v1", "apis/apps/v1"} <= set(index["paths"])
    apps = await api.seen(index["paths"]["apis/apps/v1"]["serverRelativeURL"].partition("?")[0])
    schemas = apps["components"]["schemas"]
    deployment = schemas["io.k8s.api.apps.v1.Deployment"]
    kinds = deployment["x-kubernetes-group-version-kind"]
    assert {"group": "apps", "version": "v1", "kind": "Deployment"} in kinds
    patch = apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert "fieldValidation" in {each.get("name") for each in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "Deployment"
    path = f"apis/{GROUP}/v1"
    index = await api.until("/openapi/v3", lambda _, found: path in found["paths"])
    ours = await api.seen(index["paths"][path]["serverRelativeURL"].partition("?")[0])
    described = [s for s in ours["components"]["schemas"].values() if s.get("description") == "A widget."]
    assert described[0]["properties"]["spec"]["properties"]["size"]["description"] == "How big it is."


async def test_the_version_can_be_read_by_programs(api, server):
    found = await api.seen("/version")
    assert re.fullmatch(r"v\d+\.\d+\.\d+.*", found["gitVersion"])
    assert (int(found["major"]), int(found["minor"].rstrip("+"))) == server.version


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_health_is_told_in_a_word(path, api):
    assert await api.get(path) == (200, "ok")


async def test_nobody_comes_in_without_the_right_token(api):
    """A server that knows anonymous users refuses them with 403."""
    root = urlsplit(api.url)
    for token, codes in (("Bearer guess", {401}), ("", {401, 403})):
        async with api.session.get(
            f"{root.scheme}://{root.netloc}/api/v1/nodes", headers={"Authorization": token}
        ) as response:
            status = await response.json()
        assert (response.status in codes, status["kind"]) == (True, "Status"), status


async def test_one_can_ask_what_one_may(api):
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}},
    }
    code, review = await api.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    assert (code, review["kind"], review["status"]["allowed"]) == (201, "SelfSubjectAccessReview", True)


async def test_one_can_ask_who_one_is(api, server):
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    code, review = await api.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    if not able(server.version, "self-subject reviews"):
        assert code == 404
        return
    assert code == 201
    assert "system:masters" in review["status"]["userInfo"]["groups"]
