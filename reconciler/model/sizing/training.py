"""GPU memory of LoRA and QLoRA tuning.

Every GPU of the node holds the whole model (Kaito starts one `accelerate` process for each), so more GPUs
train faster and never fit more.

What is called measured was measured on small Llama models with torch 2.13, transformers 5, peft 0.21 and
bitsandbytes 0.50: the tensors kept for the backward pass, and the peak of the logits. Attention keeps no
score matrix, as torch's own and flash attention do.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ..sku import Sku
from .model import GIB, Model
from .serving import lacks

Method = Literal["lora", "qlora"]

OVERHEAD_GIB = 1.5
"""CUDA context, cuBLAS and what error correction takes of a GPU: the reserve Kaito 0.4.5 leaves to them."""
CAPABILITY = 5.0
"""The least CUDA compute capability: torch 2's. Kaito's own tests tune on a V100 (7.0)."""
SEQUENCE = 1024
"""Tokens of one sample: the limit of trl's SFT trainer where the configuration sets none."""
RANK = 8
"""Of an adapter: Kaito's templates."""
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_UNGATED_UP, _UNGATED_DOWN = ("fc1", "dense_h_to_4h"), ("fc2", "dense_4h_to_h")

_BYTES_16 = 2
_BYTES_32 = 4
_BYTES_NF4 = 4.127 / 8
"""NF4 with its quantisation constants quantised again: 4.127 bits a weight (QLoRA, Dettmers et al. 2023)."""
_BYTES_TRAINED = 16
"""Of one trained number: itself, its gradient and two moments of Adam, in 32 bits (peft and transformers)."""
_HIDDEN_BYTES, _WIDTH_BYTES = 12, 6
"""Kept by a layer for each token, by hidden unit and by unit of the feed-forward part; measured."""
_LOGIT_BYTES = 14
"""By token and word: logits in 16 bits, then in 32, their log-softmax and its gradient; measured."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the training is set up, as far as memory goes."""

    method: Method
    rank: int = RANK
    targets: tuple[str, ...] = LINEAR
    sequence: int = SEQUENCE
    batch: int = 1
    """Samples at once on one GPU; 1 in Kaito's templates."""
    gradient_checkpointing: bool = False
    """Activations are computed again in the backward pass; peft turns this on for 4-bit models unasked."""

    @property
    def checkpoints(self) -> bool:
        return self.gradient_checkpointing or self.method == "qlora"


@dataclass(frozen=True, slots=True)
class Training:
    """What tuning takes, in GiB of each GPU. It fits where there is no reason why not."""

    base_gib: float = 0.0
    adapter_gib: float = 0.0
    """Weights, gradients and optimizer state of the adapter."""
    activations_gib: float = 0.0
    """At the recipe's sequence and batch, with logits and loss."""
    overhead_gib: float = OVERHEAD_GIB
    max_sequence: int = 0
    """Tokens; the longest sequence that fits at the recipe's batch, at most the model's own limit."""
    reasons: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        return not self.reasons

    @property
    def needed_gib(self) -> float:
        return self.base_gib + self.adapter_gib + self.activations_gib + self.overhead_gib


def training(model: Model, sku: Sku, recipe: Recipe) -> Training:
    if unsuited := lacks(sku, min(CAPABILITY, model.capability)):
        return Training(reasons=(unsuited,))
    base = base_gib(model, recipe.method)
    adapter = adapter_parameters(model, recipe) * _BYTES_TRAINED / GIB
    token = token_bytes(model, recipe) * recipe.batch / GIB
    room = max(0.0, sku.gib_per_gpu - base - adapter - OVERHEAD_GIB)
    limit = model.architecture.context
    found = Training(base, adapter, token * recipe.sequence, max_sequence=min(int(room / token), limit))
    return replace(found, reasons=tuple(_reasons(found, limit, sku, recipe)))


