"""Create, read, update, status, dry runs and validation."""

import asyncio

import pytest
from contracts.api import config_map, deployment, pod
from contracts.widgets import widget


async def test_a_created_object_gets_what_the_server_owns(api):
    made = await api.made(api.path("configmaps"), config_map(a="1"))
    assert (made["apiVersion"], made["kind"], made["data"]) == ("v1", "ConfigMap", {"a": "1"})
    metadata = made["metadata"]
    assert metadata["namespace"] == api.namespace
    assert {"uid", "resourceVersion", "creationTimestamp", "managedFields"} <= metadata.keys()
    assert metadata["creationTimestamp"].endswith("Z")
    assert await api.seen(api.path("configmaps", "settings")) == made


async def test_a_name_is_taken_once(api):
    first = await api.made(api.path("configmaps"), config_map())
    code, status = await api.create(api.path("configmaps"), config_map())
    assert (code, status["kind"], status["reason"]) == (409, "Status", "AlreadyExists")
    assert status["details"] == {"name": "settings", "kind": "configmaps"}
    await api.delete(api.path("configmaps", "settings"))
    assert (await api.made(api.path("configmaps"), config_map()))["metadata"]["uid"] != first["metadata"][
        "uid"
    ]


async def test_what_is_not_there_is_not_found(api):
    code, status = await api.get(api.path("configmaps", "none"))
    assert (code, status["reason"]) == (404, "NotFound")
    assert status["message"] == 'configmaps "none" not found'
    code, status = await api.patch(api.path("apps/deployments", "none"), {"spec": {}})
    assert (code, status["details"]) == (404, {"name": "none", "group": "apps", "kind": "deployments"})


async def test_one_version_counts_all_kinds_and_only_rises(api, widgets_at):
    paths = [api.path("configmaps"), api.path("coordination.k8s.io/leases"), widgets_at]
    versions = []
    for number, path in enumerate([*paths, *paths]):
        spec = {"spec": {"size": 1}} if path == widgets_at else {}
        obj = await api.made(path, {**_head(path), "metadata": {"name": f"n{number}"}, **spec})
        versions.append(int(obj["metadata"]["resourceVersion"]))
    _, changed = await api.patch(f"{paths[0]}/n0", {"data": {"a": "1"}})
    versions.append(int(changed["metadata"]["resourceVersion"]))
    assert versions == sorted(set(versions))
    listed = await api.seen(paths[1])
    assert int(listed["metadata"]["resourceVersion"]) >= versions[-1]


def _head(path):
    if "widgets" in path:
        return {"apiVersion": "conformance.example.com/v1", "kind": "Widget"}
    if "leases" in path:
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    return {"apiVersion": "v1", "kind": "ConfigMap"}


async def test_generated_names_differ(api):
    body = {"metadata": {"generateName": "job-"}}
    made = [await api.made(api.path("configmaps"), body) for _ in range(5)]
    found = {obj["metadata"]["name"] for obj in made}
    assert len(found) == 5
    assert all(name.startswith("job-") and len(name) == 9 for name in found)
    assert {obj["metadata"]["generateName"] for obj in made} == {"job-"}


async def test_an_update_from_an_old_version_conflicts(api):
    path = api.path("configmaps", "settings")
    made = await api.made(api.path("configmaps"), config_map(a="1"))
    code, changed = await api.put(path, {**made, "data": {"a": "2"}})
    assert code == 200
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    code, status = await api.put(path, {**made, "data": {"a": "3"}})
    assert (code, status["reason"]) == (409, "Conflict")
    assert "the object has been modified" in status["message"]
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"a": "4"}}
    assert (await api.patch(path, stale))[0] == 409
    assert (await api.seen(path))["data"] == {"a": "2"}


async def test_an_update_without_a_version_replaces_where_the_kind_allows_it(api, widgets_at):
    await api.made(api.path("configmaps"), config_map(a="1"))
    code, changed = await api.put(api.path("configmaps", "settings"), config_map(b="2"))
    assert (code, changed["data"]) == (200, {"b": "2"})
    await api.made(widgets_at, widget())
    code, status = await api.put(f"{widgets_at}/cog", widget(size=2))
    assert (code, status["reason"]) == (422, "Invalid")
    assert "resourceVersion" in status["message"]


