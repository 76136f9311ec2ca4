"""GPU memory of serving: weights, key-value cache and overhead against what the server may take.

All figures are GiB of the fullest GPU. They are those of vLLM; the transformers server has no share to keep
to and its cache grows as it goes, so for it they err on the safe side.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from ..architecture import Architecture
from ..sku import Sku
from .layout import Layout, layout
from .model import GIB, Model

UTILISATION = 0.84
"""Share of a GPU's memory that the server takes: `gpu-memory-utilization` as Kaito sets it (head)."""
_UTILISATION = {"A10": 0.82}
"""Where Kaito sets another: an A10's driver and error correction leave less of its 24 GiB."""
OVERHEAD_GIB = 2.3
"""Activations, CUDA graphs and buffers of one GPU: the reserve of Kaito's estimator (head)."""
LOADED = 1.02
"""Weights in memory by the size of their files; Kaito's estimator (head)."""
LEAST_CACHE = 1.05
"""Weights and a first cache, by the weights; Kaito's estimator (head)."""
BLOCK = 16
"""Tokens of one block of the cache: vLLM's default page."""
LEAST_CONTEXT = 2048
"""Tokens that must fit where nobody asks for a context; Kaito's estimator (head)."""


@dataclass(frozen=True, slots=True)
class Demand:
    context: int = 0
    """Tokens one sequence must be able to hold; 0: `LEAST_CONTEXT`, or the model's limit if that is less."""
    sequences: int = 1
    """How many of them at once."""
    utilisation: float = 0.0
    """`gpu-memory-utilization`; 0: as Kaito sets it."""
    cache_bytes: int = 0
    """Of one number in the cache, as `kv-cache-dtype` has it; 0: the model's own."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What serving takes. It fits where there is no reason why not."""

    layout: Layout | None = None
    weights_gib: float = 0.0
    cache_gib: float = 0.0
    """Of all sequences at the context asked for."""
    overhead_gib: float = 0.0
    usable_gib: float = 0.0
    max_context: int = 0
    """Tokens; the largest context that fits, at most the model's own limit. 0: not even one block."""
    reasons: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        return not self.reasons

    @property
    def needed_gib(self) -> float:
        return self.weights_gib + self.cache_gib + self.overhead_gib


LEAST = Demand()


def smallest(model: Model, sku: Sku, demand: Demand = LEAST, at_least: int = 1) -> Serving:
    """On as few nodes as will do; where the most it may span will not, what they lack."""
    tried = [serving(model, sku, nodes, demand) for nodes in range(at_least, model.most_nodes + 1)]
    fallback = next((each for each in reversed(tried) if each.layout), tried[0])
    return next((each for each in tried if each.fits), fallback)


@lru_cache(maxsize=4096)
def serving(model: Model, sku: Sku, nodes: int, demand: Demand = LEAST) -> Serving:
    """On exactly so many nodes."""
    architecture = model.architecture
    if unsuited := lacks(sku, model.capability):
        return Serving(reasons=(unsuited,))
    cut = layout(architecture, sku.gpus, nodes, shared=model.shared)
    if cut is None:
        return Serving(reasons=(f"{architecture.layers} layers are too few for {sku.gpus * nodes} GPUs",))
    demand = _settled(demand, model)
    weights = weights_gib(model, cut)
    usable = sku.gib_per_gpu * (demand.utilisation or _UTILISATION.get(sku.gpu_model, UTILISATION))
    room = usable - weights - OVERHEAD_GIB
    cache = _cache_gib(architecture, cut, demand.context, demand)
    most = _max_context(architecture, cut, room, demand)
    found = Serving(cut, weights, cache, OVERHEAD_GIB, usable, most)
    return replace(found, reasons=tuple(_reasons(found, architecture.context, sku, demand)))


def least_gib(weights_gib: float) -> float:
    """GPU memory that weights of this size ask for where no geometry is known: Kaito's estimator (head)."""
    return math.ceil((weights_gib * LOADED * LEAST_CACHE + OVERHEAD_GIB) / UTILISATION * 10) / 10


def lacks(sku: Sku, capability: float) -> str:
    """What keeps a machine from it whatever its memory; empty where nothing does."""
    has = sku.compute_capability
    if not sku.gpus:
        return f"{sku.name} has no GPU"
    if float(has or 0) < capability:
        known = f"has {has}" if has else "is not known to have any"
        return f"it takes CUDA compute capability {capability:.1f}, and its {sku.gpu_model} {known}"
    return ""


def _settled(demand: Demand, model: Model) -> Demand:
    """With every 0 replaced by what it stands for."""
    context = demand.context or min(LEAST_CONTEXT, model.architecture.context)
    return replace(demand, context=context, cache_bytes=demand.cache_bytes or model.cache_bytes)


def weights_gib(model: Model, cut: Layout) -> float:
    """Of the fullest GPU: its stage's layers, and one matrix between vocabulary and hidden state.

    The first stage holds the embedding and the last the output head, in 16 bits also where layers have fewer.
    """
    loaded = model.weights_gib * LOADED
    matrix = min(model.embedding_parameters * 2 / GIB, loaded)
    layers = model.architecture.layers
    stage = (loaded - matrix) * cut.largest_share(layers) / layers + matrix
    return stage / cut.tensor


def token_bytes(architecture: Architecture, cut: Layout, cache_bytes: int) -> int:
    """Cache of one token in one layer on one GPU: keys and values of its heads.

    Latent attention (MLA) keeps one compressed vector instead, which every GPU of a stage holds whole.
    """
    if architecture.latent:
        return architecture.latent * cache_bytes
    heads = max(1, architecture.kv_heads // cut.tensor)
    return 2 * heads * architecture.head_dim * cache_bytes


def _cache_gib(architecture: Architecture, cut: Layout, context: int, demand: Demand) -> float:
    """Of all sequences in whole blocks; a layer with a sliding window keeps no more than its window."""
    tokens = -(-context // BLOCK) * BLOCK
    windowed = cut.largest_share(architecture.sliding_layers)
    full = cut.largest_share(architecture.layers - architecture.sliding_layers)
    held = full * tokens + windowed * min(tokens, architecture.sliding_window)
    return held * token_bytes(architecture, cut, demand.cache_bytes) * demand.sequences / GIB


def _max_context(architecture: Architecture, cut: Layout, room: float, demand: Demand) -> int:
    most = -(-architecture.context // BLOCK)
    blocks = bisect_right(
        range(1, most + 1), room, key=lambda n: _cache_gib(architecture, cut, n * BLOCK, demand)
    )
    return min(blocks * BLOCK, architecture.context)


def _reasons(found: Serving, limit: int, sku: Sku, demand: Demand) -> Iterator[str]:
    """`limit`: tokens the model was made for."""
    if demand.context > limit:
        yield f"{demand.context} tokens are above the model's own limit of {limit}"
    if found.layout and found.max_context < min(demand.context, limit):
        nodes = f"{found.layout.nodes} node{'s' if found.layout.nodes > 1 else ''}"
        asked = f"{demand.sequences} × {demand.context} tokens"
        yield (
            f"short of {found.needed_gib - found.usable_gib:.1f} GiB per GPU on {nodes}: weights "
            f"{found.weights_gib:.1f}, cache {found.cache_gib:.1f} ({asked}), overhead "
            f"{found.overhead_gib:g}; usable {found.usable_gib:.1f} of {sku.gib_per_gpu:g}"
        )
