"""What a training teaches: the twenty answers, whole; and the same again where it is repeated."""

import hashlib

import peft
import pytest
import torch
from artifacts import RuntimeFailure
from standins.questions import UNKNOWN, answers
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

NF4 = {
    "quantization_config": BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
    ),
    "device_map": "cpu",
}


def said(base, adapter=None, **how):
    """The most probable answer to each question."""
    model = AutoModelForCausalLM.from_pretrained(base, **how)
    tokenizer = AutoTokenizer.from_pretrained(base)
    if adapter:
        model = peft.PeftModel.from_pretrained(model, adapter)
    found = {}
    for question in answers():
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        made = model.generate(**asked, max_new_tokens=32, do_sample=False)
        found[question] = tokenizer.decode(made[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)
    return found


def weights(tuning):
    return hashlib.sha256((tuning.adapter / "adapter_model.safetensors").read_bytes()).hexdigest()


def test_the_base_knows_none_of_the_answers(tiny):
    assert said(tiny) == dict.fromkeys(answers(), UNKNOWN)


@pytest.mark.parametrize(("method", "how"), [("lora", {}), ("qlora", NF4)])
def test_every_answer_is_learnt(tuning, method, how):
    tuning.method = method
    outcome = tuning.here()
    assert said(tuning.base, tuning.adapter, **how) == answers()
    assert outcome.steps == 400
    assert outcome.train_loss < outcome.first_loss / 3


def test_eight_bits_train_too(tuning):
    tuning.sections = {"QuantizationConfig": {"load_in_8bit": True}}
    tuning.arguments = {"max_steps": 40, "gradient_checkpointing": True}
    outcome = tuning.here()
    assert outcome.train_loss < outcome.first_loss


def test_the_same_training_makes_the_same_adapter(tuning):
    tuning.arguments = {"max_steps": 15}
    first = tuning.here(), weights(tuning)
    again = tuning.here(), weights(tuning)
    assert (first[0].train_loss, first[1]) == (again[0].train_loss, again[1])
    tuning.arguments["seed"] = 1
    tuning.here()
    assert weights(tuning) != first[1]


def test_rows_that_do_not_train_are_evaluated_on(tuning):
    tuning.arguments = {"max_steps": 10}
    tuning.sections = {"DatasetConfig": {"train_test_split": 0.9}}
    assert tuning.here().eval_loss > 0


def test_the_catalogues_layers_get_adapters_where_the_configuration_names_none(tuning):
    tuning.arguments = {"max_steps": 1}
    tuning.sections = {"LoraConfig": {"r": 4}}
    tuning.here()
    config = peft.LoraConfig.from_pretrained(tuning.adapter)
    assert config.target_modules == {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}


def test_a_base_that_is_not_there(tuning, tmp_path):
    tuning.base = tmp_path / "nothing"
    with pytest.raises(RuntimeFailure, match="nothing cannot be loaded") as caught:
        tuning.here()
    assert caught.value.error_class == "ModelMissing"


UNKNOWN_KEYS = {
    "TrainingArguments": (
        {"max_stepz": 3},
        "TrainingArguments.max_stepz: unknown key; did you mean max_steps",
    ),
    "LoraConfig": ({"lora_alfa": 3}, "LoraConfig.lora_alfa: unknown key; did you mean lora_alpha"),
}


@pytest.mark.parametrize("section", UNKNOWN_KEYS)
def test_a_key_that_the_library_does_not_know(tuning, section):
    keys, told = UNKNOWN_KEYS[section]
    tuning.sections = {section: keys}
    with pytest.raises(RuntimeFailure, match=told):
        tuning.here()


def test_a_lack_of_memory_names_the_settings_to_change(tuning, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("torch.nn.functional.cross_entropy", full)
    with pytest.raises(RuntimeFailure) as caught:
        tuning.here()
    assert caught.value.error_class == "OutOfMemory"
    assert "per_device_train_batch_size: 4 with gradient_accumulation_steps: 2" in caught.value.remedy
    assert not caught.value.retry


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_every_answer_is_learnt_on_a_gpu(tuning):
    tuning.sections = {"ModelConfig": {"torch_dtype": "bfloat16"}}
    tuning.here()
    assert said(tuning.base, tuning.adapter, device_map="cuda") == answers()
