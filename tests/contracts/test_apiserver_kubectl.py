"""The real kubectl, as people use it."""

import asyncio
import json

import pytest
from contracts import widgets
from contracts.api import bare, config_map, deployment, pod
from contracts.widgets import GROUP, widget


async def ok(kubectl, *arguments, **options):
    said = await kubectl(*arguments, **options)
    assert said.code == 0, (arguments, said.out, said.err)
    return said.out


async def test_apply_twice_diff_and_delete(kubectl):
    manifests = [deployment(replicas=0), config_map(a="1"), pod()]
    out = await ok(kubectl, "apply", "-f", "-", manifests=manifests)
    assert out.count("created") == 3
    out = await ok(kubectl, "apply", "-f", "-", manifests=manifests)
    assert out.count("unchanged") == 3, out
    code, out, err = await kubectl("diff", "-f", "-", manifests=[config_map(a="2")])
    assert (code, '+  a: "2"' in out) == (1, True), err
    out = await ok(kubectl, "apply", "-f", "-", manifests=[config_map(b="1")])
    assert "configmap/settings configured" in out
    out = await ok(kubectl, "get", "configmap", "settings", "-o", "jsonpath={.data}")
    assert json.loads(out) == {"b": "1"}
    out = await ok(kubectl, "delete", "-f", "-", manifests=manifests)
    assert out.count("deleted") == 3


async def test_server_side_apply_takes_over_and_reports_conflicts(kubectl):
    await ok(kubectl, "apply", "-f", "-", manifests=[bare(a="1")])
    out = await ok(kubectl, "apply", "--server-side", "-f", "-", manifests=[bare(a="2")])
    assert out == "configmap/settings serverside-applied\n"
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    code, _, err = await kubectl(*other, manifests=[bare(a="3")])
    assert (code, 'conflict with "kubectl": .data.a' in err) == (1, True), err
    await ok(kubectl, *other, "--force-conflicts", manifests=[bare(a="3")])
    out = await ok(kubectl, "get", "cm", "settings", "--show-managed-fields", "-o", "json")
    assert "other" in {entry["manager"] for entry in json.loads(out)["metadata"]["managedFields"]}
    code, out, _ = await kubectl("diff", "--server-side", "-f", "-", manifests=[bare(a="3", b="1")])
    assert (code, '+  b: "1"' in out) == (1, True)


async def test_get_prints_tables_names_and_documents(kubectl):
    await ok(kubectl, "create", "-f", "-", manifests=[pod(), deployment(replicas=0)])
    header, row = (await ok(kubectl, "get", "pod", "worker", "-o", "wide")).splitlines()
    assert header.split()[:7] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    assert row.split()[:4] == ["worker", "0/1", "Pending", "0"]
    assert (await ok(kubectl, "get", "po,deploy", "-o", "name")).split() == [
        "pod/worker",
        "deployment.apps/web",
    ]
    shown = json.loads(await ok(kubectl, "get", "deploy/web", "-o", "json"))
    assert shown["kind"] == "Deployment"
    assert (await ok(kubectl, "get", "pods", "--sort-by=.metadata.name", "-o", "name")).split() == [
        "pod/worker"
    ]
    code, _, err = await kubectl("get", "pod", "none")
    assert (code, err) == (1, 'Error from server (NotFound): pods "none" not found\n')


async def test_create_replace_patch_label_and_annotate(kubectl):
    await ok(kubectl, "create", "-f", "-", manifests=[config_map(a="1")])
    code, _, err = await kubectl("create", "-f", "-", manifests=[config_map(a="1")])
    assert (code, "already exists" in err) == (1, True)
    await ok(kubectl, "replace", "-f", "-", manifests=[config_map(b="1")])
    for kind, patch in (
        ("merge", {"data": {"c": "1"}}),
        ("strategic", {"data": {"d": "1"}}),
        ("json", [{"op": "remove", "path": "/data/b"}]),
    ):
        await ok(kubectl, "patch", "cm", "settings", f"--type={kind}", "-p", json.dumps(patch))
    await ok(kubectl, "label", "cm", "settings", "tier=gold", "suite-")
    await ok(kubectl, "annotate", "cm", "settings", "note=x")
    found = json.loads(await ok(kubectl, "get", "cm", "-l", "tier=gold", "-o", "json"))["items"]
    assert [each["data"] for each in found] == [{"c": "1", "d": "1"}]
    assert found[0]["metadata"]["labels"] == {"tier": "gold"}
    assert found[0]["metadata"]["annotations"]["note"] == "x"


async def test_an_editor_changes_an_object(kubectl, tmp_path, monkeypatch):
    await ok(kubectl, "create", "-f", "-", manifests=[config_map(a="before")])
    monkeypatch.setenv("KUBE_EDITOR", "sed -i s/before/after/")
    assert "edited" in await ok(kubectl, "edit", "cm", "settings")
    assert await ok(kubectl, "get", "cm", "settings", "-o", "jsonpath={.data.a}") == "after"


