"""Draws tokens inside a batch, for each request by its own temperature, top-k, top-p and seed.

transformers' batching draws by one random state for the whole batch, so a seed would mean nothing there, and
its greedy search is one switch for all requests. Here every request brings its own random numbers: noise of
Gumbel's distribution is added to its scores, and the largest sum is a draw by the scores' probabilities (the
Gumbel-max trick). Without noise it is the likeliest token. So the batch is always searched greedily.
"""

import random
from typing import Any, ClassVar

import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
    ContinuousBatchingTemperatureLogitsWarper,
    ContinuousBatchingTopKLogitsWarper,
    ContinuousBatchingTopPLogitsWarper,
)

from .asked import Sampling

_BITS = 0xFFFFFFFF


def arguments(sampling: Sampling, vocabulary: int) -> dict[str, Any]:
    """Of `add_request`, as `processors` read them."""
    if sampling.temperature == 0:
        return {}
    return {
        "temperature": float(sampling.temperature),
        "top_k": min(sampling.top_k or vocabulary, vocabulary),
        "top_p": float(sampling.top_p),
        "draw": random.Random(sampling.seed),
    }


def processors(vocabulary: int) -> ContinuousBatchingLogitsProcessorList:
    """In the order in which `generate()` applies them."""
    each = [
        ContinuousBatchingTemperatureLogitsWarper(TemperatureLogitsWarper(1.0)),
        _TopK(TopKLogitsWarper(vocabulary)),
        _TopP(TopPLogitsWarper(1.0)),
        _Draw(),
    ]
    made = ContinuousBatchingLogitsProcessorList(LogitsProcessorList(each))
    made.tensors_required = len(each)
    return made


class _TopK(ContinuousBatchingTopKLogitsWarper):
    """Sorts only where a request of the batch limits k."""

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        if _on_cpu(scores) and bool((tensor_arg[: scores.size(0)] >= self.top_k).all()):
            return scores
        limited: torch.Tensor = super().__call__(scores, tensor_arg)
        return limited


class _TopP(ContinuousBatchingTopPLogitsWarper):
    """Sorts only where a request of the batch limits p."""

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        asked = tensor_arg[: scores.size(0)].view(dtype=torch.float32)
        if _on_cpu(scores) and bool((asked >= 1).all()):
            return scores
        limited: torch.Tensor = super().__call__(scores, tensor_arg)
        return limited


class _Draw(ContinuousBatchingLogitsProcessor):
    supported_kwargs: ClassVar[dict[str, type]] = {"draw": random.Random}
    ignored_kwargs: ClassVar[tuple[str, ...]] = ()

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
        """A fresh number for each request and token; 0: no noise."""
        states = (each.state.logit_processor_kwargs.get("draw") for each in requests_with_new_token)
        numbers = [each.getrandbits(30) + 1 if each is not None else 0 for each in states]
        return torch.tensor(numbers, dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        numbers = tensor_arg[: scores.size(0)]
        if _on_cpu(scores) and not bool(numbers.any()):
            return scores
        return scores + torch.where(numbers.unsqueeze(-1) > 0, _gumbel(numbers, scores.size(-1)), 0.0)


def _on_cpu(scores: torch.Tensor) -> bool:
    """Elsewhere a recorded graph may be replayed, in which a branch would stay as it was recorded."""
    return bool(scores.device.type == "cpu")


def _gumbel(numbers: torch.Tensor, width: int) -> torch.Tensor:
    """Noise of shape [len(numbers), width], the same for the same number on every device.

    A mixing hash of number and column (two rounds of xor-shift and multiply) makes 32 bits; 23 of them make a
    float above 0 and below 1, so that both logarithms are finite.
    """
    columns = torch.arange(width, device=numbers.device, dtype=torch.int64)
    bits = (numbers.to(torch.int64).unsqueeze(-1) * 0x9E3779B1 + columns * 0x85EBCA6B) & _BITS
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = ((bits ^ (bits >> shift)) * factor) & _BITS
    bits = bits ^ (bits >> 16)
    uniform = ((bits >> 9).to(torch.float32) + 0.5) / 2**23
    return -torch.log(-torch.log(uniform))
