"""How a model is cut over GPUs: tensor parallel inside a node, pipeline stages for the rest."""

from dataclasses import dataclass

from ..architecture import Architecture


@dataclass(frozen=True, slots=True)
class Layout:
    nodes: int
    tensor: int
    """GPUs that share each layer."""
    pipeline: int
    """Stages, each with its share of the layers."""

    @property
    def gpus(self) -> int:
        return self.tensor * self.pipeline

    def largest_share(self, layers: int) -> int:
        """Layers of the fullest stage: vLLM deals them out evenly and the rest one by one."""
        return -(-layers // self.pipeline)

    def __str__(self) -> str:
        return f"{self.gpus} ({self.tensor}×{self.pipeline})"


def layout(architecture: Architecture, gpus_per_node: int, nodes: int, *, shared: bool) -> Layout | None:
    """Over all GPUs: tensor parallel over as many of a node's as the heads allow, stages for the rest.

    Kaito sets tensor parallel to the GPUs of a node and stages to the nodes, and starts a server that
    refuses where heads do not divide. `shared`: the server can share a layer at all; transformers cannot.
    None where there would be more stages than layers.
    """
    shares = range(1, gpus_per_node + 1) if shared else range(1, 2)
    tensor = max(n for n in shares if gpus_per_node % n == 0 and divides(architecture, n))
    pipeline = gpus_per_node // tensor * nodes
    return Layout(nodes, tensor, pipeline) if pipeline <= architecture.layers else None


def divides(architecture: Architecture, tensor: int) -> bool:
    """vLLM's conditions: heads divide; key-value heads divide, or are copied a whole number of times.

    The vocabulary is none of them: vLLM pads it until it divides. A latent cache has no heads to divide.
    """
    heads, kv_heads = architecture.heads, architecture.kv_heads
    copied = kv_heads % tensor == 0 or tensor % kv_heads == 0
    return heads % tensor == 0 and (copied or architecture.latent > 0)
