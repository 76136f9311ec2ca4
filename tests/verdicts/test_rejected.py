"""What stands in Kaito's repository and cannot work, row by row, with the reason that is told.

The manifests are written anew from what the named ones ask for, with the slip for which each is refused.
"""

import pytest
from verdicts.judge import adapter, config, private, said, serving, template, token, tuning

LEFT = "looks like a placeholder to fill in"
ACR = "ACR_REPO_HERE.azurecr.io"
OUTPUT = {"image": f"{ACR}/IMAGE_NAME_HERE:0.0.1", "imagePushSecret": "ACR_REGISTRY_SECRET_HERE"}
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: hf-token}\nstringData: {HF_TOKEN: x}\n"
PHI_3 = "phi-3-mini-128k-instruct"


def wrapped(manifest):
    """With everything but its head under `spec`, as other kinds have it."""
    head = {name: manifest[name] for name in ("apiVersion", "kind", "metadata")}
    return head | {"spec": {name: part for name, part in manifest.items() if name not in head}}


def selecting(**selector):
    manifest = serving("phi-4")
    manifest["resource"]["labelSelector"] = selector
    return manifest


def expression(operator, *values):
    return selecting(matchExpressions=[{"key": "apps", "operator": operator, "values": list(values)}])


def bare(manifest, block):
    return {name: part for name, part in manifest.items() if name != block}


