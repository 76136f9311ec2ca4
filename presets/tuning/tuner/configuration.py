"""`training_config.yaml`: the user's own words, in Kaito's sections and keys (v0.3 to head).

What goes to a library that grows (peft's `LoraConfig`, transformers' `TrainingArguments`) is checked there
for names that it does not know; types of the common ones are checked here.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from artifacts import RuntimeFailure
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_BYTES = 1 << 20
ROOT = "training_config"
Dtype = Literal["bfloat16", "float16", "float32", "auto"]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ModelSection(Section):
    """How the base is loaded. Some keys of Kaito's trainer mean nothing here and are taken without effect."""

    model_config = ConfigDict(protected_namespaces=())

    pretrained_model_name_or_path: str = ""
    """Without effect: the workspace's preset names the base."""
    torch_dtype: Dtype | None = None
    """None: float32 on a CPU, bfloat16 on a GPU."""
    trust_remote_code: bool = False
    chat_template: str | None = None
    """A file with a Jinja template, in place of the tokenizer's own."""
    load_in_4bit: bool = False
    load_in_8bit: bool = False
    device_map: Any = "auto"
    local_files_only: bool = False
    revision: str | None = None
    cache_dir: str | None = None
    state_dict: Any = None
    from_tf: bool = False
    force_download: bool = False
    resume_download: bool = False
    proxies: Any = None
    output_loading_info: bool = False


class QuantizationSection(Section):
    """bitsandbytes' words; without either `load_in_…` the base is loaded whole."""

    quant_method: Literal["bitsandbytes"] = "bitsandbytes"
    load_in_4bit: bool = False
    load_in_8bit: bool = False
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "fp4"
    bnb_4bit_compute_dtype: Literal["bfloat16", "float16", "float32"] = "float32"
    bnb_4bit_use_double_quant: bool = False
    llm_int8_threshold: float = 6.0
    llm_int8_skip_modules: list[str] | None = None
    llm_int8_enable_fp32_cpu_offload: bool = False
    llm_int8_has_fp16_weight: bool = False


class LoraSection(Section):
    """peft's `LoraConfig`."""

    model_config = ConfigDict(extra="allow")

    r: Count = 8
    lora_alpha: Annotated[float, Field(gt=0)] = 8
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: str | list[str] | None = None
    bias: Literal["none", "all", "lora_only"] = "none"


class ArgumentsSection(Section):
    """transformers' `TrainingArguments`; `output_dir` is the workspace's results folder whatever it says."""

    model_config = ConfigDict(extra="allow")

    num_train_epochs: Annotated[float, Field(gt=0)] = 3.0
    max_steps: int = -1
    per_device_train_batch_size: Count = 1
    gradient_accumulation_steps: Count = 1
    gradient_checkpointing: bool = False
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    logging_steps: Annotated[float, Field(gt=0)] = 10
    seed: int = 42


class CollatorSection(Section):
    """Kaito's keys; a causal model has no masked tokens, so `mlm` is without effect."""

    mlm: bool = True
    mlm_probability: float | None = None
    pad_to_multiple_of: Count | None = None
    return_tensors: str | None = None
    tf_experimental_compile: bool | None = None


class DatasetSection(Section):
    dataset_path: str | None = None
    """A file or folder of the workspace's data; None: all of it."""
    dataset_extension: Literal["parquet", "json", "jsonl", "csv", "arrow"] | None = None
    """Only files that end so."""
    shuffle_dataset: bool = True
    shuffle_seed: int = 42
    messages_column: str | None = None
    context_column: str | None = None
    response_column: str = "text"
    train_test_split: Share = 0.8
    """Share of the rows that train; the rest is evaluated on."""


class Configuration(Section):
    model: ModelSection = Field(default_factory=ModelSection, alias="ModelConfig")
    quantization: QuantizationSection = Field(default_factory=QuantizationSection, alias="QuantizationConfig")
    lora: LoraSection = Field(default_factory=LoraSection, alias="LoraConfig")
    arguments: ArgumentsSection = Field(default_factory=ArgumentsSection, alias="TrainingArguments")
    collator: CollatorSection = Field(default_factory=CollatorSection, alias="DataCollator")
    dataset: DatasetSection = Field(default_factory=DatasetSection, alias="DatasetConfig")

    @property
    def bits(self) -> Literal[4, 8, 16]:
        """Of the base's weights as they are loaded; 16 stands for whole ones."""
        four = self.quantization.load_in_4bit or self.model.load_in_4bit
        eight = self.quantization.load_in_8bit or self.model.load_in_8bit
        return 4 if four else 8 if eight else 16


class TrainingConfig(Section):
    """The whole file."""

    training_config: Configuration


def load(path: Path, method: Literal["lora", "qlora"]) -> Configuration:
    """Raises RuntimeFailure(BadConfig) naming section, key, value, rule and remedy."""
    try:
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            raise bad(f"{path.name} has {len(content)} bytes", f"at most {MAX_BYTES} are read")
        found = yaml.safe_load(content)
    except OSError as error:
        raise bad(f"{path} cannot be read: {error.strerror}", "mount the configuration there") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        told = " ".join(str(error).split())
        raise bad(f"{path.name} is no YAML: {told}", "correct that line") from None
    try:
        configuration = TrainingConfig.model_validate(found).training_config
    except ValidationError as error:
        raise bad(*_told(error)) from None
    _fits(configuration, method)
    return configuration


def bad(message: str, remedy: str) -> RuntimeFailure:
    return RuntimeFailure("BadConfig", message, remedy)


def suggestion(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else "remove it"


def _fits(configuration: Configuration, method: str) -> None:
    bits = configuration.bits
    if (method == "qlora") == (bits == 16):
        why = (
            "needs a base of 4 or 8 bits"
            if method == "qlora"
            else f"trains on whole weights, not {bits} bits"
        )
        remedy = "set QuantizationConfig.load_in_4bit: true" if method == "qlora" else "choose method qlora"
        raise bad(f"method {method} {why}", remedy)
    if configuration.quantization.load_in_4bit and configuration.quantization.load_in_8bit:
        raise bad("QuantizationConfig loads in 4 bits and in 8", "keep one of them")


def _told(error: ValidationError) -> tuple[str, str]:
    """Of the first unknown key, else of the first fault: a misspelt name is also missing where it belongs."""
    fault = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    where = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key", suggestion(str(fault["loc"][-1]), _known(fault["loc"][:-1]))
    value = "" if isinstance(fault["input"], dict | list) else f" {fault['input']!r}"
    return f"{where}:{value} {fault['msg'][:1].lower()}{fault['msg'][1:]}", "correct the value"


def _known(place: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = TrainingConfig
    for name in place:
        fields = {field.alias or key: field for key, field in model.model_fields.items()}
        inner = fields[str(name)].annotation
        assert isinstance(inner, type)
        model = inner
    return [field.alias or key for key, field in model.model_fields.items()]
