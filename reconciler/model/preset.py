"""What the catalogue knows of a model that workspaces name as their preset."""

from typing import Literal

from pydantic import Field

from .workspace import Part

Runtime = Literal["transformers", "vllm"]


class Weights(Part):
    """Where the model's weights come from, pinned, and their size."""

    repository: str
    """Hugging Face id."""
    revision: str
    """A commit, never a branch."""
    gib: float = Field(gt=0)


class Needs(Part):
    """The least that GPUs must offer; equality is enough."""

    gpus: int = Field(default=1, ge=1)
    total_gib: float = 0
    """GPU memory of all nodes together."""
    per_gpu_gib: float = 0


class Server(Part):
    """How one runtime serves the model inside the preset's image.

    The command is `launch` with `launch_params`, then `program` with `params`; an empty value is a bare flag.
    """

    launch: tuple[str, ...]
    launch_params: dict[str, str] = Field(default_factory=dict)
    program: str
    params: dict[str, str] = Field(default_factory=dict)
    port: int = 5000
    health_path: str = "/healthz"


class InferenceSupport(Part):
    needs: Needs
    readiness_seconds: int = Field(gt=0)
    """How long the weights may take to load before the server counts as failed."""
    servers: dict[Runtime, Server]
    """By runtime; the first is the default."""

    @property
    def runtimes(self) -> tuple[Runtime, ...]:
        return tuple(self.servers)


class TuningSupport(Part):
    advised_gib: dict[Literal["lora", "qlora"], float]
    """Memory of one GPU, by method. Less is a warning: Kaito publishes such numbers and never refuses."""
    target_modules: tuple[str, ...] = ()
    """Layers that get an adapter where the training config names none; empty: the trainer's choice."""


class Preset(Part):
    """One model."""

    name: str
    aliases: tuple[str, ...] = ()
    access: Literal["public", "private"] = "public"
    """Private: the workspace must bring the image."""
    repository: str
    """Image name without tag."""
    tag: str
    weights: Weights
    disk_gib: int = Field(gt=0)
    inference: InferenceSupport
    tuning: TuningSupport | None = None
    """None where the model cannot be tuned."""

    @property
    def image(self) -> str:
        return f"{self.repository}:{self.tag}"
