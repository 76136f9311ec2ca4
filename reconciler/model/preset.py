"""What the catalogue knows of a model that workspaces name as their preset."""

import math
import re
from typing import Literal

from pydantic import Field

from .architecture import Architecture
from .workspace import Part

Runtime = Literal["transformers", "vllm"]
Dtype = Literal["bfloat16", "float16", "float8", "int4", "mxfp4", "nvfp4"]

BASE_IMAGE = ("mcr.microsoft.com/aks/kaito/kaito-base", "0.5.0")
"""Repository and tag of Kaito's image that serves any model by vLLM and fetches the weights as it starts."""

_REPOSITORY_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


class Weights(Part):
    """Where the model's weights come from, and their size."""

    repository: str
    """Hugging Face id."""
    revision: str = ""
    """A commit, never a branch; empty where none is pinned, so that the newest is taken."""
    gib: float = Field(default=0, ge=0)
    """Of the files that the repository's index names; 0 where it is not known."""
    dtype: Dtype = "bfloat16"
    """Of most of the weights."""
    quantization: str = ""
    """Method, as vLLM names it; empty for weights in full precision."""
    parameters: float | None = Field(default=None, gt=0)
    """In billions; None where it is not known."""


class Needs(Part):
    """The least that GPUs must offer; equality is enough."""

    gpus: int = Field(default=1, ge=1)
    total_gib: float = 0
    """GPU memory of all nodes together."""
    per_gpu_gib: float = 0


class Server(Part):
    """How one runtime serves the model inside an image.

    The command is `launch` with `launch_params`, then `program` with `params`; an empty value is a bare flag.
    """

    image: str = ""
    """Empty where it is the preset's own."""
    launch: tuple[str, ...]
    launch_params: dict[str, str] = Field(default_factory=dict)
    program: str
    params: dict[str, str] = Field(default_factory=dict)
    port: int = 5000
    health_path: str = "/healthz"


class InferenceSupport(Part):
    needs: Needs = Needs()
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
    repository: str = ""
    """Image name without tag; empty for a private model, whose image the workspace brings."""
    tag: str = ""
    auth: bool = False
    """Its weights are given only to those who show a token: a workspace needs `modelAccessSecret`."""
    licence: str = ""
    """SPDX identifier or the licence's own name; empty where it is not known."""
    deprecated: str = ""
    """Why it should no longer be chosen, and what to choose; empty where nothing speaks against it."""
    lora: tuple[Runtime, ...] = ("transformers", "vllm")
    """Runtimes in which adapters can be served on it."""
    weights: Weights
    architecture: Architecture | None = None
    """None where nothing is known of it."""
    disk_gib: int = Field(gt=0)
    inference: InferenceSupport
    tuning: TuningSupport | None = None
    """None where the model cannot be tuned."""

    @property
    def image(self) -> str:
        return f"{self.repository}:{self.tag}" if self.repository else ""

    @property
    def known(self) -> bool:
        """Whether its size is known."""
        return self.weights.gib > 0

    def served_first_by(self, runtime: Runtime) -> "Preset":
        """With this runtime as its default, where it has it."""
        if runtime not in self.inference.servers:
            return self
        servers = {runtime: self.inference.servers[runtime], **self.inference.servers}
        return self.model_copy(update={"inference": self.inference.model_copy(update={"servers": servers})})

    def sized(self, gib: float, least_gib: float) -> "Preset":
        """With weights of this size, which need GPUs of at least so much memory."""
        needs = Needs.model_validate({"totalGib": least_gib})
        return self.model_copy(
            update={
                "weights": self.weights.model_copy(update={"gib": gib}),
                "disk_gib": math.ceil(gib) + 80,
                "inference": self.inference.model_copy(update={"needs": needs}),
            }
        )


def of_repository(name: str) -> Preset | None:
    """Any model of Hugging Face, served by Kaito's base image; None for what is no `organisation/name`.

    Nothing is known of its size. Kaito asks huggingface.co for it; this program asks nobody.
    """
    if not _REPOSITORY_ID.fullmatch(name):
        return None
    params = {"model": name, "served-model-name": name, "trust-remote-code": "", "dtype": "auto"}
    server = {
        "launch": ["python3"],
        "program": "/workspace/vllm/inference_api.py",
        "params": params | {"download-dir": "/workspace/weights"},
        "healthPath": "/health",
    }
    return Preset.model_validate(
        {
            "name": name,
            "repository": BASE_IMAGE[0],
            "tag": BASE_IMAGE[1],
            "weights": {"repository": name},
            "diskGib": 300,
            "inference": {"readinessSeconds": 10_800, "servers": {"vllm": server}},
        }
    )
