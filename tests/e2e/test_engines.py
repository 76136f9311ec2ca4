"""Both engines in every mode, and a Kaito operator beside us: welcome with one, a conflict with the other."""

import json

import pytest
import yaml
from e2e.bed import NAMESPACE, inference, tuning

from reconciler.model import names
from reconciler.model.names import ObjectKey
from reconciler.wiring import crd

TYPE = "Standard_NC6s_v3"
TRAINING = yaml.safe_dump({"training_config": {"ModelConfig": {"torch_dtype": "bfloat16"}}})


@pytest.fixture
async def operated(new_bed, request):
    """A bed with an operator of some era, and a daemon that leaves the work to it."""
    made = await new_bed(operator=request.param)
    made.settings["engine"] = "kaito"
    del made.settings["provisioner"]
    return made


def era(*eras):
    return pytest.mark.parametrize("operated", eras, indirect=True)


def config(name, text=TRAINING):
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"training_config.yaml": text},
    }
    return yaml.safe_dump(document)


def tuned(name, configmap):
    document = yaml.safe_load(tuning(name, image=f"registry.example.com/adapters/{name}:1", method="lora"))
    document["tuning"]["config"] = configmap
    return yaml.safe_dump(document)


def told(bed, **phases):
    async def so():
        try:
            index = json.loads(bed.status_file("index.json"))
        except RuntimeError:
            return False
        return index["workspaces"] == {f"{NAMESPACE}/{name}": phase for name, phase in phases.items()}

    return so


async def status_of(bed, name):
    """One workspace as the status ref tells of it."""
    bed._git("fetch", "-q", "origin", "+refs/heads/reconciler-status/test:refs/status")
    paths = bed._git("ls-tree", "-r", "--name-only", "refs/status").split()
    path = next(p for p in paths if p.endswith(f"/{NAMESPACE}.{name}.json"))
    return json.loads(bed.status_file(path))


def writes_to(bed, part):
    return [line for line in bed.writes if part in line]


# --- engine kaito ----------------------------------------------------------------------------------


@era("v0.3", "v0.4", "head")
async def test_the_operator_does_the_work_and_its_conditions_are_told(operated):
    bed = operated
    await bed.run()
    bed.push({"chat.yaml": inference("chat"), "tune.yaml": tuning("tune")})
    await bed.until(told(bed, chat="Ready", tune="Succeeded"), "both to be told in Git")

    status = await status_of(bed, "chat")
    said = {c["type"]: c["status"] for c in status["conditions"]}
    assert {t: said[t] for t in ("ResourceReady", "InferenceReady", "WorkspaceSucceeded")} == {
        "ResourceReady": "True",
        "InferenceReady": "True",
        "WorkspaceSucceeded": "True",
    }
    assert len(status["nodes"]) == status["gpus"] == 1
    assert status["instanceType"] == TYPE
    seen = await bed.metrics()
    assert seen[f'workspace_reconciler_workspace_ready{{name="chat",namespace="{NAMESPACE}"}}'] == 1
    assert not writes_to(bed, "/status")
    assert not bed.pools()
    before = len(bed.writes)
    bed.settings["timing"]["fullPassSeconds"] = 0.3
    assert await bed.end() == 0
    await bed.run()
    await bed.until(lambda: _full_passes(bed, 3), "three full passes")
    assert bed.writes[before:] == [], "nothing that the operator wrote is fought over"


async def _full_passes(bed, wanted):
    return (await bed.metrics()).get('workspace_reconciler_cycles_total{result="full"}', 0) >= wanted


REASONS = {"v0.3": "MachineFailedCreation", "v0.4": "NodeClaimFailedCreation", "head": "LaunchFailed"}


