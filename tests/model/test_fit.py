"""Workspaces against catalogues."""

import pytest
import yaml
from manifests import ADAPTER, INFERENCE, TUNING

from reconciler.model import rules
from reconciler.model.catalogues import Catalogue, Catalogues
from reconciler.model.preset import Preset
from reconciler.model.sku import Sku
from reconciler.model.workspace import Workspace
from reconciler.sources import catalog

SHIPPED = catalog.load()


def workspace(text: str, **annotations: str) -> Workspace:
    document = yaml.safe_load(text)
    document["metadata"] |= {"namespace": "ai", "annotations": annotations}
    return Workspace.model_validate(document)


@pytest.mark.parametrize("text", [INFERENCE, ADAPTER, TUNING], ids=["inference", "adapter", "tuning"])
def test_the_seeds_fit_and_are_told_that_their_machine_is_retired(text):
    assert rules.problems(workspace(text), SHIPPED) == []
    (warning,) = rules.warnings(workspace(text), SHIPPED)
    assert "2025-09-30" in warning and "Standard_NC24ads_A100_v4" in warning


def test_lora_on_a_small_gpu_is_a_warning_only():
    tuning = workspace(TUNING.replace("qlora", "lora"))
    assert rules.problems(tuning, SHIPPED) == []
    assert any("wants 72 GiB per GPU" in said for said in rules.warnings(tuning, SHIPPED))


ROWS = {
    "an unknown preset gets a suggestion": (
        INFERENCE.replace("phi-3-mini-4k-instruct", "phi3-mini-4k-instruct", 1),
        ("inference.preset.name", "unknown preset", "did you mean phi-3-mini-4k-instruct?"),
    ),
    "an unknown machine gets a suggestion": (
        INFERENCE.replace("NC6s_v3", "NC6sv3"),
        ("resource.instanceType", "unknown instance type", "did you mean Standard_NC6s_v3?"),
    ),
    "another cloud's machine is unknown": (
        INFERENCE.replace("Standard_NC6s_v3", "g5.4xlarge"),
        ("resource.instanceType", "unknown instance type", "use one of the instance types in the catalogue"),
    ),
    "v1beta1 has no default machine": (
        INFERENCE.replace("v1alpha1", "v1beta1").replace('  instanceType: "Standard_NC6s_v3"\n', ""),
        ("resource.instanceType", "v1beta1 needs an instance type", "add resource.instanceType"),
    ),
    "a preset that cannot be tuned": (
        TUNING.replace("phi-3-mini-128k-instruct", "mistral-7b-instruct"),
        ("tuning.preset.name", "this preset cannot be tuned", "choose a preset that supports tuning"),
    ),
}


@pytest.mark.parametrize(("text", "said"), ROWS.values(), ids=ROWS.keys())
def test_problem(text, said):
    (found,) = rules.problems(workspace(text), SHIPPED)
    assert (found.field, found.rule, found.remedy) == said


def test_v1alpha1_has_a_default_machine():
    bare = workspace(INFERENCE.replace('  instanceType: "Standard_NC6s_v3"\n', ""))
    assert bare.instance_type == "Standard_NC24ads_A100_v4"
    assert rules.problems(bare, SHIPPED) == []


def test_nodes_of_ones_own_may_be_of_any_type():
    text = INFERENCE.replace("Standard_NC6s_v3", "my-gpu-box")
    assert rules.problems(workspace(text), SHIPPED, byo=True) == []


def made(gpus: int, total: float, per: float) -> Catalogues:
    """Machines of one 12 GiB GPU and of two 16 GiB GPUs, and a preset with these needs."""
    skus = [
        Sku(name=f"Standard_{n}x{gib}", gpus=n, gpuMemoryGib=gib, vcpus=1) for n, gib in ((1, 12), (2, 32))
    ]
    shipped = SHIPPED.presets.get("phi-3-mini-4k-instruct").model_dump(by_alias=True)
    shipped["inference"]["needs"] = {"gpus": gpus, "totalGib": total, "perGpuGib": per}
    return Catalogues(Catalogue.of([Preset.model_validate(shipped)]), Catalogue.of(skus))


FIT = {
    "equality is enough": ("2x32", 1, (2, 32, 16), []),
    "too little memory in total": ("1x12", 1, (1, 14, 0), ["12 GiB of GPU memory"]),
    "two nodes have it": ("1x12", 2, (1, 14, 0), []),
    "too few GPUs": ("1x12", 1, (2, 12, 0), ["1 GPUs"]),
    "too little memory for each GPU": ("1x12", 2, (1, 15, 15), ["12 GiB per GPU"]),
    "all shortages are told": ("1x12", 1, (2, 30, 15), ["1 GPUs", "12 GiB per GPU", "12 GiB of GPU memory"]),
}


