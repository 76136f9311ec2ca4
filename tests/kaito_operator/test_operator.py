"""The stand-in of the Kaito operator, seen as a user of kubectl would."""

import pytest
from kaito_operator.controller import Operated
from plugins.world import Bench

from reconciler.dev.clock import INSTANT
from reconciler.dev.serve import Options, serve
from reconciler.model import names

TYPE = "Standard_NC6s_v3"


@pytest.fixture
async def operated(tmp_path, request):
    world = await serve(tmp_path, Options(speed=INSTANT))
    operated = Operated(world, request.param)
    bench = Bench(world)
    bench.operator = await operated.start()
    yield bench
    await operated.stop()
    await world.stop()


def every_era(test):
    return pytest.mark.parametrize("operated", ["v0.3", "v0.4", "head"], indirect=True)(test)


def workspace(name="phi", kind="inference", **annotations):
    preset = {"name": "phi-3-mini-4k-instruct"}
    block = (
        {"preset": preset}
        if kind == "inference"
        else {"preset": preset, "method": "lora", "input": {}, "output": {}}
    )
    return {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "resource": {"instanceType": TYPE, "labelSelector": {"matchLabels": {"apps": name}}},
        kind: block,
    }


def conditions(found):
    return {c["type"]: (c["status"], c["reason"]) for c in found.get("status", {}).get("conditions") or []}


def over(found):
    said = conditions(found)
    return said.get("WorkspaceSucceeded", said.get("WorkspaceReady", ("", "")))[0] == "True"


@every_era
@pytest.mark.parametrize("kind", ["inference", "tuning"])
async def test_a_workspace_is_provisioned_and_reported(operated, kind):
    await operated.client.create(workspace(kind=kind))
    found = await operated.until("Workspace", "phi", over)
    assert conditions(found)["ResourceReady"][0] == "True"
    assert len(found["status"]["workerNodes"]) == 1
    assert names.FOREIGN_FINALIZER in found["metadata"]["finalizers"]
    workload = await operated.get("Deployment" if kind == "inference" else "Job", "phi")
    assert workload["metadata"]["ownerReferences"][0]["kind"] == "Workspace"


@every_era
async def test_deleting_one_removes_machines_and_workload_before_it_is_gone(operated):
    await operated.client.create(workspace())
    await operated.until("Workspace", "phi", over)
    await operated.delete("Workspace", "phi")

    async def gone():
        left = [await operated.get("Workspace", "phi"), await operated.get("Deployment", "phi")]
        nodes, _ = await operated.client.list("Node")
        return not any(left) and not nodes

    await operated.eventually(gone)


SHORTAGE = "all requested instance types were unavailable during launch"
SAYS = {
    "v0.3": ("MachineReady", "machineFailedCreation"),
    "v0.4": ("NodeClaimReady", "nodeClaimFailedCreation"),
    "head": ("NodeClaimReady", "LaunchFailed"),
}


@pytest.mark.parametrize(("operated", "says"), SAYS.items(), indirect=["operated"], ids=SAYS)
async def test_a_shortage_is_told_and_passes(operated, says):
    operated.operator.shortages[TYPE] = SHORTAGE
    await operated.client.create(workspace())
    type, reason = says
    await operated.until("Workspace", "phi", lambda w: conditions(w).get(type) == ("False", reason))
    operated.operator.shortages.clear()
    await operated.until("Workspace", "phi", over)


@pytest.mark.parametrize("operated", ["v0.4", "head"], indirect=True)
async def test_what_it_acts_on_is_annotated(operated):
    await operated.client.create(workspace())
    found = await operated.until("Workspace", "phi", over)
    assert found["metadata"]["annotations"]["workspace.kaito.io/revision"] == "1"
    assert found["metadata"]["annotations"][names.FOREIGN_HASH]


@pytest.mark.parametrize("operated", ["head"], indirect=True)
async def test_a_pod_that_cannot_run_is_classified(operated):
    await operated.client.create(workspace(**{"dev.reconciler.dev/fail": "OOMKilled"}))
    found = await operated.until(
        "Workspace", "phi", lambda w: conditions(w).get("InferenceReady", ("", ""))[1].startswith("Container")
    )
    assert found["status"]["state"] == "NotReady"
