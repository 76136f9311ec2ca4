"""Adapters as vLLM takes them: a folder and a name each, strength by a scaled `lora_alpha`.

vLLM knows no strength, but what a LoRA adds is proportional to alpha, in plain LoRA (alpha / r) as in rsLoRA
(alpha / sqrt(r)). So an adapter at half strength is the same adapter with half the alpha.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifacts.errors import RuntimeFailure

from .settings import Adapter

CONFIG = "adapter_config.json"
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What `--max-lora-rank` accepts (vLLM, config/lora.py)."""
_UNSUPPORTED = {
    "use_dora": "DoRA",
    "modules_to_save": "whole modules beside the LoRA weights",
    "lora_bias": "biases",
    "bias": "biases",
}


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    rank: int


def prepare(adapters: Sequence[Adapter], work: Path) -> list[Module]:
    """Below `work` go the folders of those that are scaled."""
    names = [each.name for each in adapters]
    if twice := {name for name in names if names.count(name) > 1}:
        raise RuntimeFailure("BadConfig", f"two adapters are named {min(twice)}", "give each its own name")
    return [_module(each, work) for each in adapters]


def max_rank(modules: Sequence[Module]) -> int:
    """The smallest that vLLM accepts and every adapter fits."""
    largest = max(modules, key=lambda each: each.rank)
    fitting = [rank for rank in RANKS if rank >= largest.rank]
    if not fitting:
        message = f"adapter {largest.name} has rank {largest.rank}, and vLLM takes {RANKS[-1]} at most"
        raise RuntimeFailure("BadData", message, "tune it with a smaller r, or serve it with transformers")
    return fitting[0]


def _module(adapter: Adapter, work: Path) -> Module:
    folder = Path(adapter.path)
    config = _config(adapter.name, folder)
    try:
        rank = max([int(config["r"]), *(config.get("rank_pattern") or {}).values()])
        scaled = config | {
            "lora_alpha": config["lora_alpha"] * adapter.strength,
            "alpha_pattern": {
                k: v * adapter.strength for k, v in (config.get("alpha_pattern") or {}).items()
            },
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _bad(adapter.name, f"{CONFIG} is no LoRA's: {type(error).__name__} {error}") from error
    if adapter.strength != 1.0:
        folder = _copy(folder, scaled, work / adapter.name)
    return Module(adapter.name, folder, rank)


def _config(name: str, folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except OSError as error:
        raise _bad(name, f"{folder / CONFIG}: {error.strerror}") from error
    except ValueError as error:
        raise _bad(name, f"{CONFIG} is not JSON") from error
    if not isinstance(config, dict):
        raise _bad(name, f"{CONFIG} is no object")
    for key, what in _UNSUPPORTED.items():
        if config.get(key) not in (None, False, [], "none"):
            raise RuntimeFailure(
                "BadData",
                f"adapter {name} has {what} ({key}), which vLLM cannot serve",
                "serve it with transformers",
            )
    return config


def _copy(source: Path, config: dict[str, Any], target: Path) -> Path:
    """Weights are linked, not copied: they may be gigabytes."""
    target.mkdir(parents=True)
    for each in source.iterdir():
        if each.name != CONFIG:
            (target / each.name).symlink_to(each.resolve())
    (target / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
    return target


def _bad(name: str, what: str) -> RuntimeFailure:
    return RuntimeFailure("BadData", f"adapter {name}: {what}", "push the adapter again")
