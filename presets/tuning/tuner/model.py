"""The base model as it is tuned: loaded whole or in few bits, with fresh adapters on it."""

import dataclasses
import logging
import os
from pathlib import Path
from typing import Any

import peft
import torch
from artifacts import RuntimeFailure, standin
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from .configuration import Configuration, bad, suggestion
from .settings import Settings

LOG = logging.getLogger(__name__)
CONTEXT_LIMIT = 4096
"""Tokens of an example at most, where the model takes more: memory of activations grows with it."""
ALL_LINEAR = "all-linear"


def load(settings: Settings, configuration: Configuration) -> tuple[Any, Any]:
    """Model with adapters, and tokenizer. Raises RuntimeFailure: ModelMissing or BadConfig."""
    source, revision = _source(settings)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
        base = AutoModelForCausalLM.from_pretrained(
            source,
            revision=revision,
            dtype=dtype(configuration),
            quantization_config=_quantization(configuration),
            device_map=_device_map(),
            trust_remote_code=configuration.model.trust_remote_code,
        )
    except (OSError, ValueError, ImportError) as error:
        told = " ".join(str(error).split())[:500]
        remedy = "check preset, its access token (presetOptions.modelAccessSecret) and the way to the hub"
        raise RuntimeFailure(
            "ModelMissing", f"{source} cannot be loaded: {told}", remedy, retry=True
        ) from None
    _prepare(tokenizer, configuration)
    return _with_adapters(base, settings, configuration), tokenizer


def context(model: Any, tokenizer: Any) -> int:
    """Tokens of one example at most."""
    own = getattr(model.config, "max_position_embeddings", CONTEXT_LIMIT)
    return int(min(own, tokenizer.model_max_length, CONTEXT_LIMIT))


def dtype(configuration: Configuration) -> torch.dtype:
    named = configuration.model.torch_dtype
    if named in (None, "auto"):
        return torch.bfloat16 if torch.cuda.is_available() else torch.float32
    found: torch.dtype = getattr(torch, str(named))
    return found


def _source(settings: Settings) -> tuple[str, str | None]:
    if folder := settings.base.path or standin.model(settings.preset):
        if not settings.base.path:
            LOG.info("a stand-in is tuned in place of %s: %s", settings.preset, folder)
        return folder, None
    return settings.base.repository, settings.base.revision or None


def _prepare(tokenizer: Any, configuration: Configuration) -> None:
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if template := configuration.model.chat_template:
        try:
            tokenizer.chat_template = Path(template).read_text()
        except OSError as error:
            raise bad(f"ModelConfig.chat_template {template}: {error.strerror}", "mount that file") from None


def _quantization(configuration: Configuration) -> BitsAndBytesConfig | None:
    if configuration.bits == 16:
        return None
    said = configuration.quantization
    return BitsAndBytesConfig(
        load_in_4bit=configuration.bits == 4,
        load_in_8bit=configuration.bits == 8,
        bnb_4bit_quant_type=said.bnb_4bit_quant_type,
        bnb_4bit_compute_dtype=getattr(torch, said.bnb_4bit_compute_dtype),
        bnb_4bit_use_double_quant=said.bnb_4bit_use_double_quant,
        llm_int8_threshold=said.llm_int8_threshold,
        llm_int8_skip_modules=said.llm_int8_skip_modules,
        llm_int8_enable_fp32_cpu_offload=said.llm_int8_enable_fp32_cpu_offload,
        llm_int8_has_fp16_weight=said.llm_int8_has_fp16_weight,
    )


def _device_map() -> dict[str, Any]:
    """The whole model on this process's own GPU, or on the CPU."""
    return {"": int(os.environ.get("LOCAL_RANK", "0")) if torch.cuda.is_available() else "cpu"}


def _with_adapters(base: Any, settings: Settings, configuration: Configuration) -> Any:
    checkpointing = configuration.arguments.gradient_checkpointing
    base.config.use_cache = False
    if configuration.bits != 16:
        base = peft.prepare_model_for_kbit_training(base, use_gradient_checkpointing=checkpointing)
    elif checkpointing:
        base.enable_input_require_grads()
    torch.manual_seed(configuration.arguments.seed)
    said = configuration.lora.model_dump(exclude_none=True)
    known = {field.name for field in dataclasses.fields(peft.LoraConfig)}
    for name in said.keys() - known:
        raise bad(f"LoraConfig.{name}: unknown key", suggestion(name, known))
    said["target_modules"] = said.get("target_modules") or _targets(base, settings.target_modules)
    try:
        return peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", **said))
    except (ValueError, TypeError) as error:
        raise bad(f"LoraConfig: {' '.join(str(error).split())[:300]}", "correct the value") from None


def _targets(base: Any, wanted: tuple[str, ...]) -> list[str] | str:
    """The catalogue's layers where this model has them all, else every linear one."""
    layers = {name.rpartition(".")[2] for name, _ in base.named_modules()}
    if wanted and layers.issuperset(wanted):
        return list(wanted)
    if wanted:
        LOG.warning("this model has no layers %s: every linear layer is tuned", ", ".join(wanted))
    return ALL_LINEAR
