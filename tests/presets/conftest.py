"""What tests of the runtime images share: one small model, and rows to tune it on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

for name, value in {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}.items():
    os.environ.setdefault(name, value)

PRESETS = Path(__file__).resolve().parents[2] / "presets"
PATH = os.pathsep.join(str(PRESETS / name) for name in ("artifacts", "tuning", "inference", "standins"))


def pytest_configure(config):
    """Libraries warn of each other."""
    for module in ("transformers", "torch", "peft", "bitsandbytes", "accelerate", "starlette", "fastapi"):
        config.addinivalue_line("filterwarnings", f"ignore:::{module}")


def standin(what, where):
    environment = {**os.environ, "PYTHONPATH": PATH}
    command = [sys.executable, "-m", "standins", what, str(where)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    return where


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A folder with the tiny model."""
    return standin("tiny", tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def questions(tmp_path_factory):
    """A parquet file of 200 conversations."""
    return standin("questions", tmp_path_factory.mktemp("rows") / "questions.parquet")