ROWS = {
    "fine-tuning/kaito_workspace_tuning_phi_3: output": (tuning(output=OUTPUT), "tuning.output.image", LEFT),
    "fine-tuning/kaito_workspace_tuning_phi_3: secret": (
        tuning(output=OUTPUT),
        "tuning.output.imagePushSecret",
        LEFT,
    ),
    "docs/tuning/README: input": (
        tuning(input={"image": "PULLREGISTRY/DATA_NAME_HERE:0.0.1"}),
        "tuning.input.image",
        LEFT,
    ),
    "docs/tuning/README: output": (
        tuning(output={"image": "PUSHREGISTRY/ADAPTER_NAME_HERE:0.0.1", "imagePushSecret": "push"}),
        "tuning.output.image",
        LEFT,
    ),
    "falcon_7b_with_adapters": (
        serving("falcon-7b", adapters=[adapter("<YOUR_IMAGE>", strength="0.2")]),
        "inference.adapters[0].source.image",
        LEFT,
    ),
    "phi_3_with_adapters": (
        serving(PHI_3, adapters=[adapter(f"{ACR}/ADAPTER_HERE:0.0.1", strength="1.0")]),
        "inference.adapters[0].source.image",
        LEFT,
    ),
    "phi_3_with_adapters under vLLM": (
        serving(PHI_3, adapters=[adapter(strength="1.0")], annotations={"kaito.sh/runtime": "vllm"}),
        "inference.adapters[0].strength '1.0'",
        "vLLM takes no adapter strength",
    ),
    "falcon_7b_with_adapters under vLLM": (
        serving("falcon-7b", adapters=[adapter()], annotations={"kaito.sh/runtime": "vllm"}),
        "inference.adapters",
        "vllm takes no adapters on falcon-7b",
    ),
    "0.4.5 llama2_13b": (
        serving("llama-2-13b", **private()),
        "resource.instanceType",
        "has 1 GPUs, and llama-2-13b needs at least 2",
    ),
    "0.4.5 llama2_13b-chat": (
        serving("llama-2-13b-chat", **private()),
        "resource.instanceType",
        "has 1 GPUs, and llama-2-13b-chat needs at least 2",
    ),
    "llama2 with its placeholder": (
        serving("llama-2-7b", **private("<YOUR IMAGE URL>")),
        "inference.preset.presetOptions.image",
        LEFT,
    ),
    "0.4.5 qwen_2.5_coder_32b": (
        serving("qwen2.5-coder-32b-instruct", name="workspace-qwen-2.5-coder-32b"),
        "metadata.name",
        "at most 63 lower-case letters, digits and '-'",
    ),
    "arc-examples": (serving("phi-4", "<your-vm-sku>"), "resource.instanceType", LEFT),
    "falcon_7b_aws on Azure": (serving("falcon-7b", "g5.4xlarge"), "resource.instanceType", "unknown"),
    "custom_config without its ConfigMap": (
        serving("phi-4", config="ds-inference-params"),
        "inference.config 'ds-inference-params'",
        "no ConfigMap of this name with key inference_config.yaml",
    ),
    "examples/README: metadata alone": (
        bare(serving("phi-4"), "inference"),
        "document",
        "needs inference or tuning",
    ),
    "examples/README: True in upper case": (
        serving("phi-4", annotations={"kaito.sh/bypass-resource-checks": "True"}),
        "metadata.annotations[kaito.sh/bypass-resource-checks] 'True'",
        "it must be true or false",
    ),
    "models/phi2/README: under spec": (
        wrapped(serving("phi-2")),
        "spec",
        "a Workspace has no spec: move resource, inference and tuning to the top level",
    ),
    "proposals/gpt-oss-20b: no inference": (
        bare(serving("gpt-oss-20b"), "inference"),
        "document",
        "needs inference or tuning",
    ),
    "docs/inference/README: example-model": (
        serving("example-model"),
        "inference.preset.name 'example-model'",
        "unknown preset",
    ),
    "tuning_falcon_7b_mental": (tuning("falcon-7b", output=OUTPUT), "tuning.output.image", LEFT),
    "website lora-adapters: source.volume": (
        serving("phi-4", adapters=[{"source": {"name": "a", "volume": {"emptyDir": {}}}}]),
        "inference.adapters[0].source.volume",
        "unknown field; did you mean volumeSource?",
    ),
    "website lora-adapters: <YOUR_ACR>": (
        serving("phi-4", adapters=[adapter("<YOUR_ACR>.azurecr.io/adapter:0.0.1")]),
        "inference.adapters[0].source.image",
        LEFT,
    ),
    "website multi-node-inference: llama without token": (
        serving("llama-3.3-70b-instruct", "Standard_NC96ads_A100_v4"),
        "inference.preset.presetOptions.modelAccessSecret",
        "given only to those who show a token",
    ),
    "website quick-start: a machine of no catalogue": (
        serving("phi-4", "Standard_NC6s_v9"),
        "resource.instanceType 'Standard_NC6s_v9'",
        "unknown instance type; did you mean Standard_NC6s_v3?",
    ),
    "README: an ellipsis ends the document": (
        "apiVersion: kaito.sh/v1alpha1\nkind: Workspace\n...\nname: x\n",
        "document",
        "the file is not valid YAML: did not find expected <document start>",
    ),
    "strength inside source": (
        serving(
            "phi-4",
            adapters=[{"source": {"name": "a", "image": "registry.example.com/a:1", "strength": "1"}}],
        ),
        "inference.adapters[0].source.strength",
        "write it one level up, beside source",
    ),
    "kaito_workspace_accelerator": (
        {
            **serving("phi-4"),
            "resource": {"labelSelector": {}, "partition": {"mode": "accelerator", "count": 1}},
        },
        "resource.partition",
        "only on nodes you bring yourself",
    ),
    "tuning on two nodes": (tuning(count=2), "resource.count '2'", "tuning runs on one node"),
    "a selector with NotIn": (
        expression("NotIn", "x"),
        "matchExpressions[0].operator",
        "only operator allowed is In",
    ),
    "a selector with Exists": (
        expression("Exists"),
        "matchExpressions[0].operator",
        "only operator allowed is In",
    ),
    "a selector with two values": (
        expression("In", "x", "y"),
        "matchExpressions[0].values",
        "exactly one value",
    ),
    "head examples with a Secret in the file": (
        [serving("llama-3.1-8b-instruct", **token()), SECRET],
        "kind 'Secret'",
        "plain Secrets do not belong in Git",
    ),
    "a ConfigMap without the key": (
        [serving("phi-4", config="c"), config("c", "vllm: {}", key="config.yaml")],
        "inference.config 'c'",
        "with key inference_config.yaml",
    ),
}


