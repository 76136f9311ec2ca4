"""Server-side apply: ownership, conflicts, and what is dropped when."""

import pytest

from .client import APPS, CORE, KAITO, STRATEGIC, config_map, deployment, workspace

MAPS = f"{CORE}/configmaps"
SPACES = f"{KAITO}/workspaces"


def owners(obj):
    """Manager → the fields it owns, as fieldsV1."""
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"]["managedFields"]}


async def test_the_first_apply_creates_and_owns_what_it_declares(api):
    code, made = await api.apply(f"{APPS}/deployments", deployment(ports=[{"containerPort": 80}]))
    assert code == 201
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("us", "Apply", "apps/v1")
    pod_spec = entry["fieldsV1"]["f:spec"]["f:template"]["f:spec"]
    assert pod_spec["f:containers"]['k:{"name":"main"}'] == {
        ".": {},
        "f:name": {},
        "f:image": {},
        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
    }
    assert entry["fieldsV1"]["f:spec"]["f:selector"] == {}
    assert "f:replicas" not in entry["fieldsV1"]["f:spec"]


async def test_applying_the_same_again_changes_nothing(api, apiserver):
    _, made = await api.apply(f"{APPS}/deployments", deployment())
    before = apiserver.store.version
    assert (await api.apply(f"{APPS}/deployments", deployment())) == (200, made)
    assert apiserver.store.version == before


async def test_a_field_no_longer_applied_is_removed(api):
    await api.apply(MAPS, config_map(a="1", b="2"))
    _, changed = await api.apply(MAPS, config_map(a="1"))
    assert changed["data"] == {"a": "1"}
    assert owners(changed)["us"] == {"f:data": {"f:a": {}}}


async def test_a_map_no_longer_applied_at_all_is_removed_and_nothing_else(api):
    body = config_map(a="1") | {"metadata": {"name": "settings", "labels": {"x": "y"}}}
    _, made = await api.apply(MAPS, body)
    _, changed = await api.apply(MAPS, {"metadata": {"name": "settings"}})
    assert "data" not in changed
    assert "labels" not in changed["metadata"]
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_defaulted_field_returns_to_its_default_when_dropped(api):
    await api.apply(f"{APPS}/deployments", deployment(replicas=5))
    _, changed = await api.apply(f"{APPS}/deployments", deployment())
    assert changed["spec"]["replicas"] == 1


async def test_a_field_of_another_owner_conflicts_and_force_takes_it(api):
    await api.create(MAPS, config_map(a="1"), fieldManager="editor")
    code, status = await api.apply(MAPS, config_map(a="2"))
    assert (code, status["reason"]) == (409, "Conflict")
    (found,) = status["details"]["causes"]
    assert (found["reason"], found["field"]) == ("FieldManagerConflict", ".data.a")
    assert found["message"].startswith('conflict with "editor" using v1')
    code, taken = await api.apply(MAPS, config_map(a="2"), force="true")
    assert (code, taken["data"]) == (200, {"a": "2"})
    assert owners(taken) == {"us": {"f:data": {"f:a": {}}}, "editor": {"f:data": {}}}


async def test_every_conflict_is_listed(api):
    await api.apply(MAPS, config_map(a="1", b="1"), manager="first")
    await api.apply(MAPS, config_map(c="1"), manager="second")
    _, status = await api.apply(MAPS, config_map(a="2", b="2", c="2"))
    assert [c["field"] for c in status["details"]["causes"]] == [".data.a", ".data.b", ".data.c"]
    assert status["message"].startswith("Apply failed with 3 conflicts: conflicts with")


async def test_one_value_may_have_several_owners_and_stays_while_one_is_left(api):
    await api.apply(MAPS, config_map(a="1", b="1"), manager="first")
    _, shared = await api.apply(MAPS, config_map(a="1"), manager="second")
    assert set(owners(shared)) == {"first", "second"}
    _, kept = await api.apply(MAPS, config_map(b="1"), manager="first")
    assert kept["data"] == {"a": "1", "b": "1"}
    assert owners(kept)["second"] == {"f:data": {"f:a": {}}}


async def test_an_update_takes_the_fields_it_changes(api):
    await api.apply(MAPS, config_map(a="1", b="1"))
    _, patched = await api.patch(f"{MAPS}/settings", {"data": {"a": "2"}}, fieldManager="editor")
    assert owners(patched) == {"us": {"f:data": {"f:b": {}}}, "editor": {"f:data": {"f:a": {}}}}


async def test_a_field_that_someone_removed_comes_back(api):
    await api.apply(MAPS, config_map(a="1", b="1"))
    await api.patch(f"{MAPS}/settings", {"data": {"a": None}})
    code, back = await api.apply(MAPS, config_map(a="1", b="1"))
    assert (code, back["data"]) == (200, {"a": "1", "b": "1"})


async def test_items_of_keyed_lists_are_owned_one_by_one(api):
    path = f"{APPS}/deployments"
    await api.apply(path, deployment(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]))
    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "b"}]}}}}
    await api.patch(f"{path}/web", side, STRATEGIC, fieldManager="injector")
    _, changed = await api.apply(path, deployment(env=[{"name": "B", "value": "2"}]))
    injected, main = changed["spec"]["template"]["spec"]["containers"]
    assert main["env"] == [{"name": "B", "value": "2"}]
    assert injected["name"] == "side"


async def test_a_list_without_a_type_is_replaced_whole(api):
    await api.apply(f"{APPS}/deployments", deployment(args=["a", "b"]))
    _, changed = await api.apply(f"{APPS}/deployments", deployment(args=["b"]))
    assert changed["spec"]["template"]["spec"]["containers"][0]["args"] == ["b"]