async def test_an_update_of_another_uid_conflicts(api):
    made = await api.made(api.path("configmaps"), config_map())
    other = {**made, "metadata": {**made["metadata"], "uid": "11111111-2222-3333-4444-555555555555"}}
    assert (await api.put(api.path("configmaps", "settings"), other))[0] == 409


async def test_a_write_that_changes_nothing_keeps_the_version(api):
    path = api.path("configmaps", "settings")
    made = await api.made(api.path("configmaps"), config_map(a="1"))
    assert await api.put(path, made) == (200, made)
    assert await api.patch(path, {"data": {"a": "1"}}) == (200, made)


async def test_what_the_server_owns_cannot_be_changed(api):
    path = api.path("configmaps", "settings")
    made = await api.made(api.path("configmaps"), config_map())
    forged = {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7, "selfLink": "x"}
    code, changed = await api.patch(path, {"metadata": forged, "data": {"a": "1"}})
    assert code == 200
    for name in ("creationTimestamp", "uid", "name", "namespace"):
        assert changed["metadata"][name] == made["metadata"][name]


async def test_the_generation_follows_the_spec_alone(api, widgets_at):
    path = f"{widgets_at}/cog"
    made = await api.made(widgets_at, widget())
    _, labelled = await api.patch(path, {"metadata": {"labels": {"a": "b"}}})
    _, resized = await api.patch(path, {"spec": {"size": 3}})
    _, reported = await api.patch(f"{path}/status", {"status": {"phase": "Up"}})
    assert [o["metadata"]["generation"] for o in (made, labelled, resized, reported)] == [1, 1, 2, 2]


async def test_the_status_endpoint_writes_status_alone_and_the_other_never(api, widgets_at):
    path = f"{widgets_at}/cog"
    made = await api.made(widgets_at, widget() | {"status": {"phase": "Up"}})
    assert "status" not in made
    _, reported = await api.patch(f"{path}/status", {"spec": {"size": 7}, "status": {"phase": "Up"}})
    assert (reported["spec"]["size"], reported["status"]) == (1, {"phase": "Up"})
    _, changed = await api.patch(path, {"spec": {"size": 7}, "status": {"phase": "Down"}})
    assert (changed["spec"]["size"], changed["status"]) == (7, {"phase": "Up"})
    code, put = await api.put(f"{path}/status", {**changed, "spec": {"size": 1}, "status": {"phase": "Off"}})
    assert (code, put["spec"]["size"], put["status"]) == (200, 7, {"phase": "Off"})
    assert (await api.seen(f"{path}/status")) == put


async def test_built_in_kinds_have_a_status_endpoint_too(api):
    path = api.path("pods", "worker")
    made = await api.made(api.path("pods"), pod() | {"status": {"phase": "Running"}})
    assert (made["status"]["phase"], made["status"]["qosClass"]) == ("Pending", "BestEffort")
    code, reported = await api.patch(f"{path}/status", {"status": {"phase": "Failed", "message": "broken"}})
    assert (code, reported["status"]["phase"], reported["status"]["message"]) == (200, "Failed", "broken")


async def test_a_dry_run_shows_the_result_and_stores_nothing(api):
    path = api.path("apps/deployments", "web")
    code, shown = await api.create(api.path("apps/deployments"), deployment(), dryRun="All")
    assert (code, shown["spec"]["replicas"]) == (201, 1)
    assert shown["metadata"]["uid"]
    assert (await api.get(path))[0] == 404
    await api.made(api.path("apps/deployments"), deployment())
    code, shown = await api.patch(path, {"spec": {"replicas": 4}}, dryRun="All")
    assert (code, shown["spec"]["replicas"]) == (200, 4)
    assert (await api.delete(path, dryRun="All"))[0] == 200
    assert (await api.delete(path, {"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]}))[
        0
    ] == 200
    assert (await api.seen(path))["spec"]["replicas"] == 1
    code, status = await api.create(api.path("configmaps"), config_map(), dryRun="Some")
    assert (code, status["reason"]) == (422, "Invalid")


DEFAULTED = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}


async def test_defaults_are_filled_in(api):
    resources = {"limits": {"cpu": "1000m", "memory": "1024Mi"}}
    body = deployment(resources=resources, ports=[{"containerPort": 80}])
    spec = (await api.made(api.path("apps/deployments"), body))["spec"]
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    template = spec["template"]["spec"]
    assert (template["restartPolicy"], template["dnsPolicy"]) == ("Always", "ClusterFirst")
    (container,) = template["containers"]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert DEFAULTED.items() <= container.items()


async def test_a_job_gets_a_selector_that_cannot_change(api):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    body = {"metadata": {"name": "tune"}, "spec": {"parallelism": 0, "template": template}}
    made = await api.made(api.path("batch/jobs"), body)
    uid = made["metadata"]["uid"]
    assert uid in made["spec"]["selector"]["matchLabels"].values()
    assert made["spec"]["template"]["metadata"]["labels"]["controller-uid"] == uid
    image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "other"}]
    code, status = await api.patch(api.path("batch/jobs", "tune"), image, "application/json-patch+json")
    assert (code, status["reason"]) == (422, "Invalid")
    assert "field is immutable" in status["message"]


