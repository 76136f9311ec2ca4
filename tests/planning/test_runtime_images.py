"""Pods of our own runtime images: what each container runs, reads and mounts."""

import json

import pytest
import yaml
from builders import EIGHT, URL, context, desired, output_of, tuning_yaml, wanted, workspace_yaml, ws

from reconciler.model import names
from reconciler.model.settings import ImageSettings

OURS = context(
    images=ImageSettings(
        repository="registry.example.com/reconciler",
        tag="1.2",
        pull_secrets=("nodes",),
        allow_hosts=("data.internal:443",),
    )
)
TUNING_IMAGE = "registry.example.com/reconciler/tuning:1.2"
SERVING_IMAGE = "registry.example.com/reconciler/inference:1.2"


def pod_of(want):
    return want.workload.manifest["spec"]["template"]["spec"]


def said(want):
    return json.loads(want.config[0].manifest["data"]["settings.json"])


def containers(want):
    pod = pod_of(want)
    return {each["name"]: each for each in (*pod.get("initContainers", ()), *pod["containers"])}


def mounted(container):
    return {each["mountPath"]: each["name"] for each in container["volumeMounts"]}


def secret_of(want, container, path):
    """The Secret whose login a container reads at `path`."""
    name = mounted(container)[path.rsplit("/", 1)[0]]
    volume = next(v for v in pod_of(want)["volumes"] if v["name"] == name)
    assert volume["secret"]["items"] == [{"key": ".dockerconfigjson", "path": "config.json"}]
    return volume["secret"]["secretName"]


def test_a_tuning_downloads_then_trains_and_pushes_itself():
    want = wanted(tuning_yaml("tune"), where=OURS)
    made = containers(want)
    assert list(made) == ["downloader", "tuner"]
    assert made["downloader"]["command"] == ["python", "-m", "tuner.download"]
    assert made["tuner"]["command"] == ["python", "-m", "tuner"]
    assert {each["image"] for each in made.values()} == {TUNING_IMAGE}
    for each in made.values():
        assert mounted(each)["/mnt/data"] == "data"
    assert mounted(made["tuner"])["/mnt/results"] == "results"
    assert secret_of(want, made["tuner"], said(want)["auth"]["push"]) == "push"


def test_its_settings_say_what_the_image_must_know():
    want = wanted(tuning_yaml("tune"), where=OURS)
    told = said(want)
    assert told["input"] == {
        "urls": [URL],
        "image": "",
        "path": "/mnt/data",
        "allowHosts": ["data.internal:443"],
    }
    assert told["output"] == {"image": output_of("tune"), "path": "/mnt/results"}
    assert told["contentKey"] == want.content_key
    assert told["workspace"] == {"namespace": "ai", "name": "tune"}
    assert told["base"]["repository"] == "microsoft/Phi-3-mini-4k-instruct"
    assert want.config[0].manifest["data"]["training_config.yaml"].startswith("training_config:")


def test_every_gpu_of_a_node_trains():
    assert said(wanted(tuning_yaml("tune", instance_type=EIGHT), where=OURS))["processes"] == 8


def test_data_in_an_image_is_pulled_with_each_of_its_secrets():
    source = {"image": "registry.example.com/data:1", "imagePullSecrets": ["one", "two"]}
    want = wanted(tuning_yaml("tune", input=source), where=OURS)
    puller = containers(want)["puller"]
    logins = ["/mnt/secrets/pull/one/config.json", "/mnt/secrets/pull/two/config.json"]
    pull = ["python", "-m", "artifacts", "pull", "registry.example.com/data:1", "/mnt/data"]
    assert puller["command"] == [*pull, "--auth", logins[0], "--auth", logins[1]]
    assert [secret_of(want, puller, login) for login in logins] == ["one", "two"]
    assert pod_of(want)["imagePullSecrets"] == [{"name": "nodes"}]


def test_data_and_results_may_be_on_volumes():
    volumes = {name: {"persistentVolumeClaim": {"claimName": name}} for name in ("data", "results")}
    document = yaml.safe_load(tuning_yaml("tune"))
    document["tuning"] |= {
        "input": {"volumeSource": volumes["data"]},
        "output": {"volumeSource": volumes["results"]},
    }
    want = wanted(yaml.safe_dump(document), where=OURS)
    assert list(containers(want)) == ["tuner"]
    found = {v["name"]: v for v in pod_of(want)["volumes"]}
    assert {name: found[name]["persistentVolumeClaim"] for name in volumes} == {
        name: {"claimName": name} for name in volumes
    }


