"""What a tuning pod is told: `settings.json`, by the contract with whoever renders pods."""

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


class WorkspaceName(Part):
    namespace: str
    name: str


class Base(Part):
    """The model that is tuned."""

    repository: str
    """Hugging Face id; it names the base in the adapter."""
    revision: str = ""
    """A commit; empty: the newest."""
    path: str = ""
    """A folder with the weights, which are then fetched from nowhere."""


class Input(Part):
    urls: tuple[str, ...] = ()
    image: str = ""
    """An image whose `/data` was unpacked into `path`."""
    path: str = "/mnt/data"
    max_bytes: int = Field(default=100 * 2**30, gt=0)
    """Of all files together."""
    allow_hosts: tuple[str, ...] = ()
    """`host:port` in private networks from which data may be fetched nevertheless."""


class Output(Part):
    image: str = ""
    """Where the adapter is pushed; empty: it stays in `path`."""
    path: str = "/mnt/results"


class Auth(Part):
    """Files of registries' logins, as `docker login` writes them; what is absent is skipped."""

    pull: tuple[str, ...] = ()
    push: str = ""


class Settings(Part):
    """One tuning."""

    workspace: WorkspaceName
    preset: str
    base: Base
    method: Literal["lora", "qlora"]
    content_key: str
    """Identity of the result: an artifact that carries it needs no training."""
    input: Input
    output: Output
    target_modules: tuple[str, ...] = ()
    """Layers that get an adapter where the training configuration names none."""
    processes: int = Field(default=1, ge=1)
    """How many train together: one for each GPU."""
    auth: Auth = Auth()

    @classmethod
    def load(cls) -> Self:
        """From the file that RECONCILER_SETTINGS names. Raises OSError, or ValueError with what is wrong."""
        return cls.model_validate_json(location().read_bytes())


def location() -> Path:
    return Path(os.environ.get("RECONCILER_SETTINGS", DEFAULT_PATH))
