"""Memory of serving and tuning, by models and machines given as plain numbers."""

from dataclasses import replace

import pytest

from reconciler.model.architecture import Architecture
from reconciler.model.sizing.layout import layout
from reconciler.model.sizing.model import GIB, Model
from reconciler.model.sizing.options import serving_options
from reconciler.model.sizing.serving import BLOCK, Demand, serving, smallest
from reconciler.model.sizing.training import (
    LINEAR,
    Recipe,
    adapter_parameters,
    base_gib,
    token_bytes,
    training,
)
from reconciler.model.sku import Sku
from reconciler.sources import catalog


def model(name: str, gib: float, *shape: int, vocabulary: int, context: int = 131072, **more: int) -> Model:
    """`shape`: layers, hidden size, heads, key-value heads, size of a head; weights of 16 bits."""
    keys = ("layers", "hidden", "heads", "kvHeads", "headDim")
    said = {**dict(zip(keys, shape, strict=True)), "vocabulary": vocabulary, "context": context, **more}
    return Model(name, gib, Architecture.model_validate(said), gib * GIB / 2)


def machine(gpus: int, gib: float, gpu: str = "") -> Sku:
    return Sku(
        name=f"{gpus}x{gib:g}",
        gpus=gpus,
        gpuModel=gpu,
        gpuMemoryGib=gpus * gib,
        vcpus=1,
        computeCapability="8.0",
    )


PHI_4 = model("phi-4", 27.31, 40, 5120, 40, 10, 128, vocabulary=100352, context=16384)
PHI_4_MINI = model("Phi-4-mini-instruct", 7.15, 32, 3072, 24, 8, 128, vocabulary=200064)
PHI_3_MINI = model("Phi-3-mini-4k-instruct", 7.12, 32, 3072, 32, 32, 96, vocabulary=32064, context=4096)
LLAMA_8B = model("Llama-3.1-8B-Instruct", 14.96, 32, 4096, 32, 8, 128, vocabulary=128256)
LLAMA_70B = model("Llama-3.3-70B-Instruct", 131.42, 80, 8192, 64, 8, 128, vocabulary=128256)
QWEN_32B = model("Qwen2.5-Coder-32B", 61.03, 64, 5120, 40, 8, 128, vocabulary=152064, context=32768)
GEMMA = model(
    "gemma-3-27b-it", 51.10, 62, 5376, 32, 16, 128, vocabulary=262208, slidingWindow=1024, slidingLayers=52
)
R1 = model("DeepSeek-R1-0528", 641.30, 61, 7168, 128, 128, 128, vocabulary=129280, context=163840, latent=576)
OSS_20B = model(
    "gpt-oss-20b", 12.9, 24, 2880, 64, 8, 64, vocabulary=201088, slidingWindow=128, slidingLayers=12
)
OSS_120B = model(
    "gpt-oss-120b", 60.77, 36, 2880, 64, 8, 64, vocabulary=201088, slidingWindow=128, slidingLayers=18
)
SHIPPED = catalog.load()
A100, FOUR_A100, TWO_A100 = "NC24ads_A100_v4", "NC96ads_A100_v4", "NC48ads_A100_v4"
TWO_H100, EIGHT_H100, EIGHT_H200 = "NC80adis_H100_v5", "ND96isr_H100_v5", "ND96isr_H200_v5"
A10, TWO_A10 = "NV36ads_A10_v5", "NV72ads_A10_v5"
TWICE, MARGIN = "Kaito counts its weights twice", "Kaito adds 5 % to weights once more"

# Preset, machine, context → nodes of ours, nodes by Kaito's estimator (head), why they differ.
KAITO = [
    ("phi-4", A100, 0, 1, 1, ""),
    ("phi-4-mini-instruct", A10, 0, 1, 1, ""),
    ("phi-4", A10, 0, 2, 2, ""),
    ("phi-4", TWO_A10, 0, 1, 1, ""),
    ("llama-3.1-8b-instruct", FOUR_A100, 0, 1, 1, ""),
    ("llama-3.3-70b-instruct", TWO_A100, 0, 2, 2, ""),
    ("llama-3.3-70b-instruct", TWO_H100, 0, 1, 1, ""),
    ("llama-3.3-70b-instruct", EIGHT_H100, 131072, 1, 1, ""),
    ("deepseek-r1-0528", TWO_H100, 0, 5, 5, ""),
    ("deepseek-r1-0528", EIGHT_H200, 0, 1, 1, ""),
    ("gemma-3-27b-instruct", A100, 0, 1, 1, ""),
    ("qwen2.5-coder-32b-instruct", A100, 0, 1, 2, MARGIN),
    ("gpt-oss-20b", A10, 0, 1, 2, TWICE),
    ("gpt-oss-120b", A100, 0, 1, 3, TWICE),
]