@pytest.mark.parametrize(("machine", "count", "needs", "said"), FIT.values(), ids=FIT.keys())
def test_gpu_memory(machine, count, needs, said):
    text = INFERENCE.replace('"Standard_NC6s_v3"', f"Standard_{machine}\n  count: {count}")
    found = rules.problems(workspace(text), made(*needs))
    assert len(found) == len(said)
    assert all(part in f.rule for part, f in zip(said, found, strict=True))


def test_a_shortage_can_be_let_through_and_is_then_a_warning():
    text, needs = INFERENCE.replace("Standard_NC6s_v3", "Standard_1x12"), made(1, 14, 0)
    bypassed = workspace(text, **{"kaito.sh/bypass-resource-checks": "true"})
    assert rules.problems(bypassed, needs) == []
    assert any("12 GiB of GPU memory" in said for said in rules.warnings(bypassed, needs))
    refused = workspace(text, **{"kaito.sh/bypass-resource-checks": "false"})
    assert len(rules.problems(refused, needs)) == 1


NC24 = INFERENCE.replace("Standard_NC6s_v3", "Standard_NC24ads_A100_v4")


def preset(name: str, text: str = NC24) -> str:
    return text.replace("phi-3-mini-4k-instruct", f'"{name}"', 1)


STRENGTH = 'strength: "1.0"'
RUNTIMES = {
    "a runtime the preset lacks": (
        preset("qwen3-8b-awq"),
        "transformers",
        ("metadata.annotations[kaito.sh/runtime]", "use vllm, or leave it out"),
    ),
    "a strength, which vLLM cannot apply": (
        ADAPTER,
        "vllm",
        ("inference.adapters[0].strength", "remove it"),
    ),
    "adapters where the model takes none": (
        ADAPTER.replace("phi-3-mini-128k-instruct", "falcon-7b", 1).replace(STRENGTH, ""),
        "vllm",
        ("inference.adapters", "remove them, or choose another preset"),
    ),
}


@pytest.mark.parametrize(("text", "asked", "said"), RUNTIMES.values(), ids=RUNTIMES.keys())
def test_what_a_runtime_cannot_do_is_refused(text, asked, said):
    (found,) = rules.problems(workspace(text, **{"kaito.sh/runtime": asked}), SHIPPED)
    assert (found.field, found.remedy) == said


def test_weights_behind_a_login_need_a_token():
    (found,) = rules.problems(workspace(preset("llama-3.1-8b-instruct")), SHIPPED)
    assert found.field == "inference.preset.presetOptions.modelAccessSecret"
    name = "llama-3.1-8b-instruct\n    presetOptions: {modelAccessSecret: hf}"
    assert rules.problems(workspace(NC24.replace("phi-3-mini-4k-instruct", name, 1)), SHIPPED) == []


def test_a_model_nobody_listed_is_let_through_and_told_of():
    said = workspace(preset("some-team/Their.Model-7B"))
    assert rules.problems(said, SHIPPED) == []
    assert any("nothing is known of its size" in line for line in rules.warnings(said, SHIPPED))


def test_a_model_nobody_listed_is_as_large_as_the_workspace_says():
    fits, not_ = (
        workspace(preset("team/model"), **{"reconciler.dev/weights-gib": gib}) for gib in ("60", "61.5")
    )
    assert rules.problems(fits, SHIPPED) == rules.problems(fits, SHIPPED, byo=True) == []
    assert not any("nothing is known" in line for line in rules.warnings(fits, SHIPPED))
    (found,) = rules.problems(not_, SHIPPED)
    assert "has 80 GiB of GPU memory, and team/model needs at least 81.2" in found.rule


def test_a_preset_that_kaito_gave_up_is_a_warning():
    assert any("no longer offers" in line for line in rules.warnings(workspace(preset("phi-2")), SHIPPED))


def test_a_suspension_is_read():
    until = workspace(
        INFERENCE, **{"reconciler.dev/suspend": "1970-01-01T01:00:10+01:00 ann  moving the cluster"}
    )
    assert until.suspension is not None
    assert (until.suspension.until, until.suspension.who, until.suspension.why) == (
        10.0,
        "ann",
        "moving the cluster",
    )
    assert workspace(INFERENCE, **{"reconciler.dev/suspend": "soon"}).suspension is None


SPELLINGS = {
    "kaito.sh/runtme": "did you mean kaito.sh/runtime?",
    "kaito.sh/enableLB": "did you mean kaito.sh/enablelb?",
    "kaito.sh/colour": "means nothing",
}


@pytest.mark.parametrize(("name", "said"), SPELLINGS.items())
def test_a_misspelt_annotation_of_kaitos_is_told_of(name, said):
    warnings = rules.warnings(workspace(INFERENCE, **{name: "x"}), SHIPPED)
    assert any(name in line and said in line for line in warnings)


@pytest.mark.parametrize("name", ["kaito.sh/enablelb", "example.com/runtme", "workspace.kaito.io/hash"])
def test_an_annotation_with_a_meaning_or_of_others_is_not(name):
    warnings = rules.warnings(workspace(INFERENCE, **{name: "True"}), SHIPPED)
    assert not any("annotation" in line for line in warnings)
