"""One tuning as its pod has it: folders, settings, configuration; run here or as a process."""

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
import yaml
from tuner import configuration
from tuner.outcome import Outcome, begin
from tuner.settings import Settings
from tuner.train import train

from ..conftest import PATH

torch.set_num_threads(1)
QUANTIZED = {
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_compute_dtype": "float32",
    "bnb_4bit_use_double_quant": True,
}
LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
ARGUMENTS = {
    "max_steps": 400,
    "learning_rate": 5e-3,
    "lr_scheduler_type": "cosine",
    "per_device_train_batch_size": 8,
    "logging_steps": 10,
    "save_strategy": "no",
    "seed": 0,
}


@dataclass
class Tuning:
    root: Path
    base: Path
    method: str = "qlora"
    image: str = ""
    key: str = "key"
    processes: int = 1
    auth: str = ""
    arguments: dict = field(default_factory=dict)
    sections: dict = field(default_factory=dict)
    host: str = field(default_factory=lambda: f"127.{random.randint(64, 127)}.{random.randint(1, 254)}.1")
    """Of its pod: an address of the loopback network."""

    def write(self):
        quantized = QUANTIZED if self.method == "qlora" else {}
        said = {
            "ModelConfig": {"torch_dtype": "float32"},
            "QuantizationConfig": quantized,
            "LoraConfig": LORA,
            "TrainingArguments": {**ARGUMENTS, **self.arguments},
            "DatasetConfig": {"train_test_split": 1},
            **self.sections,
        }
        (self.root / "training_config.yaml").write_text(yaml.safe_dump({"training_config": said}))
        settings = {
            "workspace": {"namespace": "ai", "name": "tune"},
            "preset": "phi-3-mini-128k-instruct",
            "base": {"repository": "microsoft/Phi-3-mini-128k-instruct", "path": str(self.base)},
            "method": self.method,
            "contentKey": self.key,
            "input": {"path": str(self.root / "data")},
            "output": {"image": self.image, "path": str(self.results)},
            "targetModules": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
            "processes": self.processes,
            "auth": {"push": self.auth},
        }
        (self.root / "settings.json").write_text(json.dumps(settings))
        return Settings.model_validate(settings)

    @property
    def results(self):
        return self.root / "results"

    @property
    def adapter(self):
        return self.results / "adapter"

    @property
    def checkpoints(self):
        return sorted(path.name for path in self.results.glob("checkpoint-*"))

    def here(self) -> Outcome:
        """Trains in this process; RuntimeFailure comes through."""
        settings = self.write()
        begin(settings)
        return train(settings, configuration.load(self.root / "training_config.yaml", self.method))

    def start(self):
        self.write()
        environment = {
            **os.environ,
            "PYTHONPATH": PATH,
            "RECONCILER_SETTINGS": str(self.root / "settings.json"),
            "RECONCILER_TERMINATION_LOG": str(self.root / "message"),
            "HOST": self.host,
        }
        (self.root / "message").unlink(missing_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "tuner"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self):
        """Exit status, termination message, log."""
        process = self.start()
        log, _ = process.communicate(timeout=120)
        path = self.root / "message"
        return process.returncode, json.loads(path.read_text()) if path.exists() else {}, log


@pytest.fixture
def tuning(tmp_path, tiny, questions):
    """On the twenty questions."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / questions.name).write_bytes(questions.read_bytes())
    return Tuning(tmp_path, tiny)
