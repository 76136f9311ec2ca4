"""Merge, JSON and strategic patches."""

import pytest
from contracts.api import JSON_PATCH, STRATEGIC, config_map, deployment
from contracts.widgets import widget


@pytest.fixture
async def web(api):
    """The path of a Deployment with two environment variables."""
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    body = deployment(env=env, args=["x", "y"], ports=[{"containerPort": 80}])
    await api.made(api.path("apps/deployments"), body)
    return api.path("apps/deployments", "web")


def container(obj):
    return obj["spec"]["template"]["spec"]["containers"][0]


def in_container(**fields):
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", **fields}]}}}}


async def test_a_merge_patch_merges_maps_and_replaces_everything_else(api, web):
    await api.made(api.path("configmaps"), config_map(a="1", b="2"))
    code, changed = await api.patch(api.path("configmaps", "settings"), {"data": {"b": None, "c": "3"}})
    assert (code, changed["data"]) == (200, {"a": "1", "c": "3"})
    _, changed = await api.patch(web, in_container(image="app:2"))
    assert "env" not in container(changed)


async def test_a_json_patch_is_carried_out_in_order(api):
    path = api.path("configmaps", "settings")
    await api.made(api.path("configmaps"), config_map(a="1", b="2"))
    steps = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "move", "from": "/data/a", "path": "/data/c"},
        {"op": "copy", "from": "/data/c", "path": "/data/d-e"},
        {"op": "remove", "path": "/data/b"},
        {"op": "add", "path": "/metadata/annotations", "value": {"x/y": "1"}},
        {"op": "replace", "path": "/metadata/annotations/x~1y", "value": "2"},
    ]
    code, changed = await api.patch(path, steps, JSON_PATCH)
    assert (code, changed["data"]) == (200, {"c": "1", "d-e": "1"})
    assert changed["metadata"]["annotations"] == {"x/y": "2"}


async def test_a_json_patch_appends_to_lists_and_inserts(api, web):
    args = "/spec/template/spec/containers/0/args"
    steps = [
        {"op": "add", "path": f"{args}/-", "value": "last"},
        {"op": "add", "path": f"{args}/0", "value": "first"},
        {"op": "remove", "path": f"{args}/1"},
    ]
    code, changed = await api.patch(web, steps, JSON_PATCH)
    assert (code, container(changed)["args"]) == (200, ["first", "y", "last"])


IMPOSSIBLE = {
    "a failed test": [{"op": "test", "path": "/data/a", "value": "2"}],
    "a removal of what is not there": [{"op": "remove", "path": "/data/z"}],
}


@pytest.mark.parametrize("steps", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
async def test_a_json_patch_is_refused_for(steps, api):
    path = api.path("configmaps", "settings")
    await api.made(api.path("configmaps"), config_map(a="1"))
    steps = [{"op": "replace", "path": "/data/a", "value": "9"}, *steps]
    code, status = await api.patch(path, steps, JSON_PATCH)
    assert (code, status["reason"]) == (422, "Invalid")
    assert (await api.seen(path))["data"] == {"a": "1"}, "all or nothing"


async def test_a_strategic_patch_merges_lists_by_their_key(api, web):
    patch = in_container(env=[{"name": "B", "value": "3"}, {"name": "C", "value": "4"}], image="app:2")
    code, changed = await api.patch(web, patch, STRATEGIC)
    assert code == 200
    assert {each["name"]: each["value"] for each in container(changed)["env"]} == {
        "A": "1",
        "B": "3",
        "C": "4",
    }
    assert (container(changed)["image"], container(changed)["args"]) == ("app:2", ["x", "y"])


async def test_a_strategic_patch_adds_a_second_container(api, web):
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s:1"}]}}}}
    _, changed = await api.patch(web, patch, STRATEGIC)
    found = changed["spec"]["template"]["spec"]["containers"]
    assert {each["name"] for each in found} == {"main", "side"}


async def test_a_list_without_a_merge_key_is_replaced(api, web):
    _, changed = await api.patch(web, in_container(args=["z"]), STRATEGIC)
    assert container(changed)["args"] == ["z"]


async def test_directives_delete_replace_and_order(api, web):
    _, changed = await api.patch(web, in_container(env=[{"name": "A", "$patch": "delete"}]), STRATEGIC)
    assert [each["name"] for each in container(changed)["env"]] == ["B"]
    two = [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}, {"$patch": "replace"}]
    _, changed = await api.patch(web, in_container(env=two), STRATEGIC)
    assert [each["name"] for each in container(changed)["env"]] == ["X", "Y"]
    order = {"$setElementOrder/env": [{"name": "Y"}, {"name": "X"}], "env": [{"name": "X", "value": "9"}]}
    _, changed = await api.patch(web, in_container(**order), STRATEGIC)
    assert [(e["name"], e["value"]) for e in container(changed)["env"]] == [("Y", "2"), ("X", "9")]


async def test_retained_keys_are_all_that_is_left(api, web):
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    code, changed = await api.patch(web, patch, STRATEGIC)
    assert (code, changed["spec"]["strategy"]) == (200, {"type": "Recreate"})


async def test_primitive_lists_lose_single_values(api):
    path = api.path("configmaps", "settings")
    body = config_map()
    body["metadata"]["finalizers"] = ["example.com/a", "example.com/b"]
    await api.made(api.path("configmaps"), body)
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}}
    code, changed = await api.patch(path, patch, STRATEGIC)
    assert (code, changed["metadata"]["finalizers"]) == (200, ["example.com/b"])
    await api.patch(path, {"metadata": {"finalizers": None}})


async def test_a_custom_resource_takes_no_strategic_patch(api, widgets_at):
    await api.made(widgets_at, widget())
    code, status = await api.patch(f"{widgets_at}/cog", {"spec": {"size": 2}}, STRATEGIC)
    assert (code, status["reason"]) == (415, "UnsupportedMediaType")
    assert "application/merge-patch+json" in status["message"]


async def test_a_patch_is_validated_and_defaulted_like_any_write(api, web):
    code, status = await api.patch(web, {"spec": {"replicas": -1}})
    assert (code, status["details"]["causes"][0]["field"]) == (422, "spec.replicas")
    _, changed = await api.patch(web, {"spec": {"replicas": None}})
    assert changed["spec"]["replicas"] == 1
    code, status = await api.patch(web, {"spec": {"selector": {"matchLabels": {"app": "other"}}}})
    assert code == 422


async def test_a_patch_that_is_no_json_is_refused(api, web):
    for media in (STRATEGIC, JSON_PATCH):
        code, status = await api.patch(web, b"{", media)
        assert (code, status["reason"]) == (400, "BadRequest"), media


async def test_a_name_cannot_be_patched_away(api, web):
    code, status = await api.patch(web, {"metadata": {"name": "other"}})
    assert (code, status["reason"]) == (400, "BadRequest")