@pytest.mark.parametrize(("operated", "reason"), REASONS.items(), indirect=["operated"], ids=REASONS)
async def test_a_failure_is_told_with_the_operators_reason_and_passes(operated, reason):
    bed = operated
    bed.operator.shortages[TYPE] = "all requested instance types were unavailable during launch"
    await bed.run()
    bed.push({"chat.yaml": inference("chat")})
    await bed.until(told(bed, chat="Held"), "the failure to be told")
    status = await status_of(bed, "chat")
    assert status["reason"] == reason
    assert "unavailable during launch" in status["message"]
    bed.operator.shortages.clear()
    await bed.until(told(bed, chat="Ready"), "it to recover")


@era("v0.4")
async def test_deleting_the_file_deletes_the_object_and_awaits_the_operator(operated):
    bed = operated
    await bed.run()
    bed.push({"chat.yaml": inference("chat"), "stays.yaml": inference("stays")})
    await bed.until(told(bed, chat="Ready", stays="Ready"), "both to be ready")
    bed.push({"chat.yaml": None})
    await bed.until(told(bed, stays="Ready"), "chat to be gone from the status ref")
    assert await bed.names("Workspace") == {"stays"}

    async def collected():
        return await bed.names("Deployment") == {"stays"}

    await bed.until(collected, "its Deployment to follow it, in the cluster's own time")
    assert writes_to(bed, "/workspaces/chat")[1:] == [f"DELETE {_path(bed, 'workspaces/chat')}"]


def _path(bed, rest):
    token = f"/{bed.world.api.token}" if bed.world.api else ""
    return f"{token}/apis/kaito.sh/v1alpha1/namespaces/{NAMESPACE}/{rest}"


@era("v0.4")
async def test_a_configmap_goes_before_the_workspaces_that_name_it_and_after_the_last(operated):
    bed = operated
    await bed.run()
    files = {"config.yaml": config("shared"), "a.yaml": tuned("a", "shared"), "b.yaml": tuned("b", "shared")}
    bed.push(files)
    await bed.until(told(bed, a="Succeeded", b="Succeeded"), "both to be done")
    kinds = [line.rsplit("/", 2)[-2] for line in bed.writes if "PATCH" in line and "-system" not in line]
    assert kinds == ["configmaps", "workspaces", "workspaces"]
    owner = await bed.get("ConfigMap", "shared")
    assert owner["metadata"]["annotations"][names.OWNER].endswith(f"{NAMESPACE}/a")

    bed.push({"a.yaml": None})
    await bed.until(told(bed, b="Succeeded"), "a to be gone")
    taken = await bed.get("ConfigMap", "shared")
    assert taken["metadata"]["uid"] == owner["metadata"]["uid"]
    assert taken["metadata"]["annotations"][names.OWNER].endswith(f"{NAMESPACE}/b")

    bed.push({"b.yaml": None, "config.yaml": None, "c.yaml": inference("c")})
    await bed.until(told(bed, c="Ready"), "b to be gone")
    assert await bed.get("ConfigMap", "shared") is None
    deleted = [line.rsplit("/", 1)[1] for line in bed.writes if line.startswith("DELETE")]
    assert deleted == ["a", "b", "shared"]


async def test_without_the_operator_a_remedy_is_told_and_nothing_is_installed(bed):
    bed.settings["engine"] = "kaito"
    await bed.run()
    bed.push({"chat.yaml": inference("chat")})
    await bed.until(told(bed, chat="Held"), "the missing definition to be told")
    status = await status_of(bed, "chat")
    assert status["reason"] == "CrdMissing"
    assert "install the Kaito operator" in status["message"]
    assert await bed.client.get(ObjectKey("CustomResourceDefinition", "", names.CRD_NAME)) is None


@era("head")
async def test_mode_observe_leaves_the_operator_without_work(operated):
    bed = operated
    bed.settings["mode"] = "observe"
    await bed.run()
    bed.push({"chat.yaml": inference("chat")})
    await bed.until(told(bed, chat="Held"), "the plan to be told in Git")
    assert (await status_of(bed, "chat"))["reason"] == "ObserveMode"
    assert all("git-receive-pack" in line for line in bed.writes)