async def test_a_custom_resource_is_applied_shown_and_awaited(kubectl, api):
    await widgets.served(api)
    await ok(kubectl, "apply", "-f", "-", "--validate=ignore", manifests=[widget()])
    ready = json.dumps({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    waiting = asyncio.create_task(kubectl("wait", "wd/cog", "--for=condition=Ready", "--timeout=30s"))
    code, _ = await api.patch(_status(api), json.loads(ready))
    assert code == 200
    said = await waiting
    assert (said.code, said.out) == (0, f"widget.{GROUP}/cog condition met\n"), said.err
    header, row = (await ok(kubectl, "get", "toys")).splitlines()
    assert header.split() == ["NAME", "SIZE", "READY", "AGE"]
    assert row.removeprefix(f"widget.{GROUP}/").split()[:3] == ["cog", "1", "True"]
    header, _ = (await ok(kubectl, "get", "widgets", "-o", "wide")).splitlines()
    assert "COLOUR" in header
    out = await ok(kubectl, "wait", "wd/cog", "--for=jsonpath={.spec.size}=1", "--timeout=5s")
    assert "condition met" in out
    await ok(kubectl, "delete", "wd", "cog", "--wait=true")
    await ok(kubectl, "wait", "wd/cog", "--for=delete", "--timeout=5s")


def _status(api):
    return f"/apis/{GROUP}/v1/namespaces/{api.namespace}/widgets/cog/status"


async def test_unknown_fields_are_refused_before_or_by_the_server(kubectl, api):
    await widgets.served(api)
    await _until_described(kubectl)
    code, _, err = await kubectl("apply", "-f", "-", manifests=[widget(weight=1)])
    assert code == 1
    assert 'unknown field "spec.weight"' in err or 'unknown field "weight"' in err


async def _until_described(kubectl):
    async with asyncio.timeout(60):
        while (await kubectl("explain", "widget.spec.size")).code:
            await asyncio.sleep(0.2)


async def test_explain_tells_what_a_field_means(kubectl, api):
    await widgets.served(api)
    await _until_described(kubectl)
    assert "How big it is." in await ok(kubectl, "explain", "widget.spec.size")
    assert "colour" in await ok(kubectl, "explain", "widget.spec")
    assert "replicas" in await ok(kubectl, "explain", "deployment.spec")


async def test_a_watch_follows(kubectl, api):
    watching = asyncio.create_task(
        kubectl(
            "get",
            "cm",
            "-l",
            "suite",
            "-w",
            "--request-timeout=6s",
            "-o",
            "jsonpath={.metadata.name}={.data.a} ",
        )
    )
    await api.made(api.path("configmaps"), config_map(a="1"))
    await asyncio.sleep(2)  # long enough for the watch to begin, whichever of the two states it begins with
    await api.patch(api.path("configmaps", "settings"), {"data": {"a": "2"}})
    said = await watching
    assert said.out.split()[-1] == "settings=2", said


async def test_describe_ends_with_events(kubectl, api):
    made = await api.made(api.path("pods"), pod())
    about = {"apiVersion": "v1", "kind": "Pod", "name": "worker", "namespace": api.namespace}
    about["uid"] = made["metadata"]["uid"]
    event = {
        "metadata": {"name": "worker.1"},
        "involvedObject": about,
        "reason": "Odd",
        "message": "it is odd",
        "type": "Warning",
        "source": {"component": "tests"},
    }
    await api.made(api.path("events"), event)
    described = await ok(kubectl, "describe", "pod", "worker")
    assert "it is odd" in described
    assert "app:1" in described
    assert "it is odd" in await ok(kubectl, "events", "--for=pod/worker")


async def test_what_a_server_offers_can_be_asked(kubectl, server):
    offered = await ok(kubectl, "api-resources")
    assert {"configmaps", "deployments", "customresourcedefinitions"} <= {
        line.split()[0] for line in offered.splitlines()
    }
    versions = json.loads(await ok(kubectl, "version", "-o", "json"))
    assert versions["serverVersion"]["minor"].rstrip("+") == str(server.version[1])
    assert "ok" in await ok(kubectl, "get", "--raw", "/readyz")


@pytest.mark.controllers
async def test_a_deletion_waits_for_the_end(kubectl, api):
    await ok(kubectl, "create", "-f", "-", manifests=[config_map(a="1")])
    code, _, err = await kubectl("delete", "ns", api.namespace, "--timeout=60s", seconds=70)
    assert code == 0, err
    assert (await api.get(f"/api/v1/namespaces/{api.namespace}"))[0] == 404


async def test_a_pod_can_be_removed_by_force(kubectl):
    await ok(kubectl, "create", "-f", "-", manifests=[pod(nodeName="somewhere")])
    await ok(kubectl, "delete", "pod", "worker", "--grace-period=0", "--force")
    assert (await kubectl("get", "pod", "worker")).code == 1


async def test_a_typed_create_needs_protobuf(kubectl, server, api):
    """kubectl sends typed objects in no other form, and has no second try."""
    code, out, err = await kubectl("create", "configmap", "typed", "--from-literal=a=1")
    if server.is_dev:
        assert (code, "send JSON or YAML" in err) == (1, True)
    else:
        assert (code, out) == (0, "configmap/typed created\n"), err


async def test_a_review_needs_protobuf_too(kubectl, server):
    code, out, err = await kubectl("auth", "can-i", "create", "pods")
    if server.is_dev:
        assert (code, "JSON" in err) == (1, True), err
    else:
        assert (code, out) == (0, "yes\n"), err
