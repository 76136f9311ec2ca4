"""The vectors of Kaito's own validators: machine against model, and one manifest for each rule."""

import pytest
from verdicts.judge import adapter, said, serving, template, tuning

from reconciler.model import fit
from reconciler.model.catalogues import Catalogue, Catalogues
from reconciler.model.preset import Preset
from reconciler.model.sku import Sku
from reconciler.model.workspace import Workspace

MACHINES = {
    "Standard_ND96asr_v4": (8, 320),
    "Standard_NC12s_v3": (2, 32),
    "Standard_NC6": (1, 12),
    "Standard_NC24ads_A100_v4": (1, 80),
}
MEMORY = {
    "valid": ("Standard_ND96asr_v4", 1, (8, 152, 19), ""),
    "equality is enough": ("Standard_NC12s_v3", 1, (1, 16, 16), ""),
    "total memory": ("Standard_NC6", 1, (1, 14, 0), "has 12 GiB of GPU memory"),
    "number of GPUs": ("Standard_NC24ads_A100_v4", 1, (2, 0, 0), "has 1 GPUs"),
    "memory of one GPU": ("Standard_NC6", 2, (1, 0, 15), "has 12 GiB per GPU"),
}


@pytest.mark.parametrize(("machine", "count", "needs", "why"), MEMORY.values(), ids=MEMORY.keys())
def test_a_machine_holds_the_model(machine, count, needs, why):
    gpus, total, per = needs
    server = {"launch": ["run"], "program": "serve.py"}
    preset = Preset.model_validate(
        {
            "name": "m",
            "weights": {"repository": "x/m", "gib": 1},
            "diskGib": 1,
            "inference": {
                "needs": {"gpus": gpus, "totalGib": total, "perGpuGib": per},
                "readinessSeconds": 1,
                "servers": {"vllm": server},
            },
        }
    )
    skus = [Sku(name=n, gpus=g, gpuMemoryGib=m, vcpus=1) for n, (g, m) in MACHINES.items()]
    document = serving("m", machine, count=count)
    document["metadata"]["namespace"] = "ai"
    workspace = Workspace.model_validate(document)
    found = fit.problems(workspace, Catalogues(Catalogue.of([preset]), Catalogue.of(skus)))
    assert [why in each.rule for each in found] == ([True] if why else [])


def without(manifest, *path):
    *parents, last = path
    for name in parents:
        manifest = manifest[name]
    del manifest[last]


def changed(manifest, *path):
    without(manifest, *path)
    return manifest


