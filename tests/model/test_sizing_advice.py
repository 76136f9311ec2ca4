"""What a workspace is told of memory. Nothing of it refuses."""

import pytest
import yaml
from manifests import INFERENCE, TUNING

from reconciler.model import fit
from reconciler.model.catalogues import Catalogue, Catalogues
from reconciler.model.preset import Preset
from reconciler.model.sku import Sku
from reconciler.model.workspace import Workspace
from reconciler.sources import catalog

SHIPPED = catalog.load()
LLAMA_8B = {
    "layers": 32,
    "hidden": 4096,
    "heads": 32,
    "kvHeads": 8,
    "headDim": 128,
    "vocabulary": 128256,
    "context": 131072,
}


def catalogues(architecture: dict[str, int] | None, server: str = "vllm") -> Catalogues:
    """Machines of one and four 24 GiB GPUs, one without, and an 8B model; Kaito's own checks are off."""
    shipped = SHIPPED.presets.get("phi-3-mini-4k-instruct").model_dump(by_alias=True)
    shipped["weights"] |= {"gib": 14.96, "parameters": 8.03}
    shipped["architecture"] = architecture
    shipped["inference"]["needs"] = {}
    one = shipped["inference"]["servers"]["transformers"]
    shipped["inference"]["servers"] = {server: one}
    shipped["tuning"]["advisedGib"] = {"lora": 1, "qlora": 1}
    skus = [
        Sku(name=f"Standard_{n}x24", gpus=n, gpuMemoryGib=n * 24, vcpus=1, computeCapability="8.0")
        for n in (0, 1, 4)
    ]
    small = Sku(name="Standard_1x16", gpus=1, gpuMemoryGib=16, vcpus=1, computeCapability="8.0")
    return Catalogues(Catalogue.of([Preset.model_validate(shipped)]), Catalogue.of([*skus, small]))


KNOWN = catalogues(LLAMA_8B)


def said(text: str, machine: str, count: int = 1, config: str = "", known: Catalogues = KNOWN) -> list[str]:
    document = yaml.safe_load(text.replace("phi-3-mini-128k-instruct", "phi-3-mini-4k-instruct"))
    document["metadata"]["namespace"] = "ai"
    document["resource"] |= {"instanceType": f"Standard_{machine}", "count": count}
    return list(fit.warnings(Workspace.model_validate(document), known, yaml.safe_load(config)))


SERVING = {
    "it fits": ("1x24", 1, "", []),
    "it does not": ("1x16", 1, "", ["may not run on 1 × Standard_1x16: short of 4.4 GiB per GPU on 1 node"]),
    "only together": ("1x16", 2, "", ["fits 2 × Standard_1x16 only where its server spans all nodes: short"]),
    "a context that fits": ("4x24", 1, "vllm: {max-model-len: 131072}", []),
    "a context too large for the machine": (
        "1x24",
        1,
        "vllm: {max-model-len: 100000}",
        ["max-model-len 100000 is more than 1 × Standard_1x24 can hold: at most 21296 tokens fit"],
    ),
    "a context above the model's limit": (
        "4x24",
        1,
        "vllm: {max_model_len: '131073'}",
        ["max-model-len 131073 is above the limit of phi-3-mini-4k-instruct, 131072 tokens"],
    ),
    "a larger share of the GPU is counted": (
        "1x24",
        1,
        "vllm: {max-model-len: 30000, gpu-memory-utilization: 0.95}",
        [],
    ),
    "a smaller cache is counted": ("1x24", 1, "vllm: {max-model-len: 30000, kv-cache-dtype: fp8_e5m2}", []),
    "a machine without GPUs": ("0x24", 1, "", []),
    "what a configuration says amiss is not said": (
        "1x24",
        1,
        "vllm: {max-model-len: [1], kv-cache-dtype: }",
        [],
    ),
    "a configuration that is no mapping": ("1x24", 1, "[vllm]", []),
}


@pytest.mark.parametrize(("machine", "count", "config", "told"), SERVING.values(), ids=SERVING.keys())
def test_serving(machine, count, config, told):
    found = said(INFERENCE, machine, count, config)
    assert len(found) == len(told), found
    assert all(part in each for part, each in zip(told, found, strict=True))


def test_a_server_that_cannot_span_nodes_must_fit_each():
    (found,) = said(INFERENCE, "1x16", 2, known=catalogues(LLAMA_8B, "transformers"))
    assert "may not run on 2 × Standard_1x16: short of 4.4 GiB per GPU on 1 node" in found


def test_what_a_configuration_says_to_vllm_is_nothing_to_another_server():
    transformers = catalogues(LLAMA_8B, "transformers")
    assert said(INFERENCE, "1x24", config="vllm: {max-model-len: 200000}", known=transformers) == []


def test_without_geometry_nothing_is_told():
    assert said(INFERENCE, "1x16", known=catalogues(None)) == []


CHECKPOINTS = "gradient_checkpointing: true"
TUNED = {
    "lora of 8 billion weights": (
        "lora",
        "1x24",
        "",
        ["lora tuning of phi-3-mini-4k-instruct may run out of memory on Standard_1x24: short of "],
    ),
    "more GPUs do not help": ("lora", "4x24", "", ["short of "]),
    "checkpoints do": ("lora", "1x24", f"TrainingArguments: {{{CHECKPOINTS}}}", []),
    "not with a larger batch": (
        "lora",
        "1x24",
        f"TrainingArguments: {{{CHECKPOINTS}, per_device_train_batch_size: 4}}",
        ["(4 × 1024 tokens)"],
    ),
    "qlora of it": ("qlora", "1x16", "", []),
    "a rank too large": ("qlora", "1x16", "LoraConfig: {r: 512}", ["adapter 17.0"]),
    "of a few modules is not": ("qlora", "1x16", "LoraConfig: {r: 256, target_modules: [q_proj]}", []),
}


@pytest.mark.parametrize(("method", "machine", "config", "told"), TUNED.values(), ids=TUNED.keys())
def test_tuning(method, machine, config, told):
    found = said(TUNING.replace("qlora", method), machine, 1, f"training_config: {{{config}}}")
    assert len(found) == len(told), found
    assert all(part in each for part, each in zip(told, found, strict=True))