@pytest.mark.parametrize(("preset", "on", "context", "ours", "theirs", "why"), KAITO)
def test_nodes_as_kaito_counts_them_unless_there_is_a_reason(preset, on, context, ours, theirs, why):
    shipped, sku = Model.of(SHIPPED.presets.get(preset), "vllm"), SHIPPED.skus.get(f"Standard_{on}")
    found = smallest(shipped, sku, Demand(context))
    assert found.fits
    assert found.layout.nodes == ours
    assert (ours == theirs) is (not why)


@pytest.mark.parametrize("preset", list(SHIPPED.presets), ids=lambda preset: preset.name)
def test_every_model_that_ships_fits_a_machine_that_is_sold(preset):
    shipped = Model.of(preset, preset.inference.runtimes[0])
    best = serving_options(preset, shipped, SHIPPED.skus, Demand())[0]
    assert best.fits
    assert best.dollars_per_hour and not best.sku.retired


LAYOUTS = {
    "heads divide": (LLAMA_8B, 4, 1, (4, 1)),
    "key-value heads are copied where there are fewer": (LLAMA_8B, 16, 1, (16, 1)),
    "10 key-value heads do not divide over 4": (PHI_4, 4, 1, (2, 2)),
    "24 heads do not divide over 16": (PHI_4_MINI, 16, 1, (8, 2)),
    "a latent has no heads to divide": (R1, 8, 1, (8, 1)),
    "nodes are stages": (LLAMA_70B, 2, 3, (2, 3)),
    "no more stages than layers": (OSS_20B, 1, 25, None),
}


