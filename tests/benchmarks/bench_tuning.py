"""Time per step of a tuning, beside plain `transformers.Trainer` on the same rows in the same run.

`make bench` runs it, in the environment of the runtime images. Both train the tiny model from the same seed,
on one thread, RUNS times, interleaved. Medians over blocks of 10 steps, in each of which the loss is logged
once, are printed, never asserted; that the losses are equal is asserted. MODEL names a folder with another
model; STEPS is how many steps one run has.
"""

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

if __name__ == "__main__":  # run anew, where there is torch
    import peft
    import torch
    from standins import questions, tiny
    from torch.optim.optimizer import register_optimizer_step_post_hook
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        BitsAndBytesConfig,
        DataCollatorForSeq2Seq,
        PrinterCallback,
        Trainer,
        TrainingArguments,
    )
    from tuner.configuration import Configuration
    from tuner.settings import Settings
    from tuner.train import train

RUNS, STEPS = int(os.environ.get("RUNS", "5")), int(os.environ.get("STEPS", "100"))
BLOCK = 10
PRESETS = Path(__file__).resolve().parents[2] / "presets"
NF4 = {
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_compute_dtype": "float32",
    "bnb_4bit_use_double_quant": True,
}
LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
ARGUMENTS = {
    "max_steps": STEPS,
    "learning_rate": 5e-3,
    "lr_scheduler_type": "cosine",
    "per_device_train_batch_size": 8,
    "save_strategy": "no",
    "logging_steps": BLOCK,
    "seed": 0,
}


def test_tuning(capsys):
    folders = (PRESETS / name for name in ("artifacts", "tuning", "standins"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    environment |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    with capsys.disabled():
        subprocess.run([_python(), "-W", "ignore", __file__], env=environment, check=True, timeout=1800)


def _python():
    """That has torch."""
    if importlib.util.find_spec("torch"):
        return sys.executable
    command = [Path(sys.executable).with_name("reconciler"), "dev", "runtime"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = os.environ.get("MODEL") or _base(folder / "tiny")
        (folder / "data").mkdir()
        questions.write(folder / "data" / "rows.parquet")
        for method in ("lora", "qlora"):
            seconds = {"tuner": [], "Trainer": []}
            for number in range(RUNS):
                ours, learnt = tuned(folder / f"{method}-{number}", base, method)
                plain, expected = trained(folder / "plain", base, method)
                assert learnt == expected, f"{method}: the losses are {learnt}, Trainer's {expected}"
                seconds["tuner"] += ours
                seconds["Trainer"] += plain
            _tell(method, seconds)


def tuned(folder, base, method):
    """Seconds of a step by block, and the first and the last loss."""
    said = {
        "ModelConfig": {"torch_dtype": "float32"},
        "QuantizationConfig": NF4 if method == "qlora" else {},
        "LoraConfig": LORA,
        "TrainingArguments": ARGUMENTS,
        "DatasetConfig": {"train_test_split": 1, "shuffle_dataset": False},
    }
    settings = Settings.model_validate(
        {
            "workspace": {"namespace": "ai", "name": "tune"},
            "preset": "tiny",
            "base": {"repository": "tiny", "path": base},
            "method": method,
            "contentKey": "key",
            "input": {"path": str(folder.parent / "data")},
            "output": {"path": str(folder)},
        }
    )
    configuration = Configuration.model_validate(said)
    with timed() as seconds:
        outcome = train(settings, configuration)
    return seconds, (outcome.first_loss, outcome.train_loss)


def trained(folder, base, method):
    """The same by transformers and peft alone, as their documentation does it."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    quantized = {"quantization_config": BitsAndBytesConfig(**NF4)} if method == "qlora" else {}
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, device_map="cpu", **quantized)
    if quantized:
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    torch.manual_seed(ARGUMENTS["seed"])
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **LORA))
    arguments = TrainingArguments(str(folder), **ARGUMENTS, use_cpu=True, disable_tqdm=True, report_to="none")
    rows = [_row(tokenizer, *each) for each in questions.conversations(questions.answers())]
    plain = Trainer(
        model, arguments, DataCollatorForSeq2Seq(tokenizer), train_dataset=rows * questions.REPEATS
    )
    plain.remove_callback(PrinterCallback)
    with timed() as seconds:
        plain.train()
    losses = [entry["loss"] for entry in plain.state.log_history if "loss" in entry]
    return seconds, (losses[0], round(losses[-1], 4))


def _row(tokenizer, asked, said):
    prompt = tokenizer.apply_chat_template([asked], add_generation_prompt=True, return_dict=True)["input_ids"]
    ids = tokenizer.apply_chat_template([asked, said], return_dict=True)["input_ids"]
    return {"input_ids": ids, "labels": [-100] * len(prompt) + ids[len(prompt) :]}


@contextmanager
def timed():
    """Seconds of a step by block, of whatever trains within."""
    marks, seconds = [], []

    def step(*_):
        marks.append(time.perf_counter())

    handle = register_optimizer_step_post_hook(step)
    try:
        yield seconds
    finally:
        handle.remove()
    ends = marks[::BLOCK]
    seconds += [(after - before) / BLOCK for before, after in pairwise(ends)]


def _base(folder):
    tiny.write(folder)
    return str(folder)


def _tell(method, seconds):
    ours, plain = (statistics.median(found) for found in seconds.values())
    print(f"{method}: {1000 * ours:.1f} ms a step, Trainer {1000 * plain:.1f} ms: {ours / plain:.3f} times")


if __name__ == "__main__":
    main()