@era("head")
async def test_mode_deliver_is_all_the_operator_needs(operated):
    bed = operated
    bed.settings["mode"] = "deliver"
    await bed.run()
    bed.push({"chat.yaml": inference("chat")})
    await bed.until(told(bed, chat="Ready"), "chat to be ready")


# --- engine native ---------------------------------------------------------------------------------


async def test_native_in_mode_deliver_writes_what_git_declares_and_makes_nothing_of_it(bed):
    bed.settings["mode"] = "deliver"
    await bed.run()
    bed.push({"chat.yaml": inference("chat")})
    await bed.until(told(bed, chat="Held"), "the plan to be told in Git")
    assert (await status_of(bed, "chat"))["reason"] == "DeliverMode"
    assert await bed.names("Workspace") == {"chat"}
    assert await bed.names("Deployment") == await bed.names("Service") == set()
    assert not bed.pools()


@pytest.mark.parametrize("era", ["v0.3", "v0.4"])
async def test_native_beside_an_operator_stops_every_write(new_bed, era):
    bed = await new_bed(operator=era)
    foreign = yaml.safe_load(inference("foreign"))
    foreign["metadata"]["namespace"] = NAMESPACE
    await bed.client.create(foreign)
    await bed.until(lambda: _operated(bed, "foreign"), "the operator to take it")
    await bed.run()
    bed.push({"a.yaml": inference("a"), "b.yaml": inference("b")})
    await bed.until(told(bed, a="Held", b="Held"), "the conflict to be told")
    status = await status_of(bed, "b")
    assert status["reason"] == "EngineConflict"
    assert names.FOREIGN_FINALIZER in status["message"]
    assert "engine: kaito" in status["message"]
    assert await bed.names("Workspace") == {"foreign"}
    assert not bed.pools()


async def _operated(bed, name):
    found = await bed.get("Workspace", name)
    return names.FOREIGN_FINALIZER in (found["metadata"].get("finalizers") or [])


async def test_native_stops_when_an_operator_takes_its_objects(bed):
    await bed.run()
    bed.push({"a.yaml": inference("a"), "b.yaml": inference("b")})
    await bed.until(told(bed, a="Ready", b="Ready"), "both to be ready")
    key = ObjectKey("Workspace", NAMESPACE, "a")
    await bed.client.merge_patch(key, {"metadata": {"finalizers": [names.FOREIGN_FINALIZER]}})
    await bed.until(told(bed, a="Held", b="Held"), "the conflict to be told of both")
    await bed.client.delete(ObjectKey("Service", NAMESPACE, "b"))
    before = [line for line in bed.writes if "git" not in line]
    bed.push({"c.yaml": inference("c")})
    await bed.until(told(bed, a="Held", b="Held", c="Held"), "the conflict to be told of c")
    new = [line for line in bed.writes if "git" not in line][len(before) :]
    assert not [line for line in new if "/events" not in line]
    await bed.client.merge_patch(key, {"metadata": {"finalizers": None}})
    await bed.until(told(bed, a="Ready", b="Ready", c="Ready"), "all to go on once it has gone")


# --- a definition that was there before ------------------------------------------------------------


async def test_a_definition_of_the_newer_version_alone_is_used_as_it_is(new_bed):
    bed = await new_bed()
    manifest = crd()
    (alpha,) = [v for v in manifest["spec"]["versions"] if v["name"] == "v1alpha1"]
    alpha |= {"served": False, "storage": False}
    next(v for v in manifest["spec"]["versions"] if v["name"] == "v1beta1")["storage"] = True
    await bed.client.create(manifest)
    await bed.run()
    bed.push({"chat.yaml": inference("chat")})
    await bed.until(told(bed, chat="Ready"), "the workspace to be ready")
    live = await bed.client.get_raw(f"/apis/kaito.sh/v1beta1/namespaces/{NAMESPACE}/workspaces/chat")
    assert live["metadata"]["annotations"][names.PATH] == "workspaces/chat.yaml"
    assert {c["type"]: c["status"] for c in live["status"]["conditions"]}["WorkspaceSucceeded"] == "True"