async def test_sets_of_two_appliers_join(kaito):
    await kaito.apply(SPACES, workspace(resource={"nodes": ["n1", "n2"]}), manager="first")
    _, joined = await kaito.apply(SPACES, workspace(resource={"nodes": ["n3"]}), manager="second")
    assert joined["resource"]["nodes"] == ["n1", "n2", "n3"]
    _, left = await kaito.apply(SPACES, workspace(resource={"nodes": ["n2"]}), manager="first")
    assert left["resource"]["nodes"] == ["n2", "n3"]


async def test_fields_under_a_free_form_object_are_owned_one_by_one(kaito):
    await kaito.apply(SPACES, workspace(inference={"preset": {"name": "a"}, "adapters": [{"x": 1}]}))
    code, changed = await kaito.apply(SPACES, workspace(inference={"preset": {"name": "b"}}))
    assert code == 200, changed
    assert changed["inference"] == {"preset": {"name": "b"}}


async def test_a_null_in_place_of_an_object_removes_what_was_ours_in_it(kaito):
    await kaito.apply(SPACES, workspace(resource={"count": 2}))
    await kaito.patch(f"{SPACES}/falcon", {"resource": {"instanceType": "x"}}, fieldManager="editor")
    code, changed = await kaito.apply(SPACES, workspace(resource=None))
    assert (code, changed["resource"]) == (200, {"instanceType": "x", "count": 1})


async def test_an_item_no_longer_applied_goes_with_all_that_others_put_in_it(api):
    path = f"{APPS}/deployments"
    both = deployment()
    both["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "b"})
    await api.apply(path, both)
    env = {"name": "side", "env": [{"name": "A", "value": "1"}]}
    patch = {"spec": {"template": {"spec": {"containers": [env]}}}}
    await api.patch(f"{path}/web", patch, STRATEGIC, fieldManager="editor")
    code, changed = await api.apply(path, deployment())
    assert (code, len(changed["spec"]["template"]["spec"]["containers"])) == (200, 1)
    assert list(owners(changed)) == ["us"]


async def test_status_is_applied_by_its_own_endpoint_under_its_own_entry(kaito):
    _, made = await kaito.apply(SPACES, workspace(status={"conditions": []}))
    assert "status" not in made
    ready = {"type": "Ready", "status": "True", "reason": "Up"}
    body = workspace(status={"conditions": [ready]}, resource={"count": 9})
    target = f"{SPACES}/falcon/status"
    code, reported = await kaito.patch(target, body, "application/apply-patch+yaml", fieldManager="us")
    assert (code, reported["status"], reported["resource"]["count"]) == (200, {"conditions": [ready]}, 1)
    assert reported["metadata"]["generation"] == 1
    assert {e.get("subresource", "") for e in reported["metadata"]["managedFields"]} == {"", "status"}
    _, spec_again = await kaito.apply(SPACES, workspace())
    assert spec_again["status"] == {"conditions": [ready]}


async def test_a_write_without_effect_keeps_the_version_of_what_one_manager_owns_twice(kaito):
    await kaito.create(SPACES, workspace(), fieldManager="us")
    ready = {"type": "Ready", "status": "True"}
    await kaito.patch(f"{SPACES}/falcon/status", {"status": {"conditions": [ready]}}, fieldManager="us")
    _, before = await kaito.patch(f"{SPACES}/falcon", {"resource": {"count": 2}}, fieldManager="us")
    _, after = await kaito.patch(f"{SPACES}/falcon", {"resource": {"count": 2}}, fieldManager="us")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_yaml_is_read_too(api):
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {day: 2026-01-01}\n"
    target = f"{MAPS}/settings"
    code, made = await api.ask("PATCH", target, text, media="application/apply-patch+yaml", fieldManager="us")
    assert (code, made["data"]) == (201, {"day": "2026-01-01"})


async def test_rewritten_ownership_is_believed(api):
    _, made = await api.create(MAPS, config_map(a="1"), fieldManager="editor")
    (entry,) = made["metadata"]["managedFields"]
    patch = [
        {
            "op": "replace",
            "path": "/metadata/managedFields",
            "value": [entry | {"manager": "us", "operation": "Apply"}],
        },
        {"op": "replace", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]},
    ]
    assert (await api.patch(f"{MAPS}/settings", patch, "application/json-patch+json"))[0] == 200
    code, changed = await api.apply(MAPS, config_map(b="1"))
    assert (code, changed["data"]) == (200, {"b": "1"})


REFUSED = {
    "no manager": ({}, config_map(), {}, 422, "PatchOptions"),
    "managed fields in the body": (
        {"fieldManager": "us"},
        {"metadata": {"name": "settings", "managedFields": [{"manager": "x"}]}},
        {},
        400,
        "managedFields must be nil",
    ),
    "another name than the URL's": ({"fieldManager": "us"}, config_map("other"), {}, 400, "does not match"),
    "a uid of an object that is gone": (
        {"fieldManager": "us"},
        {"metadata": {"name": "settings", "uid": "gone"}},
        {},
        409,
        "uid mismatch",
    ),
    "a field that its schema does not know": (
        {"fieldManager": "us"},
        config_map() | {"colour": "red"},
        {},
        500,
        ".colour: field not declared in schema",
    ),
}


async def test_two_items_of_one_key_are_refused(api):
    body = deployment(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])
    code, status = await api.apply(f"{APPS}/deployments", body)
    assert code == 500
    assert '.containers[name="main"].env: duplicate entries for key [name="A"]' in status["message"]


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
async def test_an_apply_is_refused_for(case, api):
    query, body, _, code, text = case
    found, status = await api.patch(f"{MAPS}/settings", body, "application/apply-patch+yaml", **query)
    assert found == code
    assert text in status["message"]
