"""Whether each server behaves its age: see `ages.py`."""

import copy

import pytest
from contracts import widgets
from contracts.ages import AGES, able
from contracts.api import APPLY, CRDS, config_map, pod
from contracts.widgets import definition, widget

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


async def openapi_v3(api):
    return (await api.get("/openapi/v3"))[0] == 200


async def aggregated_discovery(api):
    groups = await api.seen("/apis", headers={"Accept": AGGREGATED})
    return groups["kind"] == "APIGroupDiscoveryList"


async def policy_v1(api):
    return (await api.get("/apis/policy/v1"))[0] == 200


async def self_subject_reviews(api):
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return (await api.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", body))[0] == 201


async def field_validation(api):
    body = config_map() | {"colour": "red"}
    code, answer = await api.create(api.path("configmaps"), body, fieldValidation="Strict")
    assert (code, "colour" in answer) in ((400, False), (201, False))
    return code == 400


async def newer_fields(api):
    made = await api.made(api.path("pods"), pod(os={"name": "linux"}))
    return "os" in made["spec"]


async def subresource_in_managed_fields(api):
    path = await widgets.served(api)
    await api.made(path, widget())
    _, told = await api.patch(f"{path}/cog/status", {"status": {"phase": "Up"}}, fieldManager="reporter")
    (entry,) = (e for e in told["metadata"]["managedFields"] if e["manager"] == "reporter")
    return entry.get("subresource") == "status"


async def spec_apart_from_status(api):
    path = await widgets.served(api)
    await api.apply(path, widget())
    body = widget(size=9) | {"status": {"phase": "Up"}}
    code, _ = await api.patch(f"{path}/cog/status", body, APPLY, fieldManager="reporter")
    assert (await api.seen(f"{path}/cog"))["spec"]["size"] == 1
    assert code in (200, 409)
    return code == 200


async def initial_events(api):
    await api.made(api.path("configmaps"), config_map())
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "timeoutSeconds": "4"}
    found = []
    watching = api.watch(api.path("configmaps"), allowWatchBookmarks="true", labelSelector="suite", **query)
    async with watching as watch:
        if watch.response.status != 200:
            return False
        while (event := await watch.next()) is not None:
            found.append(event)
    (first, added), *rest = found
    if first == "ERROR" and "RequestWatchProgress" in added["message"]:
        return True  # served, but not over an etcd older than 3.4.25
    assert (first, added["metadata"]["name"]) == ("ADDED", "settings")
    marks = [mark["metadata"].get("annotations") for kind, mark in rest if kind == "BOOKMARK"]
    return {"k8s.io/initial-events-end": "true"} in marks


async def name_label_of_namespaces(api):
    home = await api.seen(f"/api/v1/namespaces/{api.namespace}")
    return home["metadata"].get("labels") == {"kubernetes.io/metadata.name": api.namespace}


async def paths_through_lists(api):
    path = await widgets.served(api)
    code, status = await api.create(path, widget(parts=[{"weight": 1}]))
    (cause,) = status["details"]["causes"]
    assert (code, cause["reason"]) == (422, "FieldValueRequired")
    assert cause["field"] in ("spec.parts.name", "spec.parts[0].name")
    return cause["field"] == "spec.parts[0].name"


async def list_types_beside_int_or_string(api):
    group = f"{api.namespace}.example.com"
    crd = copy.deepcopy(definition(group))
    for version in crd["spec"]["versions"]:
        properties = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        properties["port"] = {"x-kubernetes-int-or-string": True}
    await api.made(CRDS, crd)
    path = await widgets.served(api, group)
    for manager, tag in (("first", "a"), ("second", "b")):
        body = {**widget(tags=[tag]), "apiVersion": f"{group}/v1"}
        code, _ = await api.apply(path, body, manager)
    assert code in (200, 409)
    return code == 200


PROBES = {
    "openapi v3": openapi_v3,
    "aggregated discovery": aggregated_discovery,
    "policy/v1": policy_v1,
    "self-subject reviews": self_subject_reviews,
    "field validation": field_validation,
    "newer fields": newer_fields,
    "subresource in managedFields": subresource_in_managed_fields,
    "spec apart from status": spec_apart_from_status,
    "initial events": initial_events,
    "name label of namespaces": name_label_of_namespaces,
    "paths through lists": paths_through_lists,
    "list types beside int-or-string": list_types_beside_int_or_string,
}


@pytest.mark.parametrize("feature", AGES)
async def test_a_server_behaves_its_age_in(feature, server, api):
    assert await PROBES[feature](api) == able(server.version, feature), AGES[feature].why
