"""Server-side apply: ownership, conflicts, and what is dropped when."""

import pytest
from contracts.api import APPLY, STRATEGIC, bare, causes, deployment, owners
from contracts.widgets import widget


@pytest.fixture
def maps(api):
    return api.path("configmaps")


@pytest.fixture
def deployments(api):
    return api.path("apps/deployments")


async def applied(api, path, body, manager="us", **query):
    code, obj = await api.apply(path, body, manager, **query)
    assert code in (200, 201), obj
    return obj


def containers(obj):
    return obj["spec"]["template"]["spec"]["containers"]


async def test_the_first_apply_creates_and_owns_what_it_declares(api, deployments):
    body = deployment(replicas=0, ports=[{"containerPort": 80}])
    code, made = await api.apply(deployments, body)
    assert code == 201
    (entry,) = (e for e in made["metadata"]["managedFields"] if e["manager"] == "us")
    assert (entry["operation"], entry["apiVersion"], entry["fieldsType"]) == ("Apply", "apps/v1", "FieldsV1")
    spec = entry["fieldsV1"]["f:spec"]
    main = spec["f:template"]["f:spec"]["f:containers"]['k:{"name":"main"}']
    assert {".", "f:name", "f:image", "f:ports"} == set(main)
    port = main["f:ports"]['k:{"containerPort":80,"protocol":"TCP"}']
    assert port == {".": {}, "f:containerPort": {}}
    assert spec["f:selector"] in ({}, {"f:matchLabels": {"f:app": {}}})
    assert "f:strategy" not in spec


async def test_applying_the_same_again_changes_nothing(api, maps):
    made = await applied(api, maps, bare(a="1"))
    assert await api.apply(maps, bare(a="1")) == (200, made)


async def test_a_field_no_longer_applied_is_removed(api, maps):
    await applied(api, maps, bare(a="1", b="2"))
    changed = await applied(api, maps, bare(a="1"))
    assert changed["data"] == {"a": "1"}
    assert set(owners(changed)["us"]["f:data"]) - {"."} == {"f:a"}


async def test_a_label_no_longer_applied_is_removed_and_others_stay(api, maps):
    body = bare(a="1")
    body["metadata"]["labels"] = {"x": "1", "y": "2"}
    made = await applied(api, maps, body)
    await api.patch(f"{maps}/settings", {"metadata": {"labels": {"z": "3"}}}, fieldManager="editor")
    changed = await applied(api, maps, bare(a="1"))
    assert changed["metadata"]["labels"] == {"z": "3"}
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_defaulted_field_returns_to_its_default_when_dropped(api, deployments):
    await applied(api, deployments, deployment(replicas=0))
    changed = await applied(api, deployments, deployment())
    assert changed["spec"]["replicas"] == 1


async def test_a_field_of_another_owner_conflicts_and_force_takes_it(api, maps):
    await api.made(maps, bare(a="1"), fieldManager="editor")
    code, status = await api.apply(maps, bare(a="2"))
    assert (code, status["reason"]) == (409, "Conflict")
    assert causes(status) == [("FieldManagerConflict", ".data.a")]
    assert status["details"]["causes"][0]["message"].startswith('conflict with "editor" using v1')
    assert (await api.seen(f"{maps}/settings"))["data"] == {"a": "1"}
    taken = await applied(api, maps, bare(a="2"), force="true")
    assert taken["data"] == {"a": "2"}
    assert "f:a" in owners(taken)["us"]["f:data"]
    assert "f:a" not in owners(taken).get("editor", {}).get("f:data", {})


async def test_the_same_value_is_no_conflict_but_shared(api, maps):
    await api.made(maps, bare(a="1"), fieldManager="editor")
    shared = await applied(api, maps, bare(a="1"))
    assert all("f:a" in fields["f:data"] for fields in owners(shared, "us", "editor").values())
    assert set(owners(shared)) == {"us", "editor"}


async def test_every_conflict_is_listed(api, maps):
    await applied(api, maps, bare(a="1", b="1"), "first")
    await applied(api, maps, bare(c="1"), "second")
    code, status = await api.apply(maps, bare(a="2", b="2", c="2"))
    assert code == 409
    assert sorted(field for _, field in causes(status)) == [".data.a", ".data.b", ".data.c"]
    assert status["message"].startswith("Apply failed with 3 conflicts: conflicts with")


async def test_one_value_may_have_several_owners_and_stays_while_one_is_left(api, maps):
    await applied(api, maps, bare(a="1", b="1"), "first")
    await applied(api, maps, bare(a="1"), "second")
    kept = await applied(api, maps, bare(b="1"), "first")
    assert kept["data"] == {"a": "1", "b": "1"}
    left = await applied(api, maps, bare(b="2"), "second", force="true")
    assert left["data"] == {"b": "2"}


async def test_an_update_takes_the_fields_it_changes(api, maps):
    await applied(api, maps, bare(a="1", b="1"))
    _, patched = await api.patch(f"{maps}/settings", {"data": {"a": "2"}}, fieldManager="editor")
    found = owners(patched)
    assert (set(found["us"]["f:data"]) - {"."}, set(found["editor"]["f:data"]) - {"."}) == ({"f:b"}, {"f:a"})


async def test_a_manager_is_named_after_the_client_where_it_does_not_say(api, maps):
    made = await api.made(maps, bare(a="1"))
    assert set(owners(made)) == {"conformance"}
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["operation"], entry["apiVersion"]) == ("Update", "v1")


async def test_a_field_that_someone_removed_comes_back(api, maps):
    await applied(api, maps, bare(a="1", b="1"))
    await api.patch(f"{maps}/settings", {"data": {"a": None}})
    back = await applied(api, maps, bare(a="1", b="1"))
    assert back["data"] == {"a": "1", "b": "1"}


