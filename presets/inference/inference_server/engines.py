"""An engine for each set of adapters, and one beside the batch for what batches cannot do."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,import-not-found,unused-ignore]
import torch
from artifacts.errors import RuntimeFailure

from . import model
from .asked import Sampling
from .batching import Batching
from .engine import Engine, Load
from .model import Loaded
from .sequential import Sequential

LOG = logging.getLogger(__name__)
MEMORY_SHARE = {"cpu": 0.3, "cuda": 0.8}
"""Of the memory that is free once the weights are loaded; the KV caches take no more."""
FULL_REQUESTS = 64
"""More cache than as many requests of the greatest length need is of no use."""
_CGROUP = Path("/sys/fs/cgroup")


class Engines:
    def __init__(self, loaded: Loaded, sets: Mapping[str, tuple[int, ...]], cache_tokens: int) -> None:
        """`sets`: numbers of adapters by model name, the default first."""
        self._sets = dict(sets)
        distinct = list(dict.fromkeys(sets.values()))
        budget = cache_tokens or _cache_tokens(loaded)
        self._batching: dict[tuple[int, ...], Engine] = {}
        self._alone: dict[tuple[int, ...], Engine] = {}
        for adapters, share in zip(distinct, _shares(budget, len(distinct)), strict=True):
            tree = model.view(loaded.model, adapters)
            self._batching[adapters] = _engine(loaded, tree, share)
            tree = model.view(loaded.model, adapters)
            self._alone[adapters] = Sequential(tree, loaded.end_ids, loaded.max_length)

    def of(self, name: str, sampling: Sampling) -> Engine:
        """Raises KeyError for a name that no model has."""
        return (self._alone if sampling.extra else self._batching)[self._sets[name]]

    @property
    def names(self) -> list[str]:
        return list(self._sets)

    def capacity(self, name: str) -> int:
        return self._batching[self._sets[name]].capacity

    def start(self) -> None:
        for each in self._all():
            each.start()

    def stop(self) -> None:
        for each in self._all():
            each.stop()

    def failure(self) -> str:
        return next((failed for each in self._all() if (failed := each.failure())), "")

    def load(self) -> Load:
        """Of all: requests in sum, the fullest cache."""
        loads = [each.load() for each in self._all()]
        return Load(sum(each.batch for each in loads), max(each.cache for each in loads))

    def _all(self) -> Iterator[Engine]:
        yield from self._batching.values()
        yield from self._alone.values()


def _engine(loaded: Loaded, tree: Any, cache_tokens: int) -> Engine:
    if len({each.device for each in tree.parameters()}) > 1:
        LOG.warning("the model spans several GPUs: one request at a time (the vLLM runtime batches there)")
        return Sequential(tree, loaded.end_ids, loaded.max_length)
    try:
        return Batching(tree, loaded.end_ids, cache_tokens, loaded.max_length)
    except (AttributeError, ValueError, NotImplementedError) as error:
        LOG.warning("this model cannot be batched (%s): one request at a time", error)
        return Sequential(tree, loaded.end_ids, loaded.max_length)


def _shares(budget: int, engines: int) -> Sequence[int]:
    """Half to the default, the rest in equal parts to the others."""
    if engines == 1:
        return [budget]
    return [budget // 2, *[budget // 2 // (engines - 1)] * (engines - 1)]


def _cache_tokens(loaded: Loaded) -> int:
    """By the memory there is. Raises RuntimeFailure where it holds no request worth the name."""
    device = loaded.model.device.type
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else _free_memory()
    fitting = int(free * MEMORY_SHARE[device]) // _bytes_per_token(loaded.model)
    if fitting < min(256, loaded.max_length):
        told = f"memory for {fitting} tokens of KV cache is left beside the weights"
        raise RuntimeFailure("OutOfMemory", told, "set quantization to nf4, or take a larger node")
    return min(fitting, FULL_REQUESTS * loaded.max_length)


def _bytes_per_token(tree: Any) -> int:
    config = tree.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    size: int = 2 * config.num_hidden_layers * heads * width * tree.dtype.itemsize
    return size


def _free_memory() -> int:
    """Bytes, by the container's limit where it has one."""
    free: int = psutil.virtual_memory().available
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # "max" where there is no limit
        return free
    return max(0, min(free, limit - used))