@pytest.mark.parametrize(("what", "gpus", "nodes", "said"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layout(what, gpus, nodes, said):
    found = layout(what.architecture, gpus, nodes, shared=True)
    assert (found and (found.tensor, found.pipeline)) == said


def test_a_server_that_cannot_share_a_layer_has_stages_alone_on_one_node():
    alone = replace(LLAMA_70B, shared=False)
    assert str(smallest(alone, machine(4, 80)).layout) == "4 (1×4)"
    assert not smallest(alone, machine(2, 80)).fits


# Bytes of one token's cache on a single GPU: those Kaito's catalogue has, and what differs from it.
CACHE = {
    "grouped heads": (LLAMA_8B, 1, 131072),
    "as many key-value heads as heads": (PHI_3_MINI, 1, 393216),
    "a latent": (R1, 1, 70272),
    "a latent is whole on every GPU": (R1, 8, 70272),
    "heads are shared out": (LLAMA_8B, 4, 131072 // 4),
    "copied heads are not": (LLAMA_8B, 16, 131072 // 8),
}


@pytest.mark.parametrize(("what", "gpus", "said"), CACHE.values(), ids=CACHE.keys())
def test_cache_of_a_token(what, gpus, said):
    found = serving(what, machine(gpus, 1e6), 1, Demand(BLOCK))
    assert found.cache_gib * GIB == pytest.approx(BLOCK * said)


def test_a_sliding_window_ends_the_growth_of_its_layers():
    small, large = (serving(GEMMA, machine(1, 80), 1, Demand(n)).cache_gib * GIB for n in (1024, 2048))
    token = 2 * 16 * 128 * 2
    assert small == 62 * 1024 * token
    assert large - small == 10 * 1024 * token


def test_what_is_short_is_told_with_its_parts():
    (said,) = serving(LLAMA_70B, machine(2, 80), 1).reasons
    assert said == (
        "short of 2.4 GiB per GPU on 1 node: weights 67.0, cache 0.3 (1 × 2048 tokens), overhead 2.3; "
        "usable 67.2 of 80"
    )


def test_the_model_has_a_limit_of_its_own():
    found = smallest(PHI_4, machine(8, 80), Demand(20000))
    assert found.reasons == ("20000 tokens are above the model's own limit of 16384",)
    assert found.max_context == 16384


def test_a_machine_without_gpus_serves_and_tunes_nothing():
    assert smallest(LLAMA_8B, machine(0, 0)).reasons == ("0x0 has no GPU",)
    assert training(LLAMA_8B, machine(0, 0), Recipe("lora")).reasons == ("0x0 has no GPU",)


def test_more_sequences_leave_each_less_context():
    found = [serving(LLAMA_8B, machine(1, 80), 1, Demand(sequences=n)).max_context for n in (1, 8, 1000)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 3


def test_cache_of_8_bits_holds_twice_as_much():
    two, one = (serving(QWEN_32B, machine(1, 80), 1, Demand(cache_bytes=n)).max_context for n in (2, 1))
    assert one == pytest.approx(2 * two, abs=2 * BLOCK)


# --- tuning ----------------------------------------------------------------------------------------


def test_lora_keeps_the_base_in_16_bits_and_qlora_in_4():
    assert base_gib(PHI_3_MINI, "lora") == pytest.approx(7.12)
    # 197 million weights of embedding and head in 32 bits, the other 3626 million in 4.127.
    assert base_gib(PHI_3_MINI, "qlora") * GIB == pytest.approx(0.197e9 * 4 + 3.626e9 * 4.127 / 8, rel=1e-3)


def test_modules_of_other_names_are_the_same_sizes():
    fused = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
    q, k, v, gate, up = (
        adapter_parameters(PHI_3_MINI, Recipe("lora", targets=(n,))) for n in LINEAR if n not in fused
    )
    joined = adapter_parameters(PHI_3_MINI, Recipe("lora", targets=("qkv_proj",)))
    assert joined == q + k + v - 2 * 32 * 8 * 3072
    assert adapter_parameters(PHI_3_MINI, Recipe("lora", targets=("gate_up_proj",))) == pytest.approx(
        gate + up - 32 * 8 * 3072
    )
    # Falcon 7b: 71 query heads of 64, one for keys and values, and a feed-forward part of 4 × 4544.
    falcon = model("falcon-7b", 13.44, 32, 4544, 71, 1, 64, vocabulary=65024)
    wide = adapter_parameters(falcon, Recipe("lora", targets=("dense_h_to_4h",)))
    assert wide / 32 / 8 == pytest.approx(5 * 4544, rel=0.02)


def test_an_adapter_has_rank_times_inputs_and_outputs():
    attention = Recipe("lora", rank=16, targets=("q_proj", "v_proj"))
    q, v = 4096 + 4096, 4096 + 1024
    assert adapter_parameters(LLAMA_8B, attention) == 32 * 16 * (q + v)
    # Published size of a rank 16 adapter of all linear layers of Llama 3.1 8B: 41,943,040.
    assert adapter_parameters(LLAMA_8B, Recipe("lora", rank=16)) == pytest.approx(41_943_040, rel=0.005)


ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
# Bytes a layer keeps of each token, as torch counts them: hidden size 512, 8 heads of 64.
MEASURED = {
    "all linear modules": (1024, 2, LINEAR, 29448),
    "attention": (1024, 2, ATTENTION, 21160),
    "queries and values": (1024, 2, ("q_proj", "v_proj"), 17000),
    "a wider feed-forward part": (1792, 2, LINEAR, 37128),
    "as many key-value heads as heads": (1024, 8, LINEAR, 30984),
}


@pytest.mark.parametrize(("width", "kv_heads", "targets", "measured"), MEASURED.values(), ids=MEASURED.keys())
def test_activations_are_those_measured(width, kv_heads, targets, measured):
    layer = 2 * 512 * (8 + kv_heads) * 64 + 3 * 512 * width
    parameters = 10 * layer + 2 * 512 * 1000
    small = model("small", parameters * 2 / GIB, 10, 512, 8, kv_heads, 64, vocabulary=1000)
    kept = token_bytes(small, Recipe("lora", targets=targets)) - 14 * 1000
    assert kept / 10 == pytest.approx(measured, rel=0.02)


def test_qlora_of_phi_3_fits_16_gib_as_kaito_tests_it():
    assert training(PHI_3_MINI, machine(1, 16), Recipe("qlora")).fits


def test_what_tuning_lacks_is_told_with_its_parts():
    (said,) = training(LLAMA_70B, machine(8, 80), Recipe("lora")).reasons
    assert said.startswith("short of 100.")
    assert "base 131.4, adapter " in said and said.endswith("overhead 1.5; it has 80")
