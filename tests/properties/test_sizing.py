"""What holds for every model and machine: more never fits less, and the largest context is the largest."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.model.architecture import Architecture
from reconciler.model.sizing.model import GIB, Model
from reconciler.model.sizing.serving import BLOCK, Demand, serving, smallest
from reconciler.model.sizing.training import Recipe, training
from reconciler.model.sku import Sku


@st.composite
def models(draw: st.DrawFn) -> Model:
    layers, kv_heads = draw(st.integers(1, 100)), draw(st.sampled_from([1, 2, 3, 4, 8, 10, 16]))
    windowed = draw(st.booleans())
    geometry = {
        "layers": layers,
        "hidden": draw(st.integers(64, 16384)),
        "heads": kv_heads * draw(st.integers(1, 8)),
        "kvHeads": kv_heads,
        "headDim": draw(st.sampled_from([64, 96, 128, 256])),
        "vocabulary": draw(st.integers(1000, 262144)),
        "context": draw(st.integers(1, 300_000)),
        "latent": draw(st.sampled_from([0, 0, 576])),
        "slidingWindow": draw(st.integers(128, 4096)) if windowed else 0,
        "slidingLayers": draw(st.integers(1, layers)) if windowed else 0,
    }
    gib = draw(st.floats(0.1, 700))
    return Model("m", gib, Architecture.model_validate(geometry), gib * GIB / 2)


def machine(gpus: int, gib: int) -> Sku:
    return Sku(name="s", gpus=gpus, gpuMemoryGib=gpus * gib, vcpus=1, computeCapability="8.0")


ROUNDING = 1e-6
MEMORY = st.integers(8, 200)
NODES = st.integers(1, 8)
GPUS = st.integers(1, 16)
DEMANDS = st.builds(
    Demand, context=st.integers(0, 300_000), sequences=st.integers(1, 64), cache_bytes=st.sampled_from([1, 2])
)


@given(models(), GPUS, MEMORY, NODES, DEMANDS)
def test_the_largest_context_fits_and_one_block_more_does_not(model, gpus, gib, nodes, demand):
    most = serving(model, machine(gpus, gib), nodes, demand).max_context
    at, above = (
        serving(model, machine(gpus, gib), nodes, replace(demand, context=n)) for n in (most, most + BLOCK)
    )
    assume(at.layout is not None)
    assert most == 0 or (at.fits and at.needed_gib <= at.usable_gib + ROUNDING)
    assert not above.fits
    assert most == model.architecture.context or above.needed_gib > above.usable_gib - ROUNDING


@given(models(), GPUS, MEMORY, st.integers(0, 100), NODES, DEMANDS)
def test_more_memory_never_fits_less(model, gpus, gib, more, nodes, demand):
    small, large = (serving(model, machine(gpus, each), nodes, demand) for each in (gib, gib + more))
    assert large.max_context >= small.max_context
    assert large.fits or not small.fits


@given(models(), GPUS, MEMORY, NODES, DEMANDS)
def test_another_node_never_lowers_the_largest_context(model, gpus, gib, nodes, demand):
    few, many = (serving(model, machine(gpus, gib), each, demand) for each in (nodes, nodes + 1))
    assume(many.layout is not None)
    assert many.max_context >= few.max_context


@given(models(), st.integers(1, 8), st.integers(2, 4), MEMORY, DEMANDS)
def test_a_multiple_of_the_gpus_in_a_node_never_lowers_the_largest_context(model, gpus, times, gib, demand):
    few, many = (serving(model, machine(each, gib), 1, demand) for each in (gpus, gpus * times))
    assume(many.layout is not None)
    assert many.max_context >= few.max_context


@given(models(), GPUS, MEMORY, NODES, st.integers(1, 64), st.integers(1, 64))
def test_more_sequences_never_leave_each_more_context(model, gpus, gib, nodes, some, others):
    few, many = (
        serving(model, machine(gpus, gib), nodes, Demand(sequences=each)) for each in (some, some + others)
    )
    assert many.max_context <= few.max_context


@given(models(), GPUS, MEMORY, DEMANDS)
def test_the_least_number_of_nodes_fits_and_one_less_does_not(model, gpus, gib, demand):
    found = smallest(model, machine(gpus, gib), demand)
    assume(found.fits and found.layout is not None)
    assert all(
        not serving(model, machine(gpus, gib), nodes, demand).fits for nodes in range(1, found.layout.nodes)
    )


@given(models(), MEMORY, st.sampled_from(["lora", "qlora"]), st.integers(1, 256), st.integers(1, 16))
def test_the_longest_sequence_can_be_trained_and_one_token_more_cannot(model, gib, method, rank, batch):
    recipe = Recipe(method, rank, batch=batch)
    longest = training(model, machine(1, gib), recipe).max_sequence
    assume(longest > 0)
    at, above = (
        training(model, machine(1, gib), replace(recipe, sequence=n)) for n in (longest, longest + 1)
    )
    assert at.fits and at.needed_gib <= gib + ROUNDING
    assert not above.fits
    assert longest == model.architecture.context or above.needed_gib > gib - ROUNDING
