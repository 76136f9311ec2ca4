"""What `vllm serve` is told: the workspace's settings, then the user's options, which win."""

from collections.abc import Mapping, Sequence

from artifacts.errors import RuntimeFailure

from .settings import Settings
from .vllm_adapters import Module, max_rank
from .vllm_options import Value, flags


def arguments(
    settings: Settings, modules: Sequence[Module], user: Mapping[str, Value], port: int
) -> list[str]:
    """Of `vllm serve`, on loopback at `port`."""
    base = settings.base
    fixed: dict[str, Value] = {"host": "127.0.0.1", "port": port}
    return [base.path or base.repository, *flags({**fixed, **_ours(settings, modules), **user})]


def served_name(settings: Settings, user: Mapping[str, Value]) -> str:
    """By which the base answers; of several, the first. Raises RuntimeFailure where an adapter has it too."""
    asked = user.get("served-model-name", settings.preset)
    names = [str(each) for each in asked] if isinstance(asked, list) else [str(asked)]
    for adapter in settings.adapters:
        if adapter.name in names:
            message = f"the adapter {adapter.name} is named as the model is"
            raise RuntimeFailure("BadConfig", message, "give the adapter another name")
    return names[0]


def _ours(settings: Settings, modules: Sequence[Module]) -> dict[str, Value]:
    said: dict[str, Value] = {"served-model-name": settings.preset, "dtype": "auto"}
    if settings.base.revision and not settings.base.path:
        said["revision"] = settings.base.revision
    if settings.gpus:
        said["tensor-parallel-size"] = settings.gpus
    if settings.max_model_len:
        said["max-model-len"] = settings.max_model_len
    if settings.quantization:
        said["quantization"] = _quantization(settings.quantization)
    if modules:
        said |= {
            "enable-lora": True,
            "max-loras": len(modules),
            "max-lora-rank": max_rank(modules),
            "lora-modules": [f"{each.name}={each.path}" for each in modules],
        }
    return said


def _quantization(asked: str) -> str:
    """vLLM quantizes with bitsandbytes while it loads, to 4 bits (NF4) only."""
    if asked != "nf4":
        message = f"vLLM cannot load weights as {asked}"
        raise RuntimeFailure("BadConfig", message, "choose nf4, or serve with transformers")
    return "bitsandbytes"