async def test_a_service_keeps_its_address_and_a_secret_its_encoded_strings(api):
    body = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    service = await api.made(api.path("services"), body)
    assert service["spec"]["type"] == "ClusterIP"
    assert service["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    patch = {"spec": {"ports": [{"port": 81}]}}
    _, changed = await api.patch(api.path("services", "s"), patch)
    assert changed["spec"]["clusterIP"] == service["spec"]["clusterIP"]
    secret = await api.made(api.path("secrets"), {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    assert (secret["type"], secret["data"]) == ("Opaque", {"a": "Yg=="})
    assert "stringData" not in secret


REFUSED = {
    "a name in capitals": (config_map("Settings"), 422, "Invalid"),
    "no name": ({"data": {}}, 422, "Invalid"),
    "another kind": (deployment(), 400, "BadRequest"),
    "a value of the wrong type": (config_map(a=1), 400, "BadRequest"),
    "a resourceVersion": ({"metadata": {"name": "a", "resourceVersion": "5"}}, 500, ""),
    "another namespace than the URL's": ({"metadata": {"name": "a", "namespace": "b"}}, 400, "BadRequest"),
    "a bad label": (config_map("a", labels={"a": "b c"}), 422, "Invalid"),
    "a bad key": (config_map(**{"a/b": "c"}), 422, "Invalid"),
    "no JSON": (b"{", 400, "BadRequest"),
    "more than three MiB": (config_map(a="x" * 3_200_000), 413, "RequestEntityTooLarge"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
async def test_a_create_is_refused_for(case, api):
    body, code, reason = case
    found, status = await api.create(api.path("configmaps"), body)
    assert (found, status.get("reason", ""), status["kind"]) == (code, reason, "Status"), status["message"]


async def test_a_namespace_must_exist(api):
    code, status = await api.create("/api/v1/namespaces/nowhere/configmaps", config_map())
    assert (code, status["message"]) == (404, 'namespaces "nowhere" not found')


async def test_an_invalid_deployment_names_every_cause(api):
    body = deployment()
    body["spec"]["replicas"] = -1
    body["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    code, status = await api.create(api.path("apps/deployments"), body)
    assert (code, status["reason"]) == (422, "Invalid")
    fields = {each["field"] for each in status["details"]["causes"]}
    assert {"spec.replicas", "spec.template.metadata.labels"} <= fields


async def test_many_writers_of_one_name_make_one_object(api):
    answers = await asyncio.gather(
        *(api.create(api.path("configmaps"), config_map(a=str(n))) for n in range(20))
    )
    assert sorted(code for code, _ in answers) == [201] + [409] * 19


async def test_counting_with_conflicts_loses_nothing(api):
    path = api.path("configmaps", "settings")
    await api.made(api.path("configmaps"), config_map(n="0"))

    async def add_one():
        while True:
            seen = await api.seen(path)
            seen["data"]["n"] = str(int(seen["data"]["n"]) + 1)
            code, _ = await api.put(path, seen)
            if code == 200:
                return
            assert code == 409

    await asyncio.gather(*(add_one() for _ in range(10)))
    assert (await api.seen(path))["data"]["n"] == "10"
