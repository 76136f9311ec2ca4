"""Definitions of custom resources, and what they define."""

import copy

import pytest
from contracts import widgets
from contracts.api import CRDS, names
from contracts.widgets import GROUP, definition, widget


@pytest.fixture
def own_group(api):
    """A group that no other test uses."""
    return f"{api.namespace}.example.com"


async def test_a_definition_is_established_and_says_so(api, own_group):
    await widgets.served(api, own_group)
    crd = await api.seen(f"{CRDS}/widgets.{own_group}")
    held = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
    assert {"NamesAccepted": "True", "Established": "True"}.items() <= held.items()
    assert crd["status"]["storedVersions"] == ["v1"]
    assert crd["status"]["acceptedNames"]["kind"] == "Widget"
    assert (crd["spec"]["names"]["singular"], crd["spec"]["names"]["listKind"]) == ("widget", "WidgetList")
    assert crd["spec"]["conversion"] == {"strategy": "None"}


async def test_defaults_are_filled_in_and_unknown_fields_dropped(api, widgets_at):
    made = await api.made(widgets_at, widget(weight=3, free={"any": {"thing": [1, None]}}))
    assert made["spec"] == {"size": 1, "colour": "grey", "free": {"any": {"thing": [1, None]}}}


INVALID = {
    "a wrong type": ({"size": "many"}, "spec.size"),
    "a value under its minimum": ({"size": 0}, "spec.size"),
    "a value over its maximum": ({"size": 10}, "spec.size"),
    "a pattern that does not match": ({"colour": "RED"}, "spec.colour"),
    "a duplicate in a set": ({"tags": ["a", "a"]}, "spec.tags[1]"),
    "a duplicate key in a map list": ({"parts": [{"name": "a"}, {"name": "a"}]}, "spec.parts[1]"),
    "too many items": ({"order": ["a", "b", "c", "d"]}, "spec.order"),
    "a wrong type in a map": ({"limits": {"a": "x"}}, "spec.limits.a"),
}


@pytest.mark.parametrize("case", INVALID.values(), ids=INVALID.keys())
async def test_a_resource_is_invalid_for(case, api, widgets_at):
    fields, where = case
    code, status = await api.create(widgets_at, widget(**fields))
    assert (code, status["reason"]) == (422, "Invalid")
    assert status["details"]["kind"] == "Widget"
    assert where in {each["field"] for each in status["details"]["causes"]}, status["message"]


async def test_a_required_field_must_be_there(api, widgets_at):
    body = widget()
    del body["spec"]
    code, status = await api.create(widgets_at, body)
    assert (code, status["details"]["causes"][0]["reason"]) == (422, "FieldValueRequired")
    assert "spec: Required value" in status["message"]


async def test_int_or_string_takes_both_and_nothing_else(api, own_group):
    crd = copy.deepcopy(definition(own_group))
    for version in crd["spec"]["versions"]:
        properties = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        properties["port"] = {"x-kubernetes-int-or-string": True}
    await api.made(CRDS, crd)
    path = await widgets.served(api, own_group)
    for name, port in (("a", 80), ("b", "http")):
        body = {**widget(name, port=port), "apiVersion": f"{own_group}/v1"}
        assert (await api.made(path, body))["spec"]["port"] == port
    wrong = {**widget("c", port=True), "apiVersion": f"{own_group}/v1"}
    assert (await api.create(path, wrong))[0] == 422


async def test_status_is_validated_too(api, widgets_at):
    await api.made(widgets_at, widget())
    bad = {"status": {"conditions": [{"type": "Ready", "status": "Maybe"}]}}
    code, status = await api.patch(f"{widgets_at}/cog/status", bad)
    assert code == 422
    assert 'supported values: "True", "False", "Unknown"' in status["message"]


async def test_an_empty_string_stays_and_null_goes(api, widgets_at):
    await api.made(widgets_at, widget())
    empty = {"type": "Ready", "status": "True", "reason": ""}
    code, told = await api.patch(f"{widgets_at}/cog/status", {"status": {"conditions": [empty]}})
    assert (code, told["status"]["conditions"]) == (200, [empty])
    none = {"status": {"conditions": [empty | {"reason": None}]}}
    code, told = await api.patch(f"{widgets_at}/cog/status", none)
    assert (code, told["status"]["conditions"]) == (200, [{"type": "Ready", "status": "True"}])


