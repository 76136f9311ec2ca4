"""The running daemon's work as people look at it: through the real kubectl."""

import json

import pytest
from e2e.bed import NAMESPACE, inference
from plugins.kubectl import kubectl_for

COLUMNS = ["NAME", "INSTANCE", "RESOURCEREADY", "INFERENCEREADY", "WORKSPACEREADY", "AGE"]
ROW = ["Standard_NC6s_v3", "True", "True", "True"]


@pytest.fixture
async def kubectl(bed):
    """kubectl in the namespace of two workspaces that are ready: `chat` and `other`."""
    run = kubectl_for(bed.kubeconfig, bed.root)

    async def in_namespace(*arguments):
        said = await run("-n", NAMESPACE, *arguments)
        assert said.code == 0, said.err
        return said.out

    await bed.run()
    bed.push({"chat.yaml": inference("chat"), "other.yaml": inference("other")})
    await are_ready(bed)
    return in_namespace


async def are_ready(bed):
    async def ready():
        return [await bed.phase(name) for name in ("chat", "other")] == ["Ready", "Ready"]

    await bed.until(ready, "both workspaces to be ready")


async def test_the_columns_say_what_is_ready(kubectl):
    for kind in ("workspace", "workspaces", "wk"):
        header, *rows = (line.split() for line in (await kubectl("get", kind)).splitlines())
        assert header == COLUMNS
        assert [row[:-1] for row in rows] == [["chat", *ROW], ["other", *ROW]]


async def test_the_service_has_both_ports_inside_the_cluster(kubectl):
    header, row = (line.split() for line in (await kubectl("get", "svc", "chat")).splitlines())
    service = dict(zip(header, row, strict=True))
    assert (service["TYPE"], service["PORT(S)"]) == ("ClusterIP", "80/TCP,29500/TCP")


async def test_describe_shows_conditions_and_events(bed, kubectl):
    async def ends_ready():
        _, _, events = (await kubectl("describe", "workspace", "chat")).partition("Events:")
        return "AsDeclared" in events

    await bed.until(ends_ready, "the Event that tells of its readiness")
    conditions, _, events = (await kubectl("describe", "workspace", "chat")).partition("Events:")
    for type in ("ResourceReady", "InferenceReady", "WorkspaceReady"):
        assert f"Type:                  {type}\n" in conditions
    assert "Provisioning: Workspace ai/chat does not exist" in events


async def test_wait_returns_for_what_is_ready(kubectl):
    said = await kubectl(
        "wait", "--for=condition=WorkspaceReady", "workspace/chat", "workspace/other", "--timeout=10s"
    )
    assert said.splitlines() == [f"workspace.kaito.sh/{name} condition met" for name in ("chat", "other")]


async def test_get_events_ends_each_story_with_readiness(bed, kubectl):
    async def told():
        lines = (await kubectl("get", "events", "--field-selector", "reason=AsDeclared")).splitlines()[1:]
        return sorted(line.split()[1:] for line in lines) == [
            ["Normal", "AsDeclared", f"workspace/{name}", "Ready"] for name in ("chat", "other")
        ]

    await bed.until(told, "the events")


async def test_deleting_all_workspaces_leaves_every_pod_and_they_come_back(bed, kubectl):
    pods, before = await uids(kubectl, "pods"), await uids(kubectl, "workspaces")
    assert len(pods) == 2
    await kubectl("delete", "workspace", "--all")

    async def back():
        after = await uids(kubectl, "workspaces")
        return after.keys() == before.keys() and not set(after.values()) & set(before.values())

    await bed.until(back, "the Workspace objects to come back")
    await kubectl("wait", "--for=condition=WorkspaceReady", "workspace", "--all", "--timeout=10s")
    assert await uids(kubectl, "pods") == pods


async def test_deleting_the_definition_leaves_every_pod_and_it_comes_back(bed, kubectl):
    pods = await uids(kubectl, "pods")
    await kubectl("delete", "crd", "workspaces.kaito.sh")
    await are_ready(bed)
    assert (await kubectl("get", "wk", "-o", "name")).split() == [
        f"workspace.kaito.sh/{name}" for name in ("chat", "other")
    ]
    assert await uids(kubectl, "pods") == pods


async def test_an_edit_by_hand_is_put_back(bed, kubectl):
    await kubectl("patch", "deployment", "chat", "-p", json.dumps({"spec": {"replicas": 3}}))

    async def put_back():
        return await kubectl("get", "deployment", "chat", "-o", "jsonpath={.spec.replicas}") == "1"

    await bed.until(put_back, "the edit to be put back")


async def uids(kubectl, kind):
    """By name."""
    found = json.loads(await kubectl("get", kind, "-o", "json"))["items"]
    return {each["metadata"]["name"]: each["metadata"]["uid"] for each in found}
