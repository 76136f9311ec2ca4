"""The real kubectl against the server."""

import asyncio
import json

import pytest
from plugins.kubectl import kubectl_for

from reconciler.dev.logs import Log

from .client import CRDS, config_map, definition, deployment, pod, workspace


@pytest.fixture
def kubectl(kubeconfig, tmp_path):
    return kubectl_for(kubeconfig, tmp_path)


async def test_apply_twice_diff_and_delete(kubectl):
    manifests = [deployment(replicas=2), config_map(a="1"), pod()]
    code, out, _ = await kubectl("apply", "-f", "-", manifests=manifests)
    assert (code, out.count("created")) == (0, 3)
    _, out, _ = await kubectl("apply", "-f", "-", manifests=manifests)
    assert out.count("unchanged") == 3
    code, out, _ = await kubectl("diff", "-f", "-", manifests=[deployment(replicas=3)])
    assert code == 1
    assert "+  replicas: 3" in out
    code, out, _ = await kubectl("delete", "-f", "-", manifests=manifests)
    assert (code, out.count("deleted")) == (0, 3)


async def test_server_side_apply_takes_over_and_reports_conflicts(kubectl):
    await kubectl("apply", "-f", "-", manifests=[deployment(replicas=2)])
    code, out, err = await kubectl("apply", "--server-side", "-f", "-", manifests=[deployment(replicas=3)])
    assert (code, out, err) == (0, "deployment.apps/web serverside-applied\n", "")
    code, _, err = await kubectl(
        "apply", "--server-side", "--field-manager=x", "-f", "-", manifests=[deployment(replicas=4)]
    )
    assert code == 1
    assert 'conflict with "kubectl": .spec.replicas' in err


async def test_get_shows_tables_and_wide_ones(kubectl, api):
    await api.create("/api/v1/namespaces/default/pods", pod(nodeName="n1"))
    _, out, _ = await kubectl("get", "pods", "-o", "wide")
    header, row = out.splitlines()
    assert header.split() == [
        *("NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"),
        *("NOMINATED", "NODE", "READINESS", "GATES"),
    ]
    assert row.split()[:4] == ["worker", "0/1", "Pending", "0"]


async def test_a_custom_resource_is_applied_shown_awaited_and_explained(kubectl, kaito):
    code, _, err = await kubectl("apply", "-f", "-", manifests=[workspace()])
    assert code == 0, err
    code, _, err = await kubectl("apply", "-f", "-", manifests=[workspace(resource={"colour": "red"})])
    assert code == 1
    assert 'unknown field "resource.colour"' in err
    ready = json.dumps({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    await kubectl("patch", "wk", "falcon", "--subresource=status", "--type=merge", "-p", ready)
    code, _, err = await kubectl("wait", "wk/falcon", "--for=condition=Ready", "--timeout=5s")
    assert code == 0, err
    _, out, _ = await kubectl("get", "ai")
    assert out.splitlines()[1].split()[:3] == ["falcon", "Standard_NC24ads_A100_v4", "True"]
    _, out, _ = await kubectl("explain", "workspace.resource")
    assert "instanceType" in out


async def test_a_definition_is_awaited_and_its_deletion_too(kubectl, api):
    await kubectl("apply", "-f", "-", manifests=[definition()])
    code, _, err = await kubectl(
        "wait", "crd/workspaces.kaito.sh", "--for=condition=Established", "--timeout=5s"
    )
    assert code == 0, err
    code, _, err = await kubectl("delete", "crd", "workspaces.kaito.sh")
    assert code == 0, err
    assert (await api.get(f"{CRDS}/workspaces.kaito.sh"))[0] == 404


async def test_a_watch_follows(kubectl, api):
    watching = asyncio.create_task(kubectl("get", "cm", "-w", "--request-timeout=3s", "-o", "name"))
    await api.create("/api/v1/namespaces/default/configmaps", config_map(a="1"))
    _, out, _ = await watching
    assert "configmap/settings" in out


async def test_describe_logs_and_versions_work(kubectl, apiserver, api):
    def read(namespace, name, container, previous):
        log = Log()
        log.write(0, b"hello\n")
        return log

    apiserver.log_source = read
    _, made = await api.create("/api/v1/namespaces/default/pods", pod())
    event = {
        "metadata": {"name": "worker.1"},
        "involvedObject": {
            "kind": "Pod",
            "name": "worker",
            "namespace": "default",
            "uid": made["metadata"]["uid"],
        },
        "reason": "FailedScheduling",
        "message": "no node fits",
        "type": "Warning",
    }
    await api.create("/api/v1/namespaces/default/events", event)
    assert (await kubectl("logs", "worker"))[1] == "hello\n"
    _, out, _ = await kubectl("describe", "pod", "worker")
    assert "no node fits" in out
    assert "v1.32.0" in (await kubectl("version"))[1]
    assert "deployments" in (await kubectl("api-resources"))[1]


async def test_a_typed_create_is_refused_for_its_protobuf(kubectl):
    code, _, err = await kubectl("create", "namespace", "team")
    assert code == 1
    assert "send JSON or YAML" in err
