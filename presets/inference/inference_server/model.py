"""Loads the base model once and gives a module tree for each set of adapters over the same weights.

An adapter is switched on and off in the modules themselves, for whoever runs them. To let two sets run at the
same time, the tree of modules is copied; parameters and buffers, which are what weighs, are shared.
"""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from artifacts import standin
from artifacts.errors import RuntimeFailure
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from .asked import Defaults
from .settings import Adapter, Settings

LOG = logging.getLogger(__name__)
COMBINED = "combined"
_MODEL_REMEDY = "check base.path, or the repository, its revision and the token to read it"


@dataclass(frozen=True)
class Loaded:
    model: Any
    """transformers' model, LoRA layers injected, none of them merged."""
    tokenizer: Any
    end_ids: tuple[int, ...]
    max_length: int
    defaults: Defaults


def load(settings: Settings) -> Loaded:
    """Raises RuntimeFailure: ModelMissing, OutOfMemory, BadConfig or BadData."""
    try:
        source, revision = _source(settings)
        model = _base(settings, source, revision)
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
        model = _with_adapters(model, settings.adapters)
    except torch.OutOfMemoryError as error:
        remedy = "set quantization to nf4, or take a node with more GPU memory"
        raise RuntimeFailure("OutOfMemory", f"loading {settings.preset}: {error}", remedy) from error
    except OSError as error:
        told, hub = f"{settings.preset}: {error}", not settings.base.path
        raise RuntimeFailure("ModelMissing", told, _MODEL_REMEDY, retry=hub) from error
    generation = model.generation_config
    defaults = Defaults(
        generation.temperature if generation.temperature is not None else 1.0,
        generation.top_p if generation.top_p is not None else 1.0,
        generation.top_k or 0,
    )
    return Loaded(model, tokenizer, _end_ids(generation, tokenizer), _max_length(settings, model), defaults)


def view(model: Any, adapters: Sequence[int]) -> Any:
    """A module tree over the same weights with these adapters on, the others off."""
    memo: dict[int, Any] = {id(each): each for each in (*model.parameters(), *model.buffers())}
    for module in model.modules():
        # bitsandbytes keeps scales, and weights of 8 bits, beside the parameter.
        for name in ("quant_state", "state"):
            if (kept := module.__dict__.get(name)) is not None:
                memo[id(kept)] = kept
    made = copy.deepcopy(model, memo)
    for module in made.modules():
        if isinstance(module, BaseTunerLayer):
            module.enable_adapters(bool(adapters))
            if adapters:
                module.set_adapter(COMBINED if len(adapters) > 1 else _internal(adapters[0]))
    return made.requires_grad_(False).eval()


def _source(settings: Settings) -> tuple[str, str | None]:
    if settings.base.path:
        return settings.base.path, None
    if folder := standin.model(settings.preset):
        LOG.warning("stand-in: %s is served from %s", settings.preset, folder)
        return folder, None
    return settings.base.repository, settings.base.revision or None


def _base(settings: Settings, source: str, revision: str | None) -> Any:
    config = AutoConfig.from_pretrained(source, revision=revision)
    device = _device(settings)
    dtype = config.dtype if isinstance(config.dtype, torch.dtype) else torch.bfloat16
    if device == "cpu" and dtype == torch.float16:
        dtype = torch.bfloat16  # CPUs compute in it, and not in float16
    return AutoModelForCausalLM.from_pretrained(
        source,
        revision=revision,
        dtype=dtype,
        device_map="auto" if device == "cuda" and settings.gpus > 1 else {"": device},
        quantization_config=_quantization(settings, dtype),
    ).eval()


def _device(settings: Settings) -> str:
    if settings.gpus and not torch.cuda.is_available():
        LOG.warning("no GPU here: serving on the CPU")
    return "cuda" if settings.gpus and torch.cuda.is_available() else "cpu"


def _quantization(settings: Settings, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    if settings.quantization == "nf4":
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    return BitsAndBytesConfig(load_in_8bit=True) if settings.quantization == "int8" else None


def _end_ids(generation: Any, tokenizer: Any) -> tuple[int, ...]:
    said = generation.eos_token_id
    ids = [] if said is None else [said] if isinstance(said, int) else list(said)
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ids:
        ids.append(tokenizer.eos_token_id)
    return tuple(ids)


def _max_length(settings: Settings, model: Any) -> int:
    can = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    asked = settings.max_model_len
    if can and asked > can:
        told = f"maxModelLen is {asked}, and {settings.preset} can do {can}"
        raise RuntimeFailure("BadConfig", told, f"set maxModelLen to {can} or less")
    return asked or can or 4096


def _internal(number: int) -> str:
    """Module names may hold no dots, adapters' names may."""
    return f"adapter{number}"


def _with_adapters(model: Any, adapters: Sequence[Adapter]) -> Any:
    if not adapters:
        return model
    peft: Any = None
    for number, adapter in enumerate(adapters):
        peft = _add(peft if peft is not None else model, adapter, _internal(number))
    if len(adapters) > 1:
        _combine(peft, adapters)
    inner: Any = peft.base_model.model
    return inner


def _add(model: Any, adapter: Adapter, name: str) -> Any:
    if not (Path(adapter.path) / "adapter_config.json").is_file():
        told = f"adapter {adapter.name}: {adapter.path} holds no adapter_config.json"
        raise RuntimeFailure("BadData", told, "check that the adapter's image or volume is one")
    try:
        if isinstance(model, PeftModel):
            model.load_adapter(adapter.path, adapter_name=name)
        else:
            model = PeftModel.from_pretrained(model, adapter.path, adapter_name=name)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        told = f"adapter {adapter.name} does not fit the model: {error}"
        raise RuntimeFailure("BadData", told, "serve it with the model that it was tuned on") from error
    _scale(model, adapter, name)
    return model


def _scale(model: Any, adapter: Adapter, name: str) -> None:
    config = model.peft_config[name]
    if getattr(config, "use_dora", False) and adapter.strength != 1:
        told = f"adapter {adapter.name} is a DoRA, whose effect is not proportional to its strength"
        raise RuntimeFailure("BadConfig", told, "leave its strength at 1")
    for layer in model.modules():
        if isinstance(layer, LoraLayer) and name in layer.scaling:
            layer.scaling[name] *= adapter.strength


def _combine(peft: Any, adapters: Sequence[Adapter]) -> None:
    """All in one adapter by concatenation, whose result is that of all at once (`linear` has cross terms)."""
    names = [_internal(number) for number in range(len(adapters))]
    if any(getattr(peft.peft_config[name], "use_dora", False) for name in names):
        raise RuntimeFailure("BadConfig", "a DoRA cannot be combined with others", "serve it alone")
    try:
        peft.base_model.add_weighted_adapter(names, [1.0] * len(names), COMBINED, combination_type="cat")
    except (ValueError, TypeError) as error:
        told = f"the adapters cannot be combined: {error}"
        raise RuntimeFailure("BadConfig", told, "serve them in workspaces of their own") from error
    for layer in peft.modules():
        if isinstance(layer, LoraLayer) and COMBINED in layer.scaling:
            # The parts are scaled already; rsLoRA would scale again, by the sum of ranks.
            layer.scaling[COMBINED] = 1.0
