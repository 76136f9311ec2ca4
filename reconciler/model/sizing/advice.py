"""What sizing has to say of one workspace: advice, never a refusal. Kaito's own checks are in `fit`."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..preset import Preset, Runtime
from ..sku import Sku
from ..workspace import Workspace
from .model import Model
from .serving import Demand, serving
from .training import LINEAR, RANK, Method, Recipe, training


def advice(workspace: Workspace, preset: Preset, runtime: Runtime, sku: Sku, config: object) -> Iterator[str]:
    """`config`: what the configuration of the workspace says; None where that is the default."""
    model = Model.of(preset, runtime)
    if model is None or not sku.gpus:
        return
    if not sku.compute_capability:  # it may do: memory alone is judged
        model = replace(model, capability=0.0)
    if workspace.tuning is not None:
        yield from _tuning(workspace, preset, model, sku, config)
    else:
        asked = demand(config) if runtime == "vllm" else Demand()
        yield from _context(model, asked)
        yield from _serving(workspace, model, sku, asked)


def _context(model: Model, asked: Demand) -> Iterator[str]:
    limit = model.architecture.context
    if asked.context > limit:
        yield f"max-model-len {asked.context} is above the limit of {model.name}, {limit} tokens"


def _serving(workspace: Workspace, model: Model, sku: Sku, asked: Demand) -> Iterator[str]:
    """What all nodes together cannot hold; or what only all of them together can.

    A server that cannot span nodes runs on each of them by itself.
    """
    count, wanted = workspace.resource.count, _within(model, asked)
    together, alone = (serving(model, sku, nodes, wanted) for nodes in (count if model.shared else 1, 1))
    named = f"{count} × {sku.name}"
    if together.fits and not alone.fits:
        yield f"{model.name} fits {named} only where its server spans all nodes: {'; '.join(alone.reasons)}"
    elif not together.fits and wanted.context and together.max_context:
        most = together.max_context
        yield f"max-model-len {wanted.context} is more than {named} can hold: at most {most} tokens fit"
    elif not together.fits:
        yield f"{model.name} may not run on {named}: {'; '.join(together.reasons)}"


def _within(model: Model, wanted: Demand) -> Demand:
    """Above the model's limit the limit is judged."""
    limit = model.architecture.context
    return replace(wanted, context=limit) if wanted.context > limit else wanted


def _tuning(workspace: Workspace, preset: Preset, model: Model, sku: Sku, config: object) -> Iterator[str]:
    assert workspace.tuning is not None
    method = workspace.tuning.method
    found = training(model, sku, recipe(method, preset, config))
    if not found.fits:
        why = "; ".join(found.reasons)
        yield f"{method} tuning of {model.name} may run out of memory on {sku.name}: {why}"


def demand(config: object) -> Demand:
    """What `inference_config.yaml` asks of memory; what it says amiss counts as not said."""
    vllm = {str(key).replace("_", "-"): value for key, value in _section(config, "vllm").items()}
    share = vllm.get("gpu-memory-utilization")
    return Demand(
        context=_number(vllm.get("max-model-len"), 0),
        utilisation=share if isinstance(share, float) and 0 < share <= 1 else 0.0,
        cache_bytes=1 if str(vllm.get("kv-cache-dtype", "")).startswith("fp8") else 0,
    )


def recipe(method: Method, preset: Preset, config: object) -> Recipe:
    """What `training_config.yaml` asks of memory; what it says amiss counts as not said."""
    lora = _section(config, "training_config", "LoraConfig")
    arguments = _section(config, "training_config", "TrainingArguments")
    named = lora.get("target_modules")
    known = preset.tuning.target_modules if preset.tuning else ()
    return Recipe(
        method,
        rank=_number(lora.get("r"), RANK),
        targets=tuple(map(str, named)) if isinstance(named, list) and named else known or LINEAR,
        batch=_number(arguments.get("per_device_train_batch_size"), 1),
        gradient_checkpointing=arguments.get("gradient_checkpointing") is True,
    )


def _number(value: object, default: int) -> int:
    """A whole number above 0, written as one or as text."""
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 10 and int(text) else default


def _section(config: object, *path: str) -> Mapping[str, object]:
    found = config
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
