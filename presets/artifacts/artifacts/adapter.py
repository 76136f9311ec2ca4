"""An adapter as peft wrote it, made the same for equal content wherever and however often it was trained."""

import json
from pathlib import Path
from typing import Any

from .errors import ArtifactError

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_MAX_CONFIG_BYTES = 1 << 20
_MAX_HEADER_BYTES = 100 << 20  # the limit of the safetensors format
_SETS = ("target_modules", "exclude_modules", "modules_to_save")
"""peft keeps these as sets, so they are written in any order."""


def normalised_config(folder: Path, base_model: str) -> bytes:
    """`adapter_config.json` for `base_model`, its real name instead of the path it was loaded from."""
    config = _json_object((folder / CONFIG).name, _content(folder / CONFIG, _MAX_CONFIG_BYTES))
    for key in _SETS:
        if isinstance(config.get(key), list):
            config[key] = sorted(map(str, config[key]))
    config |= {"base_model_name_or_path": base_model, "inference_mode": True}
    return (json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def weights(folder: Path) -> Path:
    """The safetensors file, whose header must account for each of its bytes: none is missing."""
    path = folder / WEIGHTS
    size, prefix = _size(path), _content(path, 8, whole=False)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or not 0 < length <= min(_MAX_HEADER_BYTES, size - 8):
        raise _bad(f"{WEIGHTS}: no safetensors file")
    header = _json_object(WEIGHTS, _content(path, 8 + length, whole=False)[8:])
    tensors = [value for key, value in header.items() if key != "__metadata__"]
    if not tensors:
        raise _bad(f"{WEIGHTS}: holds no tensor")
    try:
        end = max(int(tensor["data_offsets"][1]) for tensor in tensors)
    except (TypeError, KeyError, IndexError, ValueError):
        raise _bad(f"{WEIGHTS}: a tensor without data_offsets") from None
    if 8 + length + end != size:
        raise _bad(f"{WEIGHTS}: has {size} bytes, its header tells of {8 + length + end}")
    return path


def _content(path: Path, limit: int, whole: bool = True) -> bytes:
    if whole and _size(path) > limit:
        raise _bad(f"{path.name}: more than {limit} bytes")
    with path.open("rb") as file:
        return file.read(limit)


def _size(path: Path) -> int:
    if not path.is_file():
        raise _bad(f"{path} is missing")
    return path.stat().st_size


def _json_object(name: str, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _bad(f"{name}: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise _bad(f"{name}: a JSON object is needed, not {type(found).__name__}")
    return found


def _bad(told: str) -> ArtifactError:
    return ArtifactError("ArtifactCorrupt", told, "save the adapter again with peft's save_pretrained")