async def test_all_versions_are_one_object(api, widgets_at):
    older = widgets_at.replace("/v1/", "/v1beta1/")
    await api.made(older, widget() | {"apiVersion": f"{GROUP}/v1beta1"})
    assert (await api.seen(f"{widgets_at}/cog"))["apiVersion"] == f"{GROUP}/v1"
    _, patched = await api.patch(f"{older}/cog", {"spec": {"size": 2}})
    assert (patched["apiVersion"], patched["spec"]["size"]) == (f"{GROUP}/v1beta1", 2)
    assert (await api.seen(older))["items"][0]["apiVersion"] == f"{GROUP}/v1beta1"


async def test_a_changed_definition_is_served_from_then_on(api, own_group):
    path = await widgets.served(api, own_group)
    body = {**widget(shape="round"), "apiVersion": f"{own_group}/v1"}
    assert "shape" not in (await api.made(path, body))["spec"]
    changed = copy.deepcopy(definition(own_group))
    for version in changed["spec"]["versions"]:
        properties = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        properties["shape"] = {"type": "string"}
    assert (await api.apply(CRDS, changed, force="true"))[0] == 200
    body["metadata"] = {"name": "later"}
    await api.until(path, lambda code, _: code == 200)
    await _until_kept(api, path, body)


async def _until_kept(api, path, body):
    """A server takes up to seconds until it uses a changed schema."""
    tries = 0
    while (await api.create(path, body, dryRun="All"))[1].get("spec", {}).get("shape") != "round":
        tries += 1
        assert tries < 500


async def test_deleting_a_definition_deletes_its_resources_and_ends_watches(api, own_group):
    path = await widgets.served(api, own_group)
    await api.made(path, {**widget(), "apiVersion": f"{own_group}/v1"})
    async with api.watch(path) as watch:
        assert (await watch.next())[0] == "ADDED"
        code, _ = await api.delete(f"{CRDS}/widgets.{own_group}")
        assert code == 200
        assert (await watch.next())[0] == "DELETED"
    await api.gone(f"{CRDS}/widgets.{own_group}")
    await api.gone(path)
    assert names(await api.seen(await widgets.served(api, own_group))) == []


REFUSED = {
    "a name other than plural.group": (lambda crd: crd["metadata"].update(name="other.example.com"), "name"),
    "two storage versions": (lambda crd: crd["spec"]["versions"][1].update(storage=True), "storage"),
    "no schema": (lambda crd: crd["spec"]["versions"][0].pop("schema"), "schema"),
    "an unknown scope": (lambda crd: crd["spec"].update(scope="World"), "scope"),
    "a root that is no object": (
        lambda crd: crd["spec"]["versions"][0]["schema"].update(openAPIV3Schema={"type": "string"}),
        "type",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
async def test_a_definition_is_refused_for(case, api, own_group):
    spoil, word = case
    crd = copy.deepcopy(definition(own_group))
    spoil(crd)
    code, status = await api.create(CRDS, crd)
    assert (code, status["reason"]) == (422, "Invalid")
    assert word in status["message"]


async def test_a_definition_of_whole_clusters_has_no_namespaces(api, own_group):
    crd = definition(own_group)
    crd["spec"]["scope"] = "Cluster"
    await api.made(CRDS, crd)
    path = f"/apis/{own_group}/v1/widgets"
    await api.until(path, lambda code, _: code == 200)
    made = await api.made(path, {**widget(), "apiVersion": f"{own_group}/v1"})
    assert "namespace" not in made["metadata"]
    assert (await api.get(f"/apis/{own_group}/v1/namespaces/{api.namespace}/widgets"))[0] == 404
    await api.delete(f"{CRDS}/widgets.{own_group}")


async def test_a_version_that_is_not_served_is_not_found(api, own_group):
    crd = definition(own_group)
    crd["spec"]["versions"][1]["served"] = False
    await api.made(CRDS, crd)
    await api.until(f"/apis/{own_group}/v1/namespaces/{api.namespace}/widgets", lambda code, _: code == 200)
    assert (await api.get(f"/apis/{own_group}/v1beta1/namespaces/{api.namespace}/widgets"))[0] == 404
    await api.delete(f"{CRDS}/widgets.{own_group}")
