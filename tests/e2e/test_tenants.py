"""Tenants against a running daemon: as whom objects are written, and what is not written at all."""

import json

import pytest
import yaml
from e2e.bed import NAMESPACE, inference
from plugins.kubectl import kubectl_for


@pytest.fixture
async def shared(bed):
    """Two teams in one repository; only team a may do something."""
    bed.settings["tenants"] = [
        {
            "name": "team-a",
            "paths": ["workspaces/a/**"],
            "namespaces": [NAMESPACE],
            "maxGpus": 2,
            "serviceAccount": f"{NAMESPACE}:team-a",
        }
    ]
    if bed.control_plane:
        await let_in(bed)
    await bed.run()
    return bed


async def let_in(bed):
    """A real server lets the tenant's account do what an administrator gave it."""
    kubectl = kubectl_for(bed.kubeconfig, bed.root)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "team-a", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "team-a", "namespace": NAMESPACE}],
    }
    said = await kubectl("create", "-f", "-", manifests=[binding])
    assert said.code == 0, said.err


async def told(bed, **phases):
    try:
        index = json.loads(bed.status_file("index.json"))
    except RuntimeError:
        return False
    return index["workspaces"] == {f"{NAMESPACE}/{name}": phase for name, phase in phases.items()}


def reason_of(bed, name):
    files = bed._git("ls-tree", "-r", "--name-only", "refs/status").split()
    status = json.loads(bed.status_file(next(f for f in files if f.endswith(f".{name}.json"))))
    return status["reason"], status["message"]


def applied(bed, name):
    """(resource, user) of what the daemon applied for a workspace, but for status and Events."""
    patched = [(each.path.rsplit("/", 2), each.user) for each in bed.api.passed if each.method == "PATCH"]
    return {
        (resource, user)
        for (_, resource, target), user in patched
        if target.startswith(name) and resource != "events"
    }


async def test_a_tenants_objects_are_written_as_its_service_account(shared):
    shared.push({"a/chat.yaml": inference("chat")})
    await shared.until(lambda: told(shared, chat="Ready"), "chat to be ready")
    user = f"system:serviceaccount:{NAMESPACE}:team-a"
    assert applied(shared, "chat") == {
        (kind, user) for kind in ("workspaces", "configmaps", "deployments", "services")
    }
    statuses = [each for each in shared.api.passed if each.path.endswith("/workspaces/chat/status")]
    assert {each.user for each in statuses if each.method == "PATCH"} == {""}


async def test_a_workspace_outside_the_table_is_refused_and_not_written(shared):
    shared.push({"a/chat.yaml": inference("chat"), "b/other.yaml": inference("other")})
    await shared.until(lambda: told(shared, chat="Ready", other="Held"), "both to be told")
    assert reason_of(shared, "other") == (
        "NotPermitted",
        f"no tenant may declare {NAMESPACE}/other in workspaces/b/other.yaml",
    )
    assert applied(shared, "other") == set()
    assert len(shared.pools()) == 1


async def test_more_gpus_than_the_tenant_may_use_are_refused_until_others_go(shared):
    shared.push({"a/one.yaml": inference("one", count=2), "a/two.yaml": inference("two")})
    await shared.until(lambda: told(shared, one="Ready", two="Held"), "both to be told")
    assert reason_of(shared, "two")[1] == "tenant team-a may use 2 GPUs; this would make 3"
    shared.push({"a/one.yaml": None})
    await shared.until(lambda: told(shared, two="Ready"), "two to take its turn")


async def test_a_pod_template_that_asks_for_privileges_is_refused_without_a_table_too(bed):
    await bed.run()
    document = yaml.safe_load(inference("own"))
    container = {"name": "main", "image": "x:1", "securityContext": {"privileged": True}}
    document["inference"] = {"template": {"spec": {"containers": [container]}}}
    bed.push({"own.yaml": yaml.safe_dump(document)})
    await bed.until(lambda: told(bed, own="Held"), "the refusal")
    reason, message = reason_of(bed, "own")
    assert reason == "NotPermitted"
    assert "inference.template.spec.containers[0].securityContext.privileged must not be true" in message
    assert await bed.names("Workspace") == set()