def test_a_failure_that_trying_again_cannot_mend_ends_the_job():
    policy = wanted(tuning_yaml("tune"), where=OURS).workload.manifest["spec"]["podFailurePolicy"]
    assert {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}} in policy["rules"]


def test_the_commit_is_told_and_another_one_alone_changes_nothing():
    first, second = (
        desired(tuning_yaml("tune"), where=OURS, commits={"tune.yaml": c}).workspaces[ws("tune")]
        for c in ("a" * 40, "b" * 40)
    )
    template = first.workload.manifest["spec"]["template"]
    assert template["metadata"]["annotations"][names.COMMIT] == "a" * 40
    told = next(e for e in containers(first)["tuner"]["env"] if e["name"] == "RECONCILER_COMMIT")
    assert names.COMMIT in told["valueFrom"]["fieldRef"]["fieldPath"]
    assert first.workload == second.workload


def test_adapters_are_pulled_then_served_with_their_strengths():
    adapters = [
        {"source": {"name": "law", "image": "registry.example.com/law:1"}, "strength": "0.5"},
        {"source": {"name": "art", "volumeSource": {"persistentVolumeClaim": {"claimName": "art"}}}},
    ]
    document = yaml.safe_load(workspace_yaml("chat"))
    document["inference"]["adapters"] = adapters
    want = wanted(yaml.safe_dump(document), where=OURS)
    made = containers(want)
    assert list(made) == ["puller-law", "chat"]
    puller = made["puller-law"]
    assert puller["command"][-2:] == ["registry.example.com/law:1", "/mnt/adapter/law"]
    assert said(want)["adapters"] == [
        {"name": "law", "strength": 0.5, "path": "/mnt/adapter/law"},
        {"name": "art", "strength": 1.0, "path": "/mnt/adapter/art"},
    ]
    assert mounted(made["chat"])["/mnt/adapter"] == mounted(puller)["/mnt/adapter"] == "adapters"
    assert "/mnt/adapter/art" in mounted(made["chat"])


def test_a_server_is_ready_when_its_model_answers():
    want = wanted(workspace_yaml("chat"), where=OURS)
    server = containers(want)["chat"]
    assert server["command"] == ["python", "-m", "inference_server"]
    assert server["image"] == SERVING_IMAGE
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["httpGet"] == {"path": "/health", "port": 5000}
    assert want.services[0].manifest["spec"]["ports"][0]["targetPort"] == 5000


@pytest.mark.parametrize("text", [tuning_yaml("one"), workspace_yaml("one")])
def test_pods_meet_the_restricted_standard(text):
    pod = pod_of(wanted(text, where=OURS))
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    for each in (*pod.get("initContainers", ()), *pod["containers"]):
        context = each["securityContext"]
        assert context == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@pytest.mark.parametrize("text", [tuning_yaml("one"), workspace_yaml("one")])
def test_kaitos_images_run_where_no_repository_is_set(text):
    images = {each["image"] for each in containers(wanted(text)).values()}
    assert any(image.startswith("mcr.microsoft.com/aks/kaito/") for image in images)


def test_an_image_that_the_workspace_brings_stays():
    options = {"image": "registry.example.com/own:1"}
    preset = {"name": "phi-3-mini-4k-instruct", "accessMode": "private", "presetOptions": options}
    document = yaml.safe_load(workspace_yaml("chat"))
    document["inference"]["preset"] = preset
    assert containers(wanted(yaml.safe_dump(document), where=OURS))["chat"]["image"] == options["image"]


@pytest.mark.parametrize(("where", "problems"), [(OURS, []), (context(), ["vLLM takes no adapter strength"])])
def test_only_our_image_gives_an_adapter_its_strength_on_vllm(where, problems):
    document = yaml.safe_load(workspace_yaml("chat", annotations={"kaito.sh/runtime": "vllm"}))
    source = {"name": "law", "image": "registry.example.com/law:1"}
    document["inference"]["adapters"] = [{"source": source, "strength": "0.5"}]
    found = desired(yaml.safe_dump(document), where=where).invalid.get(ws("chat"), ())
    assert [problem.rule for problem in found] == problems


def test_vllm_has_an_image_of_its_own():
    want = wanted(workspace_yaml("chat", annotations={"kaito.sh/runtime": "vllm"}), where=OURS)
    assert containers(want)["chat"]["image"] == "registry.example.com/reconciler/inference-vllm:1.2"
    assert said(want)["runtime"] == "vllm"
