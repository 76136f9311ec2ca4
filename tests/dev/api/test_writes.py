"""Create, update, patch and delete: what is refused, what is kept, what changes."""

import pytest

from reconciler.dev.logs import Log
from reconciler.errors import NotFound

from .client import APPS, CORE, JSON_PATCH, KAITO, STRATEGIC, config_map, deployment, pod, workspace

MAPS = f"{CORE}/configmaps"


async def test_a_created_object_gets_what_the_server_owns(api):
    code, made = await api.create(MAPS, config_map(a="1"))
    assert code == 201
    assert {"uid", "resourceVersion", "creationTimestamp", "managedFields"} <= set(made["metadata"])
    assert made["metadata"]["namespace"] == "default"
    assert (await api.get(f"{MAPS}/settings")) == (200, made)


async def test_a_second_object_of_one_name_is_refused(api):
    await api.create(MAPS, config_map())
    code, status = await api.create(MAPS, config_map())
    assert (code, status["reason"], status["details"]) == (
        409,
        "AlreadyExists",
        {"name": "settings", "kind": "configmaps"},
    )


async def test_generated_names_differ(api):
    body = {"metadata": {"generateName": "job-"}}
    names = {(await api.create(MAPS, body))[1]["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("job-") and len(name) == 9 for name in names)


REFUSED_BUILT_INS = {
    "fewer replicas than none": ("apps/v1", "deployments", deployment(replicas=-1), "spec.replicas"),
    "a selector that misses its pods": (
        *("apps/v1", "deployments"),
        {**deployment(), "spec": {**deployment()["spec"], "selector": {"matchLabels": {"app": "other"}}}},
        "spec.template.metadata.labels",
    ),
    "a key that is no file name": ("v1", "configmaps", config_map(**{"a/b": "1"}), "data[a/b]"),
    "a budget with both limits": (
        *("policy/v1", "poddisruptionbudgets"),
        {"metadata": {"name": "a"}, "spec": {"minAvailable": 1, "maxUnavailable": 1}},
        "spec",
    ),
    "an event about another namespace": (
        *("v1", "events"),
        {"metadata": {"name": "a"}, "involvedObject": {"kind": "Pod", "name": "x", "namespace": "b"}},
        "involvedObject.namespace",
    ),
}


@pytest.mark.parametrize("case", REFUSED_BUILT_INS.values(), ids=REFUSED_BUILT_INS.keys())
async def test_built_in_kinds_are_checked_beyond_their_schema(case, api):
    version, plural, body, field = case
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    code, refused = await api.create(f"{root}/namespaces/default/{plural}", body)
    assert (code, [found["field"] for found in refused["details"]["causes"]]) == (422, [field])


async def test_namespaces_that_every_cluster_needs_stay(api):
    code, refused = await api.delete("/api/v1/namespaces/kube-system")
    assert (code, "may not be deleted" in refused["message"]) == (403, True)


async def test_what_is_being_deleted_takes_no_new_finalizer(api):
    await api.create(MAPS, {"metadata": {"name": "a", "finalizers": ["example.com/one"]}})
    await api.delete(f"{MAPS}/a")
    added = {"metadata": {"finalizers": ["example.com/one", "example.com/two"]}}
    code, refused = await api.patch(f"{MAPS}/a", added)
    assert (code, refused["details"]["causes"][0]["field"]) == (422, "metadata.finalizers")


async def test_a_patch_cannot_rename(api):
    await api.create(MAPS, config_map())
    code, refused = await api.patch(f"{MAPS}/settings", {"metadata": {"name": "other"}})
    assert (code, "does not match the name on the URL" in refused["message"]) == (400, True)


async def test_a_body_that_is_neither_json_nor_yaml_is_refused(api):
    code, _ = await api.ask("POST", MAPS, config_map(), media="text/plain")
    assert code == 415


REFUSED = {
    "a namespace that does not exist": ("/api/v1/namespaces/nope/configmaps", config_map(), 404, "NotFound"),
    "a resource that is not served": (
        "/apis/policy/v1/namespaces/default/podisruptionbudgets",
        {},
        404,
        "NotFound",
    ),
    "a name in capitals": (MAPS, config_map("Settings"), 422, "Invalid"),
    "no name": (MAPS, {"data": {}}, 422, "Invalid"),
    "another kind": (MAPS, deployment(), 400, "BadRequest"),
    "a value of the wrong type": (MAPS, config_map(a=1), 400, "BadRequest"),
    "a resourceVersion": (MAPS, {"metadata": {"name": "a", "resourceVersion": "5"}}, 500, ""),
    "another namespace than the URL's": (
        MAPS,
        {"metadata": {"name": "a", "namespace": "b"}},
        400,
        "BadRequest",
    ),
    "a bad label": (MAPS, {"metadata": {"name": "a", "labels": {"a": "b c"}}}, 422, "Invalid"),
    "a deployment without containers": (f"{APPS}/deployments", {"metadata": {"name": "a"}}, 422, "Invalid"),
    "no JSON": (MAPS, b"{", 400, "BadRequest"),
    "more than three MiB": (MAPS, config_map(a="x" * 3_200_000), 413, "RequestEntityTooLarge"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
async def test_a_create_is_refused_for(case, api):
    path, body, code, reason = case
    found, status = await api.create(path, body)
    assert (found, status["reason"], status["kind"]) == (code, reason, "Status")


async def test_protobuf_is_refused_with_the_reason(api):
    code, status = await api.ask("POST", MAPS, b"k8s", media="application/vnd.kubernetes.protobuf")
    assert code == 415
    assert "JSON" in status["message"]


async def test_a_wrong_token_is_refused(api):
    assert (await api.get("/api/v1/nodes"))[0] == 200
    async with api.session.get("/api/v1/nodes", headers={"Authorization": "Bearer guess"}) as response:
        assert response.status == 401


async def test_an_update_from_an_old_version_conflicts(api):
    _, made = await api.create(MAPS, config_map(a="1"))
    assert (await api.put(f"{MAPS}/settings", {**made, "data": {"a": "2"}}))[0] == 200
    code, status = await api.put(f"{MAPS}/settings", {**made, "data": {"a": "3"}})
    assert (code, status["reason"]) == (409, "Conflict")


async def test_custom_resources_and_leases_are_not_updated_without_a_version(kaito):
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    await kaito.create(f"{KAITO}/workspaces", workspace())
    await kaito.create(leases, {"metadata": {"name": "leader"}, "spec": {}})
    for path, body in (
        (f"{KAITO}/workspaces/falcon", workspace(resource={"count": 2})),
        (f"{leases}/leader", {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "us"}}),
    ):
        code, status = await kaito.put(path, body)
        assert (code, status["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")


async def test_a_write_that_changes_nothing_keeps_the_version(api, apiserver):
    _, made = await api.create(f"{APPS}/deployments", deployment())
    before = apiserver.store.version
    assert (await api.put(f"{APPS}/deployments/web", made)) == (200, made)
    assert (await api.patch(f"{APPS}/deployments/web", {"spec": {"replicas": 1}})) == (200, made)
    assert apiserver.store.version == before


async def test_the_generation_follows_the_spec_alone(api):
    path = f"{APPS}/deployments/web"
    await api.create(f"{APPS}/deployments", deployment())
    _, labelled = await api.patch(path, {"metadata": {"labels": {"a": "b"}}})
    _, scaled = await api.patch(path, {"spec": {"replicas": 3}})
    _, reported = await api.patch(f"{path}/status", {"status": {"replicas": 3}})
    assert [o["metadata"]["generation"] for o in (labelled, scaled, reported)] == [1, 2, 2]


async def test_the_status_endpoint_writes_status_alone_and_the_other_never(api):
    path = f"{APPS}/deployments/web"
    await api.create(f"{APPS}/deployments", deployment() | {"status": {"replicas": 9}})
    both = {"spec": {"replicas": 7}, "status": {"replicas": 5}, "metadata": {"labels": {"a": "b"}}}
    _, reported = await api.patch(f"{path}/status", both)
    assert (reported["spec"]["replicas"], reported["status"]) == (1, {"replicas": 5})
    assert "labels" not in reported["metadata"]
    _, changed = await api.patch(path, {"spec": {"replicas": 7}, "status": {"replicas": 0}})
    assert (changed["spec"]["replicas"], changed["status"]) == (7, {"replicas": 5})


async def test_a_dry_run_shows_the_result_and_stores_nothing(api):
    code, shown = await api.create(f"{APPS}/deployments", deployment(), dryRun="All")
    assert (code, shown["spec"]["replicas"]) == (201, 1)
    assert (await api.get(f"{APPS}/deployments/web"))[0] == 404
    await api.create(f"{APPS}/deployments", deployment())
    _, shown = await api.patch(f"{APPS}/deployments/web", {"spec": {"replicas": 4}}, dryRun="All")
    assert shown["spec"]["replicas"] == 4
    assert (await api.get(f"{APPS}/deployments/web"))[1]["spec"]["replicas"] == 1
    assert (await api.delete(f"{APPS}/deployments/web", dryRun="All"))[0] == 200
    assert (await api.delete(f"{APPS}/deployments/web", {"dryRun": ["All"]}))[0] == 200
    assert (await api.get(f"{APPS}/deployments/web"))[0] == 200


async def test_unknown_fields_are_refused_warned_of_or_ignored_as_asked(api):
    body = deployment() | {"colour": "red"}
    code, status = await api.create(f"{APPS}/deployments", body, fieldValidation="Strict")
    assert code == 400
    assert 'unknown field "colour"' in status["message"]
    _, made = await api.create(f"{APPS}/deployments", body)
    assert 'unknown field \\"colour\\"' in api.headers["Warning"]
    assert "colour" not in made
    await api.put(f"{APPS}/deployments/web", made | {"colour": "red"}, fieldValidation="Ignore")
    assert "Warning" not in api.headers


async def test_a_merge_patch_removes_with_null(api):
    await api.create(MAPS, config_map(a="1", b="2"))
    _, patched = await api.patch(f"{MAPS}/settings", {"data": {"a": None, "c": "3"}})
    assert patched["data"] == {"b": "2", "c": "3"}


async def test_a_json_patch_applies_in_order_and_wholly_or_not_at_all(api):
    await api.create(MAPS, config_map(a="1"))
    steps = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "add", "path": "/metadata/labels", "value": {"x/y": "z"}},
        {"op": "copy", "from": "/data/a", "path": "/data/b"},
        {"op": "remove", "path": "/metadata/labels/x~1y"},
        {"op": "move", "from": "/data/a", "path": "/data/c"},
    ]
    _, patched = await api.patch(f"{MAPS}/settings", steps, JSON_PATCH)
    assert patched["data"] == {"b": "1", "c": "1"}
    bad = [{"op": "add", "path": "/data/d", "value": "1"}, {"op": "test", "path": "/data/b", "value": "2"}]
    assert (await api.patch(f"{MAPS}/settings", bad, JSON_PATCH))[0] == 422
    assert (await api.get(f"{MAPS}/settings"))[1]["data"] == {"b": "1", "c": "1"}


async def patched_containers(api, patch):
    _, made = await api.patch(f"{APPS}/deployments/web", patch, STRATEGIC)
    return made["spec"]["template"]["spec"]["containers"]


def in_template(**spec):
    return {"spec": {"template": {"spec": spec}}}


async def test_a_strategic_patch_merges_lists_by_their_keys(api):
    await api.create(f"{APPS}/deployments", deployment(env=[{"name": "A", "value": "1"}]))
    found = await patched_containers(
        api, in_template(containers=[{"name": "main", "image": "nginx:2"}, {"name": "side", "image": "b"}])
    )
    assert [(c["name"], c["image"]) for c in found] == [("main", "nginx:2"), ("side", "b")]
    assert found[0]["env"] == [{"name": "A", "value": "1"}]
    order = {"$setElementOrder/containers": [{"name": "side"}, {"name": "main"}]}
    found = await patched_containers(api, in_template(**order))
    assert [c["name"] for c in found] == ["side", "main"]
    found = await patched_containers(api, in_template(containers=[{"name": "main", "$patch": "delete"}]))
    assert [c["name"] for c in found] == ["side"]
    found = await patched_containers(
        api, in_template(containers=[{"$patch": "replace"}, {"name": "x", "image": "y"}])
    )
    assert [c["name"] for c in found] == ["x"]


async def test_a_strategic_patch_edits_plain_lists_and_keeps_what_it_retains(api):
    await api.create(MAPS, {"metadata": {"name": "settings", "finalizers": ["a/b", "c/d"]}})
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"], "finalizers": ["e/f"]}}
    _, made = await api.patch(f"{MAPS}/settings", patch, STRATEGIC)
    assert made["metadata"]["finalizers"] == ["e/f", "c/d"]
    await api.create(f"{APPS}/deployments", deployment())
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    _, made = await api.patch(f"{APPS}/deployments/web", patch, STRATEGIC)
    assert made["spec"]["strategy"] == {"type": "Recreate"}


async def test_a_strategic_patch_of_a_custom_resource_is_refused(kaito):
    await kaito.create(f"{KAITO}/workspaces", workspace())
    code, status = await kaito.patch(f"{KAITO}/workspaces/falcon", {}, STRATEGIC)
    assert (code, status["reason"]) == (415, "UnsupportedMediaType")


IMMUTABLE = {
    "a deployment's selector": ("deployments", deployment(), {"selector": {"matchLabels": {"app": "other"}}}),
    "a stateful set's service name": (
        "statefulsets",
        deployment() | {"kind": "StatefulSet", "spec": deployment()["spec"] | {"serviceName": "web"}},
        {"serviceName": "other"},
    ),
}


@pytest.mark.parametrize("case", IMMUTABLE.values(), ids=IMMUTABLE.keys())
async def test_some_fields_never_change(case, api):
    plural, body, change = case
    assert (await api.create(f"{APPS}/{plural}", body))[0] == 201
    code, status = await api.patch(f"{APPS}/{plural}/web", {"spec": change})
    assert (code, status["reason"]) == (422, "Invalid")


async def test_a_delete_honours_its_preconditions(api):
    _, made = await api.create(MAPS, config_map())
    wrong = {"preconditions": {"uid": "another"}}
    assert (await api.delete(f"{MAPS}/settings", wrong))[0] == 409
    right = {"preconditions": {"uid": made["metadata"]["uid"]}}
    code, status = await api.delete(f"{MAPS}/settings", right)
    assert (code, status["status"], status["details"]["uid"]) == (200, "Success", made["metadata"]["uid"])
    assert (await api.delete(f"{MAPS}/settings"))[0] == 404


async def test_finalizers_keep_an_object_until_the_last_is_gone(api):
    await api.create(MAPS, {"metadata": {"name": "settings", "finalizers": ["a/b"]}})
    _, kept = await api.delete(f"{MAPS}/settings")
    assert "deletionTimestamp" in kept["metadata"]
    assert (await api.get(f"{MAPS}/settings"))[0] == 200
    await api.patch(f"{MAPS}/settings", {"metadata": {"finalizers": None}})
    assert (await api.get(f"{MAPS}/settings"))[0] == 404


async def test_a_pod_on_a_node_stops_gracefully_and_one_without_goes_at_once(api):
    await api.create(f"{CORE}/pods", pod("bound", nodeName="n1"))
    await api.create(f"{CORE}/pods", pod("free"))
    await api.delete(f"{CORE}/pods/free")
    assert (await api.get(f"{CORE}/pods/free"))[0] == 404
    _, stopping = await api.delete(f"{CORE}/pods/bound")
    assert stopping["metadata"]["deletionGracePeriodSeconds"] == 30
    await api.delete(f"{CORE}/pods/bound", gracePeriodSeconds="0")
    assert (await api.get(f"{CORE}/pods/bound"))[0] == 404


async def test_a_collection_is_deleted_by_selector(api):
    for name, tier in (("a", "x"), ("b", "y"), ("c", "x")):
        await api.create(MAPS, {"metadata": {"name": name, "labels": {"tier": tier}}})
    assert (await api.delete(MAPS, labelSelector="tier=x"))[0] == 200
    _, left = await api.get(MAPS)
    assert [item["metadata"]["name"] for item in left["items"]] == ["b"]


async def test_logs_come_from_the_source_that_is_plugged_in(api, apiserver):
    await api.create(f"{CORE}/pods", pod())
    assert (await api.get(f"{CORE}/pods/worker/log"))[0] == 501

    def read(namespace, name, container, previous):
        if previous:
            raise NotFound("no earlier run")
        log = Log()
        log.write(0, f"{namespace}\n{name}\n{container}\n".encode())
        return log

    apiserver.log_source = read
    async with api.session.get(f"{CORE}/pods/worker/log", params={"tailLines": "2"}) as response:
        assert await response.text() == "worker\nmain\n"
    status, refused = await api.get(f"{CORE}/pods/worker/log", previous="true")
    assert (status, refused["message"]) == (400, "no earlier run")


async def test_logs_are_followed_until_the_container_ends(api, apiserver):
    await api.create(f"{CORE}/pods", pod())
    log = Log()
    log.write(0, b"one\n")
    apiserver.log_source = lambda *_: log
    async with api.session.get(f"{CORE}/pods/worker/log", params={"follow": "true"}) as response:
        assert await response.content.readline() == b"one\n"
        log.write(0, b"two\n")
        assert await response.content.readline() == b"two\n"
        log.write(0, b"last\n")
        log.end(0)
        assert await response.content.read() == b"last\n"
