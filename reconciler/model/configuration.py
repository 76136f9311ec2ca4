"""What `training_config.yaml` and `inference_config.yaml` may say, before a GPU is paid for to find out.

Sections and keys are those that Kaito's trainer and server read (v0.3 to head). What they pass on to
libraries that grow (peft's `LoraConfig`, transformers' `TrainingArguments`, vLLM's flags) is taken as
written, but for values that no release takes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from posixpath import join, normpath
from typing import Any, Literal

from .finding import Finding, Path, finding
from .suggestion import nearest

TRAINING, INFERENCE = "training_config.yaml", "inference_config.yaml"
ROOT = "training_config"
Findings = Iterator[Finding]
Check = Callable[[Any], str]

_MODEL = frozenset(
    {
        "pretrained_model_name_or_path", "state_dict", "cache_dir", "from_tf", "force_download",
        "resume_download", "proxies", "output_loading_info", "local_files_only", "revision",
        "trust_remote_code", "load_in_4bit", "load_in_8bit", "torch_dtype", "device_map", "chat_template",
    }
)  # fmt: skip
_QUANTIZATION = frozenset(
    {
        "quant_method", "load_in_8bit", "load_in_4bit", "llm_int8_threshold", "llm_int8_skip_modules",
        "llm_int8_enable_fp32_cpu_offload", "llm_int8_has_fp16_weight", "bnb_4bit_compute_dtype",
        "bnb_4bit_quant_type", "bnb_4bit_use_double_quant",
    }
)  # fmt: skip
_DATASET = frozenset(
    {
        "dataset_path", "dataset_extension", "shuffle_dataset", "shuffle_seed", "context_column",
        "response_column", "messages_column", "train_test_split",
    }
)  # fmt: skip
SECTIONS: Mapping[str, frozenset[str] | None] = {
    "ModelConfig": _MODEL,
    "QuantizationConfig": _QUANTIZATION,
    "LoraConfig": None,
    "TrainingArguments": None,
    "DatasetConfig": _DATASET,
    "DataCollator": frozenset(
        {"mlm", "mlm_probability", "pad_to_multiple_of", "return_tensors", "tf_experimental_compile"}
    ),
}
"""Keys by section; None where a library of its own decides."""


def training(found: Any, method: Literal["lora", "qlora"]) -> Findings:
    """Kaito's checks of a tuning's configuration, and those its trainer makes only when it runs."""
    root = found.get(ROOT) if isinstance(found, dict) else None
    if not isinstance(root, dict):
        yield finding((ROOT,), None, f"{TRAINING} needs a mapping {ROOT}", "put the sections below it")
        return
    yield from _unknown((), found, {ROOT}, "key")
    yield from _unknown((ROOT,), root, SECTIONS, "section")
    for name, keys in SECTIONS.items():
        section = root.get(name)
        if section is not None and not isinstance(section, dict):
            yield finding((ROOT, name), section, "a section must be a mapping", "write 'key: value' lines")
        elif section and keys is not None:
            yield from _unknown((ROOT, name), section, keys, "key")
    yield from _values((ROOT,), root, _TRAINING_VALUES)
    yield from _bits(root, method)


def inference(found: Any) -> Findings:
    """vLLM's flags are scalars: Kaito's server appends each as `--key value`."""
    if not isinstance(found, dict):
        yield finding((), None, f"{INFERENCE} must be a mapping", "write 'key: value' lines")
        return
    known = ("vllm", "max_probe_steps", "kv_cache_cpu_memory_utilization")
    yield from _unknown((), found, known, "key")
    vllm = found.get("vllm")
    if vllm is not None and not isinstance(vllm, dict):
        yield finding(("vllm",), vllm, "vllm must be a mapping", "write one flag on each line")
        return
    for key, value in (vllm or {}).items():
        if isinstance(value, dict | list):
            rule, remedy = "a flag's value must be a single one", "write JSON as text, in quotes"
            yield finding(("vllm", key), None, rule, remedy)
    flags = {str(key).replace("_", "-"): value for key, value in (vllm or {}).items()}
    yield from _values((), {"": found, "vllm": flags}, _INFERENCE_VALUES)


def _bits(root: Mapping[str, Any], method: str) -> Findings:
    """QLoRA trains on a base of 4 or 8 bits, LoRA on a whole one (Kaito, create validation)."""
    section = root.get("QuantizationConfig")
    section = section if isinstance(section, dict) else {}
    at: Path = (ROOT, "QuantizationConfig")
    chosen = [key for key in ("load_in_4bit", "load_in_8bit") if section.get(key) is True]
    if len(chosen) == 2:
        yield finding((*at, chosen[0]), None, "a model is loaded in 4 bits or in 8, not both", "keep one")
    if method == "lora" and chosen:
        rule = f"method lora trains on whole weights, and {chosen[0]} is true"
        yield finding((*at, chosen[0]), True, rule, "set it to false, or choose method qlora")
    if method == "qlora" and not chosen:
        rule = "method qlora needs load_in_4bit or load_in_8bit to be true"
        yield finding(at, None, rule, "set load_in_4bit: true, or choose method lora")


def _unknown(at: Path, part: Mapping[str, Any], known: Iterable[str], what: str) -> Findings:
    for name in part:
        if name not in known:
            near = nearest(str(name), known)
            yield finding(
                (*at, str(name)), None, f"unknown {what}", f"did you mean {near}?" if near else "remove it"
            )


def _values(
    at: Path, root: Mapping[str, Any], checks: Mapping[tuple[str, str], tuple[Check, str]]
) -> Findings:
    for (section, key), (check, remedy) in checks.items():
        part = root.get(section)
        value = part.get(key) if isinstance(part, dict) else None
        if value is not None and (fault := check(value)):
            where = (*at, section, key) if section else (*at, key)
            yield finding(where, value, fault, remedy)


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "it must be true or false"


def _whole(value: Any) -> str:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return "" if good else "it must be a whole number of at least 1"


def _length(value: Any) -> str:
    return "" if value == "auto" or not _whole(value) else "it must be a whole number of at least 1, or auto"


def _share(value: Any) -> str:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1
    return "" if good else "it must be a number above 0 and at most 1"


def _part(value: Any) -> str:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return "" if good else "it must be a number from 0 to 1"


def _positive(value: Any) -> str:
    good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return "" if good else "it must be a number above 0"


def _below_mnt(value: Any) -> str:
    """Where the pusher looks for the result."""
    path = normpath(join("/mnt", value)) if isinstance(value, str) else ""
    return "" if path.startswith("/mnt/") else "it must be a folder below /mnt"


_NUMBER = "write it without quotes"
_TRAINING_VALUES: Mapping[tuple[str, str], tuple[Check, str]] = {
    ("QuantizationConfig", "load_in_4bit"): (_flag, _NUMBER),
    ("QuantizationConfig", "load_in_8bit"): (_flag, _NUMBER),
    ("LoraConfig", "r"): (_whole, _NUMBER),
    ("LoraConfig", "lora_alpha"): (_positive, _NUMBER),
    ("LoraConfig", "lora_dropout"): (_part, _NUMBER),
    ("TrainingArguments", "output_dir"): (_below_mnt, "write /mnt/results"),
    ("TrainingArguments", "per_device_train_batch_size"): (_whole, _NUMBER),
    ("TrainingArguments", "gradient_accumulation_steps"): (_whole, _NUMBER),
    ("TrainingArguments", "num_train_epochs"): (_positive, _NUMBER),
    ("TrainingArguments", "learning_rate"): (_positive, "write it as in 0.0002 or 2.0e-4"),
    ("DatasetConfig", "train_test_split"): (_share, _NUMBER),
    ("DatasetConfig", "shuffle_dataset"): (_flag, _NUMBER),
}
_INFERENCE_VALUES: Mapping[tuple[str, str], tuple[Check, str]] = {
    ("", "max_probe_steps"): (_whole, _NUMBER),
    ("", "kv_cache_cpu_memory_utilization"): (_part, _NUMBER),
    ("vllm", "max-model-len"): (_length, "write the number of tokens"),
    ("vllm", "gpu-memory-utilization"): (_share, _NUMBER),
    ("vllm", "tensor-parallel-size"): (_whole, _NUMBER),
    ("vllm", "pipeline-parallel-size"): (_whole, _NUMBER),
}
