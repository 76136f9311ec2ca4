"""Custom resource definitions and what they define."""

import copy

import pytest

from .client import CRDS, KAITO, definition, workspace

SPACES = f"{KAITO}/workspaces"


async def test_a_definition_is_served_at_once_and_says_so(kaito):
    _, crd = await kaito.get(f"{CRDS}/workspaces.kaito.sh")
    held = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
    assert held == {"NamesAccepted": "True", "Established": "True"}
    assert crd["status"]["storedVersions"] == ["v1beta1"]
    assert (await kaito.get(SPACES))[1]["kind"] == "WorkspaceList"


async def test_defaults_are_filled_in_and_unknown_fields_dropped(kaito):
    body = workspace(resource={"colour": "red"}, inference={"preset": {"name": "x", "any": [1]}})
    code, made = await kaito.create(SPACES, body)
    assert code == 201
    assert made["resource"] == {"instanceType": "Standard_NC24ads_A100_v4", "count": 1}
    assert made["inference"] == {"preset": {"name": "x", "any": [1]}}
    assert 'unknown field \\"resource.colour\\"' in kaito.headers["Warning"]


INVALID = {
    "a wrong type": (
        {"resource": {"count": "many"}},
        'resource.count in body must be of type integer: "string"',
    ),
    "a value under its minimum": (
        {"resource": {"count": 0}},
        "resource.count in body should be greater than or equal to 1",
    ),
    "a duplicate in a set": ({"resource": {"nodes": ["a", "a"]}}, 'resource.nodes[1]: Duplicate value: "a"'),
    "a missing field": ({"resource": None}, "resource: Required value"),
}


@pytest.mark.parametrize("case", INVALID.values(), ids=INVALID.keys())
async def test_a_resource_is_invalid_for(case, kaito):
    fields, message = case
    code, status = await kaito.create(SPACES, workspace(**fields))
    assert (code, status["reason"]) == (422, "Invalid")
    assert message in status["message"]


async def test_status_is_validated_too(kaito):
    await kaito.create(SPACES, workspace())
    bad = {"status": {"conditions": [{"type": "Ready", "status": "Maybe"}]}}
    code, status = await kaito.patch(f"{SPACES}/falcon/status", bad)
    assert code == 422
    assert 'supported values: "True", "False", "Unknown"' in status["message"]


async def test_a_kind_without_a_spec_gets_a_generation_for_any_other_field(kaito):
    await kaito.create(SPACES, workspace())
    _, labelled = await kaito.patch(f"{SPACES}/falcon", {"metadata": {"labels": {"a": "b"}}})
    _, scaled = await kaito.patch(f"{SPACES}/falcon", {"resource": {"count": 2}})
    assert [o["metadata"]["generation"] for o in (labelled, scaled)] == [1, 2]


async def test_all_versions_are_one_object(kaito):
    older = SPACES.replace("v1beta1", "v1alpha1")
    await kaito.create(older, workspace() | {"apiVersion": "kaito.sh/v1alpha1"})
    _, seen = await kaito.get(f"{SPACES}/falcon")
    _, patched = await kaito.patch(f"{older}/falcon", {"resource": {"count": 2}})
    assert (seen["apiVersion"], patched["apiVersion"]) == ("kaito.sh/v1beta1", "kaito.sh/v1alpha1")
    assert (await kaito.get(f"{SPACES}/falcon"))[1]["resource"]["count"] == 2
    assert (await kaito.get(older))[1]["items"][0]["apiVersion"] == "kaito.sh/v1alpha1"


async def test_a_changed_definition_is_served_from_then_on(kaito):
    changed = copy.deepcopy(definition())
    for version in changed["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"]["properties"]["resource"]["properties"]["zone"] = {
            "type": "string"
        }
    assert (await kaito.apply(CRDS, changed, force="true"))[0] == 200
    _, made = await kaito.create(SPACES, workspace(resource={"zone": "1"}))
    assert made["resource"]["zone"] == "1"


async def test_deleting_a_definition_deletes_its_resources_and_ends_watches(kaito):
    await kaito.create(SPACES, workspace())
    async with kaito.watch(SPACES) as watch:
        assert (await watch.next())[0] == "ADDED"
        await kaito.delete(f"{CRDS}/workspaces.kaito.sh")
        assert (await watch.next())[0] == "DELETED"
        assert await watch.next() is None
    await kaito.gone(f"{CRDS}/workspaces.kaito.sh")
    assert (await kaito.get(SPACES))[0] == 404
    assert (await kaito.create(CRDS, definition()))[0] == 201
    assert (await kaito.get(SPACES))[1]["items"] == []


def guard(crd, **rule):
    """The definition with a CEL rule on `resource`."""
    for version in crd["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"]["properties"]["resource"]["x-kubernetes-validations"] = [rule]
    return crd


async def test_cel_rules_hold_on_creation_and_transition_rules_on_change(api):
    rule = {
        "rule": "self.count > 0 && self.instanceType == oldSelf.instanceType",
        "message": "instanceType stays",
    }
    await api.create(CRDS, guard(copy.deepcopy(definition()), **rule))
    assert (await api.create(SPACES, workspace()))[0] == 201
    assert (await api.apply(SPACES, workspace(resource={"count": 2}), force="true"))[0] == 200
    code, refused = await api.apply(SPACES, workspace(resource={"instanceType": "other"}), force="true")
    assert code == 422
    (found,) = refused["details"]["causes"]
    assert (found["field"], found["reason"]) == ("resource", "FieldValueInvalid")
    assert found["message"] == 'Invalid value: "object": instanceType stays'


async def test_a_conversion_webhook_is_refused_with_the_reason(api):
    crd = copy.deepcopy(definition())
    crd["spec"]["conversion"] = {"strategy": "Webhook"}
    code, refused = await api.create(CRDS, crd)
    assert (code, refused["reason"]) == (501, "NotImplemented")
    assert "conversion webhooks" in refused["message"]


REFUSED = {
    "a name other than plural.group": lambda crd: crd["metadata"].update(name="other.kaito.sh"),
    "two storage versions": lambda crd: crd["spec"]["versions"][1].update(storage=True),
    "no schema": lambda crd: crd["spec"]["versions"][0].pop("schema"),
    "an unknown scope": lambda crd: crd["spec"].update(scope="World"),
    "a CEL rule that cannot be read": lambda crd: guard(crd, rule="self.("),
    "a CEL function that is not there": lambda crd: guard(crd, rule="quantity(self.instanceType) == 1"),
}


@pytest.mark.parametrize("spoil", REFUSED.values(), ids=REFUSED.keys())
async def test_a_definition_is_refused_for(spoil, api):
    crd = copy.deepcopy(definition())
    spoil(crd)
    assert (await api.create(CRDS, crd))[0] == 422