TWICE = [adapter(name="a"), adapter(name="a")]
CPU = "Standard_D4s_v3"
ACCEPTED = {
    "tuning on one node": tuning(count=1),
    "a template on a machine of the catalogue": serving(
        "", "Standard_NV12s_v3", **template({"name": "c", "image": "i"})
    ),
    "an image by digest": serving("phi-4", adapters=[adapter(f"r.io/a@sha256:{'0' * 64}")]),
    "an image with a port and no tag": serving("phi-4", adapters=[adapter("localhost:5000/a")]),
    "an adapter without strength under vLLM": serving("phi-4", adapters=[adapter()]),
}
REFUSED = {
    "bad SKU": (serving("phi-4", "Standard_invalid_sku"), "unknown instance type"),
    "tuning on two nodes": (tuning(count=2), "tuning runs on one node"),
    "unknown preset": (serving("nothing-like-it"), "unknown preset"),
    "neither preset nor template": (serving(""), "preset or template is required"),
    "both preset and template": (
        serving("phi-4", **template({"name": "c", "image": "i"})),
        "preset and template exclude each other",
    ),
    "private without image": (
        serving("llama-2-7b", options={"accessMode": "private"}),
        "a private preset needs an image",
    ),
    "private preset in public mode": (serving("llama-2-7b"), "this preset is private only"),
    "eleven adapters": (
        serving("phi-4", adapters=[adapter(name=f"a{n}") for n in range(11)]),
        "at most 10 adapters",
    ),
    "duplicate adapters": (serving("phi-4", adapters=TWICE), "two adapters have this name"),
    "adapter without source": (serving("phi-4", adapters=[{"strength": "1.0"}]), "required"),
    "adapter without name": (serving("phi-4", adapters=[{"source": {"image": "a:1"}}]), "needs a name"),
    "strength abc": (
        serving("phi-3-mini-4k-instruct", adapters=[adapter(strength="abc")]),
        "strength must be a number from 0 to 1",
    ),
    "strength 1.5": (
        serving("phi-3-mini-4k-instruct", adapters=[adapter(strength="1.5")]),
        "strength must be a number from 0 to 1",
    ),
    "strength nan": (
        serving("phi-3-mini-4k-instruct", adapters=[adapter(strength="nan")]),
        "strength must be a number from 0 to 1",
    ),
    "strength under vLLM": (serving("phi-4", adapters=[adapter(strength="1.0")]), "no adapter strength"),
    "adapter's name too long": (serving("phi-4", adapters=[adapter(name="a" * 254)]), "lower-case letters"),
    "neither inference nor tuning": (changed(serving("phi-4"), "inference"), "needs inference or tuning"),
    "both inference and tuning": (
        {**serving("phi-3-mini-128k-instruct"), "tuning": tuning()["tuning"]},
        "either inference or tuning",
    ),
    "tuning without input": (tuning(input=None), "tuning.input: this field is required"),
    "tuning without output": (tuning(output=None), "tuning.output: this field is required"),
    "tuning without preset": (changed(tuning(), "tuning", "preset"), "tuning.preset: this field is required"),
    "tuning an unknown preset": (tuning("nothing-like-it"), "unknown preset"),
    "an unknown method": (tuning(method="invalid"), "must be 'lora' or 'qlora'"),
    "upper case in the input": (tuning(input={"image": "r.io/DATA:1"}), "must be lower case"),
    "upper case in the output": (
        tuning(output={"image": "r.io/OUT:1", "imagePushSecret": "s"}),
        "must be lower case",
    ),
    "no data source": (tuning(input={}), "exactly one of urls, volumeSource and image"),
    "three data sources": (
        tuning(input={"urls": ["https://x.io/a"], "image": "r.io/a:1", "volumeSource": {"emptyDir": {}}}),
        "exactly one of urls, volumeSource and image",
    ),
    "no destination": (tuning(output={}), "exactly one of volumeSource and image"),
    "two destinations": (
        tuning(output={"image": "r.io/a:1", "imagePushSecret": "s", "volumeSource": {"emptyDir": {}}}),
        "exactly one of volumeSource and image",
    ),
    "a destination without its secret": (tuning(output={"image": "r.io/a:1"}), "needs imagePushSecret"),
    "a CPU machine under a preset": (serving("phi-4", CPU), "unknown instance type"),
    "no machine in v1beta1": (
        changed(serving("phi-4", version="kaito.sh/v1beta1"), "resource", "instanceType"),
        "needs an instance type",
    ),
    "a partition without nodes of one's own": (
        {
            **serving("phi-4"),
            "resource": {**serving("phi-4")["resource"], "partition": {"mode": "accelerator", "count": 1}},
        },
        "only on nodes you bring yourself",
    ),
    "a name with a dot": (serving("phi-4", name="phi.4"), "metadata.name 'phi.4'"),
    "an annotation's value": (
        serving("phi-4", annotations={"kaito.sh/performance-mode": "fast"}),
        "it must be balanced or interactivity or throughput",
    ),
    "data from this machine": (tuning(input={"urls": ["http://localhost/a"]}), "tuning.input.urls[0]"),
    "data from a private network": (tuning(input={"urls": ["http://10.0.0.1/a"]}), "tuning.input.urls[0]"),
    "data from the link": (tuning(input={"urls": ["http://169.254.169.254/a"]}), "tuning.input.urls[0]"),
    "data from loopback": (tuning(input={"urls": ["http://[::1]/a"]}), "tuning.input.urls[0]"),
    "data from the cloud's metadata": (
        tuning(input={"urls": ["http://metadata.google.internal/a"]}),
        "tuning.input.urls[0]",
    ),
    "data by another scheme": (tuning(input={"urls": ["s3://bucket/a"]}), "tuning.input.urls[0]"),
    "an adapter by URL": (
        serving("phi-4", adapters=[{"source": {"name": "a", "urls": ["https://x.io/a"]}}]),
        "an adapter has no URLs",
    ),
    "weights behind a login": (serving("llama-3.3-70b-instruct", "Standard_ND96isr_H100_v5"), "show a token"),
}


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(manifest):
    assert said(manifest) == []


@pytest.mark.parametrize(("manifest", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(manifest, why):
    found = said(manifest)
    assert any(why in each for each in found), found
