"""A model's geometry, as far as the size of its cache and the ways to split it depend on it."""

from pydantic import Field

from .workspace import Part


class Architecture(Part):
    """Numbers of the model's own `config.json`."""

    layers: int = Field(gt=0)
    hidden: int = Field(gt=0)
    """Width of the residual stream."""
    heads: int = Field(gt=0)
    """Query heads."""
    kv_heads: int = Field(gt=0)
    """Key and value heads; as many as query heads in plain multi-head attention."""
    head_dim: int = Field(gt=0)
    vocabulary: int = Field(default=0, ge=0)
    """0 where it is not known."""
    context: int = Field(gt=0)
    """Tokens of one sequence that the model supports."""
    latent: int = Field(default=0, ge=0)
    """Multi-head latent attention: values cached for each layer and token (`kv_lora_rank` and
    `qk_rope_head_dim`), in place of keys and values. 0: plain attention."""
    sliding_window: int = Field(default=0, ge=0)
    """Tokens to which `sliding_layers` of the layers look back; 0 where every layer sees all."""
    sliding_layers: int = Field(default=0, ge=0)
