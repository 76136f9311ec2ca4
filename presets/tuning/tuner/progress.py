"""How far a training is: Prometheus metrics, and a line with a bar in the log."""

import logging
import os
import time
from typing import Any

import torch
from prometheus_client import Gauge, start_http_server
from transformers import TrainerCallback

from .tokens import Collator

LOG = logging.getLogger(__name__)
PORT = 5000
WIDTH = 20
STEP = Gauge("tuning_step", "Optimizer steps done")
STEPS = Gauge("tuning_steps", "Optimizer steps in all")
EPOCH = Gauge("tuning_epoch", "Passes over the data")
LOSS = Gauge("tuning_loss", "Training loss, as last logged")
EVAL_LOSS = Gauge("tuning_eval_loss", "Loss on the rows that do not train")
TOKENS = Gauge("tuning_tokens_per_second", "Tokens of the rows trained on, padding not counted")
LEFT = Gauge("tuning_seconds_left", "Until the last step, at the present pace")
MEMORY = Gauge("tuning_gpu_memory_bytes", "The most that this process has allocated on its GPU")


def serve_metrics() -> None:
    """On the address in HOST, by default on all. Without it where the port is taken: training goes on."""
    try:
        start_http_server(PORT, addr=os.environ.get("HOST", "0.0.0.0"))
    except OSError as error:
        LOG.warning("no metrics on port %d: %s", PORT, error.strerror)


class Progress(TrainerCallback):
    """Tells of every log of the Trainer, and asks it to stop where `stop` was called."""

    def __init__(self, collator: Collator) -> None:
        self._collator = collator
        self._began, self._from = time.monotonic(), 0
        self._before = 0
        self.stopped = False
        self.first_loss: float | None = None

    def stop(self) -> None:
        """After the step that is on its way, with a checkpoint."""
        self.stopped = True

    @property
    def tokens_per_second(self) -> float:
        seconds = time.monotonic() - self._began
        return (self._collator.tokens - self._before) / seconds if seconds > 0 else 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began, self._from, self._before = time.monotonic(), state.global_step, self._collator.tokens
        STEPS.set(state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        STEP.set(state.global_step)
        if self.stopped:
            control.should_save = control.should_training_stop = True

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        if not logs or not state.is_world_process_zero:
            return
        if "eval_loss" in logs:
            EVAL_LOSS.set(logs["eval_loss"])
            LOG.info("evaluated at step %d: loss %.4f", state.global_step, logs["eval_loss"])
        if "loss" in logs:
            self.first_loss = logs["loss"] if self.first_loss is None else self.first_loss
            self._tell(state, logs["loss"])

    def _tell(self, state: Any, loss: float) -> None:
        done, total = state.global_step, max(state.max_steps, 1)
        pace = (time.monotonic() - self._began) / max(done - self._from, 1)
        left = pace * (total - done)
        LOSS.set(loss)
        EPOCH.set(state.epoch or 0)
        TOKENS.set(self.tokens_per_second)
        LEFT.set(left)
        if torch.cuda.is_available():
            MEMORY.set(torch.cuda.max_memory_allocated())
        bar = "#" * (WIDTH * done // total)
        LOG.info(
            "[%-*s] step %d/%d loss %.4f, %.0f tokens/s, %.0f s left",
            *(WIDTH, bar, done, total, loss, self.tokens_per_second, left),
        )
