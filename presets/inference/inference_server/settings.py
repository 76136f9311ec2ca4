"""What a serving pod is told: `settings.json`, by the contract with whoever renders pods."""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

DEFAULT_PATH = "/mnt/config/settings.json"


class Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


class Base(Part):
    """The model that is served."""

    repository: str
    """Hugging Face id."""
    revision: str = ""
    """A commit; empty: the newest."""
    path: str = ""
    """A folder with the weights, which are then fetched from nowhere."""


class Adapter(Part):
    name: str
    strength: float = Field(default=1.0, ge=0, le=1)
    path: str
    """A folder with `adapter_config.json` and `adapter_model.safetensors`."""


class Limits(Part):
    """What keeps one client from taking everything."""

    queue: int = Field(default=256, ge=1)
    """Requests that wait or run at once; more get 429."""
    body_bytes: int = Field(default=4 * 2**20, ge=1)
    request_seconds: float = Field(default=600.0, gt=0)
    drain_seconds: float = Field(default=30.0, ge=0)
    """How long running requests may go on after SIGTERM."""
    default_tokens: int = Field(default=256, ge=1)
    """Generated where a request names no number."""
    cache_tokens: int = Field(default=0, ge=0)
    """Tokens in the KV cache, of all requests together; 0: chosen by the memory there is."""


class Settings(Part):
    """One served workspace."""

    preset: str
    base: Base
    runtime: Literal["transformers", "vllm"] = "transformers"
    adapters: tuple[Adapter, ...] = ()
    quantization: Literal["", "nf4", "int8"] = ""
    """Of the base's weights as they are loaded."""
    port: int = Field(default=5000, ge=1, le=65535)
    gpus: int = Field(default=0, ge=0)
    max_model_len: int = Field(default=0, ge=0)
    """Tokens of prompt and answer together; 0: what the model can."""
    limits: Limits = Limits()

    @classmethod
    def load(cls) -> Self:
        """From the file that RECONCILER_SETTINGS names. Raises OSError, or ValueError with what is wrong."""
        return cls.model_validate_json(location().read_bytes())


def location() -> Path:
    return Path(os.environ.get("RECONCILER_SETTINGS", DEFAULT_PATH))
