"""`training_config.yaml`: what is taken, and how the rest is refused."""

from pathlib import Path

import pytest
from artifacts import RuntimeFailure
from tuner.configuration import load

ROOT = Path(__file__).resolve().parents[3]
FOUR = "  QuantizationConfig: {load_in_4bit: true}\n"
REFUSED = {
    "an unknown section": ("  LoraConfg: {}\n", "training_config.LoraConfg: unknown key", "LoraConfig"),
    "an unknown key": (
        "  DatasetConfig: {shufle_dataset: true}\n",
        "training_config.DatasetConfig.shufle_dataset: unknown key",
        "shuffle_dataset",
    ),
    "a key outside": ("training_confg: {}\n", "training_confg: unknown key", "training_config"),
    "a type": (
        "  LoraConfig: {r: eight}\n",
        "training_config.LoraConfig.r: 'eight' input should be a valid integer",
        "correct",
    ),
    "a range": ("  DatasetConfig: {train_test_split: 1.5}\n", "train_test_split: 1.5", "correct"),
    "a choice": ("  ModelConfig: {torch_dtype: int4}\n", "torch_dtype: 'int4'", "correct"),
    "both widths": (
        "  QuantizationConfig: {load_in_4bit: true, load_in_8bit: true}\n",
        "in 4 bits and in 8",
        "keep one",
    ),
    "no width": ("  LoraConfig: {r: 8}\n", "method qlora needs a base of 4 or 8 bits", "load_in_4bit"),
    "no YAML": ("  LoraConfig: {r: 8\n", "is no YAML", "line"),
}


def written(tmp_path, text):
    path = tmp_path / "training_config.yaml"
    path.write_text(text if text.startswith("training_confg") else f"training_config:\n{text}")
    return path


@pytest.mark.parametrize(("text", "told", "remedy"), REFUSED.values(), ids=REFUSED)
def test_refusals(tmp_path, text, told, remedy):
    with pytest.raises(RuntimeFailure) as caught:
        load(written(tmp_path, text), "qlora")
    assert (caught.value.error_class, caught.value.retry) == ("BadConfig", False)
    assert told in caught.value.message
    assert remedy in caught.value.remedy


def test_lora_trains_on_whole_weights(tmp_path):
    with pytest.raises(RuntimeFailure, match="method lora trains on whole weights, not 4 bits"):
        load(written(tmp_path, FOUR), "lora")


def test_a_file_too_large_or_absent(tmp_path):
    with pytest.raises(RuntimeFailure, match="cannot be read"):
        load(tmp_path / "nothing.yaml", "lora")
    path = written(tmp_path, "# " + "x" * (1 << 20))
    with pytest.raises(RuntimeFailure, match=r"has 1048\d+ bytes"):
        load(path, "lora")


@pytest.mark.parametrize(("method", "bits"), [("lora", 16), ("qlora", 4)])
def test_kaitos_defaults_are_taken(method, bits):
    configuration = load(ROOT / f"presets/config/{method}.yaml", method)
    assert (configuration.bits, configuration.lora.r) == (bits, 8)


def test_what_the_libraries_know_passes(tmp_path):
    text = FOUR + "  TrainingArguments: {warmup_steps: 5}\n  LoraConfig: {use_rslora: true}\n"
    configuration = load(written(tmp_path, text), "qlora")
    assert configuration.arguments.model_dump()["warmup_steps"] == 5