async def test_items_of_keyed_lists_are_owned_one_by_one(api, deployments):
    two = [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]
    await applied(api, deployments, deployment(env=two))
    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "b"}]}}}}
    await api.patch(f"{deployments}/web", side, STRATEGIC, fieldManager="injector")
    changed = await applied(api, deployments, deployment(env=[{"name": "B", "value": "2"}]))
    by_name = {each["name"]: each for each in containers(changed)}
    assert by_name["main"]["env"] == [{"name": "B", "value": "2"}]
    assert set(by_name) == {"main", "side"}


async def test_a_list_without_a_type_is_replaced_whole(api, deployments):
    await applied(api, deployments, deployment(args=["a", "b"]))
    changed = await applied(api, deployments, deployment(args=["b"]))
    assert containers(changed)[0]["args"] == ["b"]


async def test_lists_of_custom_resources_follow_their_types(api, widgets_at):
    first = widget(tags=["a"], order=["x"], parts=[{"name": "p", "weight": 1}], limits={"l": 1})
    await applied(api, widgets_at, first, "first")
    second = widget(tags=["b"], parts=[{"name": "q", "weight": 2}], limits={"m": 2})
    both = await applied(api, widgets_at, second, "second")
    assert sorted(both["spec"]["tags"]) == ["a", "b"]
    assert {each["name"] for each in both["spec"]["parts"]} == {"p", "q"}
    assert both["spec"]["limits"] == {"l": 1, "m": 2}
    code, status = await api.apply(widgets_at, widget(order=["y"]), "second")
    assert (code, causes(status)) == (409, [("FieldManagerConflict", ".spec.order")])
    left = await applied(api, widgets_at, widget(), "first")
    assert left["spec"]["tags"] == ["b"]
    assert [each["name"] for each in left["spec"]["parts"]] == ["q"]
    assert "order" not in left["spec"]


async def test_status_is_applied_by_its_own_endpoint(api, widgets_at):
    await applied(api, widgets_at, widget(), "us")
    ready = {"type": "Ready", "status": "True", "reason": "Up"}
    head = {key: widget()[key] for key in ("apiVersion", "kind", "metadata")}
    target = f"{widgets_at}/cog/status"
    body = head | {"status": {"conditions": [ready]}}
    code, told = await api.patch(target, body, APPLY, fieldManager="reporter")
    assert (code, told["status"], told["spec"]["size"]) == (200, {"conditions": [ready]}, 1)
    assert told["metadata"]["generation"] == 1
    more = {"status": {"conditions": [{"type": "Busy", "status": "False"}]}}
    code, both = await api.patch(target, head | more, APPLY, fieldManager="other")
    assert (code, {each["type"] for each in both["status"]["conditions"]}) == (200, {"Ready", "Busy"})
    again = await applied(api, widgets_at, widget())
    assert again["status"] == both["status"]


async def test_a_dry_run_of_an_apply_shows_it_only(api, maps):
    code, shown = await api.apply(maps, bare(a="1"), dryRun="All")
    assert (code, shown["data"]) == (201, {"a": "1"})
    assert (await api.get(f"{maps}/settings"))[0] == 404


async def test_yaml_is_read_too(api, maps):
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {day: '2026-01-01'}\n"
    code, made = await api.ask("PATCH", f"{maps}/settings", text, media=APPLY, fieldManager="us")
    assert (code, made["data"]) == (201, {"day": "2026-01-01"})


async def test_ownership_can_be_given_up(api, maps):
    await applied(api, maps, bare(a="1"))
    code, cleared = await api.patch(f"{maps}/settings", {"metadata": {"managedFields": [{}]}})
    assert code == 200
    assert "managedFields" not in cleared["metadata"]


async def test_ownership_can_be_handed_over(api, maps):
    made = await api.made(maps, bare(a="1"), fieldManager="editor")
    (entry,) = made["metadata"]["managedFields"]
    handed = [entry | {"manager": "us", "operation": "Apply"}]
    version = made["metadata"]["resourceVersion"]
    steps = [
        {"op": "replace", "path": "/metadata/managedFields", "value": handed},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]
    code, _ = await api.patch(f"{maps}/settings", steps, "application/json-patch+json")
    assert code == 200
    changed = await applied(api, maps, bare(b="1"))
    assert changed["data"] == {"b": "1"}


REFUSED = {
    "managed fields in the body": (
        {"apiVersion": "v1", "kind": "ConfigMap",
         "metadata": {"name": "settings", "managedFields": [{"manager": "x"}]}},
        400, "managedFields must be nil",
    ),
    "another name than the URL's": (bare("other"), 400, "name"),
    "a uid of an object that is gone": (
        {"apiVersion": "v1", "kind": "ConfigMap",
         "metadata": {"name": "settings", "uid": "11111111-2222-3333-4444-555555555555"}},
        409, "uid mismatch",
    ),
    "a field that its schema does not know": (
        bare() | {"colour": "red"}, 500, ".colour: field not declared in schema",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
async def test_an_apply_is_refused_for(case, api, maps):
    body, code, text = case
    found, status = await api.patch(f"{maps}/settings", body, APPLY, fieldManager="us")
    assert (found, text in status["message"]) == (code, True), status


async def test_an_apply_must_say_who_it_is(api, maps):
    code, status = await api.patch(f"{maps}/settings", bare(), APPLY)
    assert code in (400, 422)
    assert "fieldManager" in status["message"]


async def test_two_items_of_one_key_are_refused(api, deployments):
    body = deployment(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])
    code, status = await api.apply(deployments, body)
    assert code == 500
    assert 'duplicate entries for key [name="A"]' in status["message"]