@pytest.mark.parametrize(("manifests", "field", "why"), ROWS.values(), ids=ROWS.keys())
def test_what_cannot_work_is_refused_with_its_reason(manifests, field, why):
    found = said(*(manifests if isinstance(manifests, list) else [manifests]))
    assert any(line.startswith(field) or field in line.partition(":")[0] for line in found), found
    assert any(why in line for line in found), found


CONTAINER = {"name": "server", "image": "registry.example.com/server:1"}


def with_volumes(*volumes, mount=""):
    mounts = {"volumeMounts": [{"name": mount, "mountPath": "/x"}]} if mount else {}
    return {"template": {"spec": {"containers": [{**CONTAINER, **mounts}], "volumes": list(volumes)}}}


TEMPLATES = {
    "no container": (template(), "spec.containers", "a pod template needs containers"),
    "a container without a name": (template({"image": "i"}), "containers[0].name", "it needs a name"),
    "a container without an image": (template({"name": "c"}), "containers[0].image", "needs an image"),
    "two of one name": (template(CONTAINER, {**CONTAINER}), "containers[1].name 'server'", "two containers"),
    "a misspelt field of a container": (
        template({**CONTAINER, "imagePullPolice": "Always"}),
        "containers[0].imagePullPolice",
        "did you mean imagePullPolicy?",
    ),
    "a misspelt field of the pod": (
        {"template": {"spec": {"containers": [CONTAINER], "volume": []}}},
        "template.spec.volume",
        "did you mean volumes?",
    ),
    "a pod that ends": (
        {"template": {"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}},
        "restartPolicy 'Never'",
        "a server is always restarted",
    ),
    "a volume with two sources": (
        {
            "template": {
                "spec": {"containers": [CONTAINER], "volumes": [{"name": "v", "emptyDir": {}, "secret": {}}]}
            }
        },
        "template.spec.volumes[0]",
        "a volume has one source, and here are emptyDir and secret",
    ),
    "an image in capitals": (
        template({**CONTAINER, "image": "registry.example.com/Server:1"}),
        "containers[0].image",
        "must be lower case",
    ),
    "an image to be filled in": (
        template({**CONTAINER, "image": "<YOUR_IMAGE>"}),
        "containers[0].image",
        LEFT,
    ),
    "an image that is a number": (template({**CONTAINER, "image": 5}), "containers[0].image", "is text"),
    "a volume that is text": (with_volumes("v"), "template.spec.volumes[0] 'v'", "it must be a mapping"),
    "two volumes of one name": (
        with_volumes({"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}),
        "template.spec.volumes[1].name 'v'",
        "two volumes have this name",
    ),
    "a mount of no volume": (
        with_volumes({"name": "models", "emptyDir": {}}, mount="model"),
        "containers[0].volumeMounts[0].name 'model'",
        "the template has no such volume; did you mean models?",
    ),
    "a container that is none": (template("server:1"), "containers[0]", "it must be a mapping"),
}


@pytest.mark.parametrize(("inference", "field", "why"), TEMPLATES.values(), ids=TEMPLATES.keys())
def test_a_template_that_cannot_start_is_refused(inference, field, why):
    (found,) = said(serving("", **inference))
    assert field in found.partition(": ")[0]
    assert why in found


VOLUMES = {
    "two sources": ({"emptyDir": {}, "nfs": {}}, "a volume has one source, and here are emptyDir and nfs"),
    "none": ({}, "a volume needs a source"),
    "a misspelt one": ({"persistentVolumeClaims": {"claimName": "x"}}, "did you mean persistentVolumeClaim?"),
}


@pytest.mark.parametrize(("source", "why"), VOLUMES.values(), ids=VOLUMES.keys())
def test_a_volume_that_is_none_is_refused(source, why):
    assert any(why in line for line in said(tuning(input={"volumeSource": source})))
    output = said(tuning(output={"volumeSource": source}))
    assert any(why in line and "tuning.output.volumeSource" in line for line in output)
