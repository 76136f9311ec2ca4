"""What a training came to: kept beside its adapter, so that a pod that starts again only pushes."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from .settings import Settings

FILE = "trained.json"
ADAPTER = "adapter"
KEY_FILE = "content-key"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Losses are means over the steps since the log before."""

    content_key: str
    steps: int
    epochs: float
    train_loss: float
    first_loss: float | None
    eval_loss: float | None
    tokens_per_second: float
    load_seconds: float
    train_seconds: float

    @property
    def metrics(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "epochs": self.epochs,
            "trainLoss": self.train_loss,
            "firstLoss": self.first_loss,
            "evalLoss": self.eval_loss,
            "tokensPerSecond": self.tokens_per_second,
        }

    @staticmethod
    def folder(settings: Settings) -> Path:
        return Path(settings.output.path) / ADAPTER

    def write(self, settings: Settings) -> None:
        """After the adapter is written: it says that it is whole."""
        path = Path(settings.output.path) / FILE
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self)))
        draft.replace(path)

    @classmethod
    def read(cls, settings: Settings) -> Self | None:
        """None where this training has not ended yet."""
        try:
            found = cls(**json.loads((Path(settings.output.path) / FILE).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return found if found.content_key == settings.content_key else None


def begin(settings: Settings) -> None:
    """Takes the output folder for this training; what another content key left there goes."""
    folder = Path(settings.output.path)
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / KEY_FILE
    if mark.exists() and mark.read_text() == settings.content_key:
        return
    for left in (*folder.glob("checkpoint-*"), folder / ADAPTER):
        shutil.rmtree(left, ignore_errors=True)
    (folder / FILE).unlink(missing_ok=True)
    mark.write_text(settings.content_key)