def base_gib(model: Model, method: Method) -> float:
    """LoRA keeps the base in 16 bits. QLoRA keeps linear layers in NF4, and what is not quantised in 32.

    peft raises the rest to 32 bits: embedding and output head, counted as two though some models share one.
    """
    if method == "lora":
        return model.parameters * _BYTES_16 / GIB
    whole = min(2 * model.embedding_parameters, model.parameters)
    return ((model.parameters - whole) * _BYTES_NF4 + whole * _BYTES_32) / GIB


def adapter_parameters(model: Model, recipe: Recipe) -> float:
    """For each target of each layer, rank × (inputs + outputs)."""
    sizes = sum(inputs + outputs for inputs, outputs in _targets(model, recipe))
    return model.architecture.layers * recipe.rank * sizes


def token_bytes(model: Model, recipe: Recipe) -> float:
    """Activations of one token: of all layers, or with checkpoints each layer's input and one whole layer.

    An adapter keeps its input in 32 bits. With QLoRA the checkpoints are in 32 bits too (both measured).
    """
    a = model.architecture
    adapted = sum(inputs for inputs, _ in _targets(model, recipe)) * _BYTES_32
    keys_and_values = 2 * a.kv_heads * a.head_dim * _BYTES_16
    layer = _HIDDEN_BYTES * a.hidden + keys_and_values + _WIDTH_BYTES * _width(model, recipe) + adapted
    checkpoint = a.hidden * (_BYTES_32 if recipe.method == "qlora" else _BYTES_16)
    layers = a.layers * checkpoint + layer if recipe.checkpoints else a.layers * layer
    return layers + _LOGIT_BYTES * a.vocabulary


def _targets(model: Model, recipe: Recipe) -> Iterator[tuple[float, float]]:
    """Inputs and outputs of the modules of a layer that get an adapter; names not known count for nothing."""
    a, width = model.architecture, _width(model, recipe)
    queries, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
    joined, up, down = (a.hidden, queries + 2 * keys), (a.hidden, width), (width, a.hidden)
    sizes = {
        "q_proj": (a.hidden, queries),
        **dict.fromkeys(("k_proj", "v_proj"), (a.hidden, keys)),
        **dict.fromkeys(("qkv_proj", "query_key_value"), joined),
        **dict.fromkeys(("o_proj", "dense"), (queries, a.hidden)),
        **dict.fromkeys(("gate_proj", "up_proj", *_UNGATED_UP), up),
        "gate_up_proj": (a.hidden, 2 * width),
        **dict.fromkeys(("down_proj", *_UNGATED_DOWN), down),
    }
    return (sizes[target] for target in recipe.targets if target in sizes)


def _width(model: Model, recipe: Recipe) -> float:
    """Of the feed-forward part, experts side by side.

    The catalogue does not have it: it is what attention and embeddings leave of the parameters, as three
    matrices (gate, up, down), or two where the names are those of a part without gate (falcon, phi-2).
    """
    a = model.architecture
    attention = 2 * a.hidden * (a.heads + a.kv_heads) * a.head_dim
    layer = (model.parameters - 2 * model.embedding_parameters) / a.layers
    matrices = 2 if {*_UNGATED_UP, *_UNGATED_DOWN} & {*recipe.targets} else 3
    return max(0.0, layer - attention) / (matrices * a.hidden)


def _reasons(found: Training, limit: int, sku: Sku, recipe: Recipe) -> Iterator[str]:
    """`limit`: tokens the model was made for."""
    if recipe.sequence > limit:
        yield f"{recipe.sequence} tokens are above the model's own limit of {limit}"
    if found.max_sequence < min(recipe.sequence, limit):
        yield (
            f"short of {found.needed_gib - sku.gib_per_gpu:.1f} GiB per GPU: base {found.base_gib:.1f}, "
            f"adapter {found.adapter_gib:.1f}, activations {found.activations_gib:.1f} ({recipe.batch} × "
            f"{recipe.sequence} tokens), overhead {found.overhead_gib:g}; it has {sku.gib_per_gpu:g}"
        )
