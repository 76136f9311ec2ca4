"""The model as sizing sees it: bytes and geometry, and what serves it."""

from dataclasses import dataclass

from ..architecture import Architecture
from ..preset import Preset, Runtime, Weights

GIB = 2**30

MOST_NODES = 8
"""Nodes that one server is proposed to span, which vLLM alone can. Kaito sets no limit; each node is one more
hop over the network for every token."""
_BYTES = {"float8": 1.0, "int4": 0.5, "mxfp4": 0.5, "nvfp4": 0.5}
"""Of one weight, where it is not 2."""


@dataclass(frozen=True, slots=True)
class Model:
    """`weights_gib` is the size of the files a server loads: shards of the index, each once."""

    name: str
    weights_gib: float
    architecture: Architecture
    parameters: float
    """Number of weights, whatever the bits of each."""
    shared: bool = True
    """Its server can have GPUs share a layer, and span nodes. vLLM's can."""
    capability: float = 0.0
    """The least CUDA compute capability that the server runs on; 0: any."""
    cache_bytes: int = 2
    """Of one number in the cache, as the catalogue starts the server."""

    @classmethod
    def of(cls, preset: Preset, runtime: Runtime) -> "Model | None":
        """None where the catalogue does not know the model's size or geometry."""
        if preset.architecture is None or not preset.known:
            return None
        params = preset.inference.servers[runtime].params
        return cls(
            preset.name,
            preset.weights.gib,
            preset.architecture,
            _parameters(preset.weights),
            shared=runtime == "vllm",
            capability=_capability(runtime, params.get("dtype", "")),
            cache_bytes=1 if params.get("kv-cache-dtype", "").startswith("fp8") else 2,
        )

    @property
    def most_nodes(self) -> int:
        """How many nodes one server may span."""
        return MOST_NODES if self.shared else 1

    @property
    def embedding_parameters(self) -> int:
        """Of one matrix between vocabulary and hidden state: the embedding, and again the output head."""
        return self.architecture.vocabulary * self.architecture.hidden


def _parameters(weights: Weights) -> float:
    if weights.parameters:
        return weights.parameters * 1e9
    return weights.gib * GIB / _BYTES.get(weights.dtype, 2.0)


def _capability(runtime: Runtime, dtype: str) -> float:
    """vLLM starts from 7.0, and from 8.0 where it calculates in bfloat16; torch 2 from 5.0.

    What vLLM does with quantised weights is taken to need 8.0 too, as Kaito (head) asks of every machine.
    """
    if runtime != "vllm":
        return 5.0
    return 7.0 if dtype == "float16" else 8.0
