"""Commands that read or annotate the objects of a cluster."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from reconciler import data
from reconciler.cluster.apply import install_crd
from reconciler.cluster.state import StateStore
from reconciler.model import names
from reconciler.model.names import ObjectKey

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def workspace(name: str, namespace: str = "ai") -> dict:
    return {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {names.COMMIT: COMMIT, names.PATH: f"workspaces/{name}.yaml"},
        },
        "resource": {
            "instanceType": "Standard_NC24ads_A100_v4",
            "labelSelector": {"matchLabels": {"app": name}},
        },
        "inference": {"preset": {"name": "phi-3-mini-4k-instruct"}},
    }


def status(phase: str, reason: str, message: str = "", **more: object) -> dict:
    over = "True" if phase == "Ready" else "False"
    condition = {
        "type": "WorkspaceReady",
        "status": over,
        "reason": reason,
        "message": message,
        "lastTransitionTime": (datetime.now(UTC) - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "observedGeneration": 1,
    }
    said = {"phase": phase, "reason": reason, "message": message, "conditions": [condition]}
    return {**said, "commit": COMMIT, "path": "workspaces/phi.yaml:3", **more}


@pytest.fixture
async def cluster(client):
    """One that is ready, one that waits for its image, and a name that two namespaces use."""
    await install_crd(client, yaml.safe_load(data.path(f"schemas/crds/{names.CRD_NAME}.yaml").read_text()))
    for namespace in ("ai", "ml"):
        await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})

    async def put(manifest: dict, said: dict) -> None:
        made = await client.create(manifest)
        key = ObjectKey("Workspace", made["metadata"]["namespace"], made["metadata"]["name"])
        await client.merge_patch(key, {"status": said}, subresource="status")

    await put(workspace("ready"), status("Ready", "AsDeclared"))
    await put(workspace("phi"), status("Deploying", "WorkloadNotReady", "0 of 1 pods are ready", pool="rabc"))
    await put(workspace("phi", "ml"), status("Held", "ImmutableField", "count cannot change"))
    labels = {names.WORKSPACE: "phi", names.WORKSPACE_NAMESPACE: "ai"}
    await client.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": labels}})
    pod = await client.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "phi-0", "namespace": "ai", "labels": labels},
            "spec": {"containers": [{"name": "main", "image": "app:1"}]},
        }
    )
    waiting = {"reason": "ErrImagePull", "message": "no such image"}
    container = {"name": "main", "state": {"waiting": waiting}, "ready": False, "restartCount": 0}
    container |= {"image": "app:1", "imageID": ""}
    await client.merge_patch(
        ObjectKey("Pod", "ai", pod["metadata"]["name"]),
        {"status": {"phase": "Pending", "containerStatuses": [container]}},
        subresource="status",
    )
    return client


async def test_status_shows_a_line_for_each_workspace(cli, cluster, settings):
    outcome = await cli("status", "--config", settings())
    lines = [line.split() for line in outcome.out.splitlines()]
    assert outcome.code == 0
    assert lines[0] == ["WORKSPACE", "PHASE", "REASON", "INSTANCE", "SINCE", "MESSAGE"]
    assert lines[1][:6] == [
        "ai/phi", "Deploying", "WorkloadNotReady", "Standard_NC24ads_A100_v4", "3h", "0",
    ]  # fmt: skip
    assert [line[0] for line in lines[1:]] == ["ai/phi", "ai/ready", "ml/phi"]


async def test_status_as_json_has_the_fields_of_the_status_ref(cli, cluster, settings):
    outcome = await cli("status", "ready", "--config", settings(), "-o", "json")
    (found,) = json.loads(outcome.out)
    assert (found["namespace"], found["name"], found["phase"]) == ("ai", "ready", "Ready")
    assert (found["path"], found["line"], found["commit"]) == ("workspaces/phi.yaml", 3, COMMIT)


async def test_status_ends_with_what_is_wrong_with_the_daemon_itself(cli, cluster, client, settings):
    since = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    blocked = {"status": "True", "reason": "NotPermitted", "message": "give it a token", "since": since}
    over = {**blocked, "status": "False"}
    said = {"SourceUnreadable": over, "WriteBackBlocked": blocked, "garbled": {"since": 3}}
    await StateStore(client, "reconciler-system").save({names.CONDITIONS_ENTRY: said})
    line = "! WriteBackBlocked since 5m: NotPermitted: give it a token"
    outcome = await cli("status", "--config", settings())
    assert outcome.out.splitlines()[4:] == [line]
    outcome = await cli("status", "--config", settings(), "-o", "json")
    assert len(json.loads(outcome.out)) == 3
    assert outcome.err.splitlines() == [line]


async def test_a_cluster_without_workspaces_tells_why_where_the_daemon_knows(cli, client, settings):
    since = datetime.now(UTC).isoformat()
    away = {"status": "True", "reason": "Unavailable", "message": "no answer", "since": since}
    await StateStore(client, "reconciler-system").save({names.CONDITIONS_ENTRY: {"SourceUnreadable": away}})
    outcome = await cli("status", "--config", settings())
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1].startswith("! SourceUnreadable since ")


async def test_a_bare_name_must_be_unique(cli, cluster, settings):
    outcome = await cli("status", "phi", "--config", settings())
    assert outcome.code == 1
    assert "several workspaces are called phi: ai/phi, ml/phi" in outcome.err


async def test_an_unknown_name_is_answered_with_the_nearest(cli, cluster, settings):
    outcome = await cli("why", "reddy", "--config", settings())
    assert outcome.code == 1
    assert "there is no workspace reddy; did you mean ready?" in outcome.err


async def test_a_cluster_without_workspaces_says_so(cli, client, settings):
    outcome = await cli("status", "--config", settings())
    assert outcome.code == 1
    assert outcome.err == f"error: this cluster serves no {names.CRD_NAME}; is it the right one?\n"


async def test_why_leads_from_the_line_in_git_to_the_pod(cli, cluster, settings):
    outcome = await cli("why", "ai/phi", "--config", settings())
    assert outcome.code == 0
    for said in (
        "ai/phi: Deploying for 3h: WorkloadNotReady",
        f"workspaces/phi.yaml:3 in commit {COMMIT[:12]}",
        "0 of 1 pods are ready",
        "pool        rabc Standard_NC24ads_A100_v4",
        "node        n1 not ready, 0 GPUs",
        "pod         phi-0 Pending: ErrImagePull: no such image",
    ):
        assert said in outcome.out


async def test_why_without_a_name_explains_all_that_are_not_ready(cli, cluster, settings):
    outcome = await cli("why", "--config", settings())
    assert [line.split(":")[0] for line in outcome.out.splitlines() if line[0] != " "] == ["ai/phi", "ml/phi"]


async def test_suspend_annotates_the_live_object_and_resume_removes_it(cli, cluster, settings):
    said = await cli(
        "suspend", "ml/phi", "--for", "2h", "--why", "GPU  swap", "--who", "ada", "-c", settings()
    )
    assert said.code == 0
    annotation = await _suspension(cluster)
    until, who, why = annotation.split(maxsplit=2)
    assert (who, why) == ("ada", "GPU swap")
    assert 7190 < datetime.fromisoformat(until).timestamp() - time.time() <= 7200
    assert (await cli("resume", "ml/phi", "-c", settings())).code == 0
    assert await _suspension(cluster) is None


async def _suspension(client) -> str | None:
    found = await client.get(ObjectKey("Workspace", "ml", "phi"))
    return (found["metadata"].get("annotations") or {}).get(names.SUSPEND)


async def test_a_longer_suspension_is_sent_to_git(cli, cluster, settings):
    said = await cli("suspend", "ml/phi", "--for", "2d", "--why", "audit", "--who", "ada", "-c", settings())
    assert said.code == 1
    assert "lasts at most 24h" in said.err and f'commit the annotation {names.SUSPEND}: "' in said.err
    assert await _suspension(cluster) is None


async def test_suspending_what_is_not_there_is_an_error(cli, cluster, settings):
    said = await cli("suspend", "ml/none", "--for", "2h", "--why", "x", "-c", settings())
    assert (said.code, said.err) == (1, "error: the cluster has no Workspace ml/none\n")


HOLD = {
    "reason": "MassDeletion",
    "why": "9 of 9 workspaces would be deleted",
    "since": 1.7e9,
    "revision": "abc",
}


async def test_ack_lists_what_is_held(cli, client, settings):
    store = StateStore(client, "reconciler-system")
    assert "nothing is held" in (await cli("ack", "-c", settings())).out
    await store.save({"holds": {"0123456789ab": {**HOLD, "members": ["delete ai/a", "delete ai/b"]}}})
    outcome = await cli("ack", "-c", settings())
    assert "0123456789ab" in outcome.out and "MassDeletion" in outcome.out and "delete ai/b" in outcome.out


async def test_ack_lets_a_group_through_and_says_what_is_in_it(cli, client, settings):
    store = StateStore(client, "reconciler-system")
    await store.save({"holds": {"0123456789ab": {**HOLD, "members": ["delete ai/a", "delete ai/b"]}}})
    outcome = await cli("ack", "0123456789ab", "--who", "ada", "-c", settings())
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "let through 0123456789ab: MassDeletion: 9 of 9 workspaces would be deleted",
        "  delete ai/a",
        "  delete ai/b",
    ]
    assert (await store.load())["ack.0123456789ab"]["by"] == "ada"


async def test_ack_of_an_unknown_group_names_the_open_ones_and_writes_nothing(cli, client, settings):
    store = StateStore(client, "reconciler-system")
    await store.save({"holds": {"0123456789ab": {**HOLD, "members": ["delete ai/a"]}}})
    outcome = await cli("ack", "ffffffffffff", "-c", settings())
    assert outcome.code == 1
    assert "no group ffffffffffff is held; open are: 0123456789ab (MassDeletion)" in outcome.err
    assert set(await store.load()) == {"holds"}


async def test_wait_asks_the_objects_where_the_status_ref_is_off(cli, cluster, settings):
    config = settings(status={"ref": "off"})
    outcome = await cli("wait", "--commit", COMMIT, "--for", "ready", "-c", config)
    assert outcome.code == 1
    assert "ml/phi: Held: ImmutableField: count cannot change" in outcome.err
