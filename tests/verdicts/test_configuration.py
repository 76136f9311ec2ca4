"""What a tuning's and a server's configuration may say; every refusal names the line in the ConfigMap."""

import pytest
import yaml
from verdicts.judge import config, problems, said, serving, tuning

from reconciler.sources.catalog import templates

HEAD = "training_config:\n"
BITS = "  QuantizationConfig: {load_in_4bit: true}\n"


def trained(text: str, method: str = "qlora") -> list[str]:
    found = tuning(method=method, config="params")
    return said(found, config("params", text, key="training_config.yaml"))


def served(text: str) -> list[str]:
    return said(serving("phi-4", config="params"), config("params", text))


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_kaitos_own_templates_are_taken(method):
    assert trained(templates()[method], method) == []


TAKEN = {
    "a library's own keys": HEAD
    + BITS
    + "  TrainingArguments: {warmup_ratio: 0.1}\n  LoraConfig: {bias: none}\n",
    "an empty section": HEAD + BITS + "  LoraConfig:\n",
    "eight bits": HEAD + "  QuantizationConfig: {load_in_8bit: true}\n",
    "a folder below /mnt": HEAD + BITS + "  TrainingArguments: {output_dir: results}\n",
}


@pytest.mark.parametrize("text", TAKEN.values(), ids=TAKEN.keys())
def test_taken(text):
    assert trained(text) == []


REFUSED = {
    "no root": ("QuantizationConfig: {}\n", "needs a mapping training_config"),
    "a root that is none": ("training_config: [1]\n", "needs a mapping training_config"),
    "an unknown section": (
        HEAD + BITS + "  LoraConfigs: {r: 8}\n",
        "unknown section; did you mean LoraConfig?",
    ),
    "a section that is none": (HEAD + BITS + "  LoraConfig: 8\n", "a section must be a mapping"),
    "an unknown key": (
        HEAD + "  QuantizationConfig: {load_in_4bits: true, load_in_8bit: true}\n",
        "unknown key; did you mean load_in_4bit?",
    ),
    "bits as text": (
        HEAD + '  QuantizationConfig: {load_in_4bit: "yes", load_in_8bit: true}\n',
        "true or false",
    ),
    "both": (HEAD + "  QuantizationConfig: {load_in_4bit: true, load_in_8bit: true}\n", "not both"),
    "no bits for qlora": (HEAD + "  LoraConfig: {r: 8}\n", "qlora needs load_in_4bit or load_in_8bit"),
    "an output elsewhere": (
        HEAD + BITS + "  TrainingArguments: {output_dir: ../etc}\n",
        "a folder below /mnt",
    ),
    "an output at the root": (
        HEAD + BITS + "  TrainingArguments: {output_dir: /mnt}\n",
        "a folder below /mnt",
    ),
    "no batch": (HEAD + BITS + "  TrainingArguments: {per_device_train_batch_size: 0}\n", "at least 1"),
    "no rank": (HEAD + BITS + "  LoraConfig: {r: 0}\n", "at least 1"),
    "a split above one": (HEAD + BITS + "  DatasetConfig: {train_test_split: 1.5}\n", "at most 1"),
    "a rate that is text": (HEAD + BITS + "  TrainingArguments: {learning_rate: fast}\n", "above 0"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_a_training_configuration_is_refused(text, why):
    found = trained(text)
    assert any(line.startswith("data[training_config.yaml]") and why in line for line in found), found


def test_lora_trains_on_whole_weights():
    (found,) = trained(HEAD + BITS, method="lora")
    assert "method lora trains on whole weights, and load_in_4bit is true" in found


FLAGS = {
    "no mapping": ("- vllm\n", "must be a mapping"),
    "an unknown key": ("vlm: {}\n", "unknown key; did you mean vllm?"),
    "flags that are none": ("vllm: 1\n", "vllm must be a mapping"),
    "a nested flag": ("vllm: {speculative-config: {model: x}}\n", "a single one; write JSON as text"),
    "a length that is none": ("vllm: {max-model-len: 0}\n", "at least 1, or auto"),
    "a length with underscores": ("vllm: {max_model_len: many}\n", "at least 1, or auto"),
    "too much memory": ("vllm: {gpu-memory-utilization: 95}\n", "at most 1"),
    "steps": ("max_probe_steps: none\n", "at least 1"),
}


@pytest.mark.parametrize(("text", "why"), FLAGS.values(), ids=FLAGS.keys())
def test_a_servers_configuration_is_refused(text, why):
    found = served(text)
    assert any(line.startswith("data[inference_config.yaml]") and why in line for line in found), found


def test_a_refusal_names_the_line_in_the_configmaps_file():
    text = yaml.safe_dump(tuning(config="params"), sort_keys=False)
    lines = [
        "apiVersion: v1",
        "kind: ConfigMap",
        "metadata: {name: params}",
        "data:",
        "  training_config.yaml: |",
        "    training_config:",
        "      QuantizationConfig:",
        "        load_in_4bit: true",
        "      LoraConfig:",
        "        r: 0",
    ]
    before = text.count("\n") + 1
    (found,) = problems(text, "\n".join(lines) + "\n")
    assert (found.path, found.line) == ("file.yaml", before + 10)
    assert found.field == "data[training_config.yaml].training_config.LoraConfig.r"


def test_what_is_no_yaml_is_refused_with_its_line():
    (found,) = served("vllm: {max-model-len: 1\n")
    assert "the file is not valid YAML" in found
