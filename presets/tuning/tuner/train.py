"""One training: from a configuration and a folder of data to a folder with an adapter."""

import dataclasses
import logging
import random
import signal
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from artifacts import RuntimeFailure
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from . import data, model
from .configuration import Configuration, bad, suggestion
from .outcome import Outcome
from .progress import Progress
from .settings import Settings
from .shapes import Example
from .tokens import Collator, Encoder

LOG = logging.getLogger(__name__)
_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "cannot allocate memory")


def train(settings: Settings, configuration: Configuration) -> Outcome:
    """The adapter lies in `outcome.ADAPTER` below the output path. Raises RuntimeFailure."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    arguments = _arguments(settings, configuration)
    began = time.monotonic()
    try:
        tuned, tokenizer = model.load(settings, configuration)
        encoder = Encoder(tokenizer, model.context(tuned, tokenizer))
        learn, check = _split(data.examples(Path(settings.input.path), configuration.dataset), configuration)
        rows = encoder.encode(learn), encoder.encode(check) if check else None
        _tell(encoder, rows, tuned)
        multiple = configuration.collator.pad_to_multiple_of or 1
        collator = Collator(tokenizer.pad_token_id, multiple)
        trainer = Trainer(
            model=tuned, args=arguments, train_dataset=rows[0], eval_dataset=rows[1], data_collator=collator
        )
        loaded = time.monotonic() - began
        return _run(trainer, Progress(collator), settings, loaded)
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(w in str(error).lower() for w in _NO_MEMORY):
            raise
        raise _out_of_memory(configuration, error) from None


def _run(trainer: Trainer, progress: Progress, settings: Settings, loaded: float) -> Outcome:
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(progress)
    before = signal.signal(signal.SIGTERM, lambda *_: progress.stop())
    checkpoint = _checkpoint(Path(settings.output.path))
    if checkpoint:
        LOG.info("going on from %s", Path(checkpoint).name)
    began = time.monotonic()
    try:
        result = trainer.train(resume_from_checkpoint=checkpoint)
    finally:
        signal.signal(signal.SIGTERM, before)
    if progress.stopped and trainer.state.global_step < trainer.state.max_steps:
        told = f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}"
        raise RuntimeFailure("Interrupted", told, "start it again: it goes on from there", retry=True)
    evaluated = trainer.evaluate() if trainer.eval_dataset is not None else {}
    outcome = Outcome(
        content_key=settings.content_key,
        steps=trainer.state.global_step,
        epochs=round(trainer.state.epoch or 0.0, 2),
        train_loss=_last_loss(trainer, result.training_loss),
        first_loss=progress.first_loss,
        eval_loss=evaluated.get("eval_loss"),
        tokens_per_second=round(progress.tokens_per_second, 1),
        load_seconds=round(loaded, 1),
        train_seconds=round(time.monotonic() - began, 1),
    )
    if trainer.is_world_process_zero():
        trainer.model.save_pretrained(outcome.folder(settings))
        outcome.write(settings)
    return outcome


def _last_loss(trainer: Trainer, mean: float) -> float:
    """As last logged; the mean of all steps where nothing was."""
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return round(logged[-1] if logged else mean, 4)


def _arguments(settings: Settings, configuration: Configuration) -> TrainingArguments:
    said = configuration.arguments.model_dump()
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    for name in said.keys() - known:
        raise bad(f"TrainingArguments.{name}: unknown key", suggestion(name, known))
    said |= {
        "output_dir": settings.output.path,
        "disable_tqdm": True,
        "report_to": "none",
        "use_cpu": not torch.cuda.is_available(),
        "remove_unused_columns": False,
    }
    try:
        return TrainingArguments(**said)
    except (ValueError, TypeError, ImportError) as error:
        raise bad(f"TrainingArguments: {' '.join(str(error).split())[:300]}", "correct the value") from None


def _split(found: list[Example], configuration: Configuration) -> tuple[list[Example], list[Example]]:
    """Rows to learn from and rows to check with; shuffled by the seed where the configuration says so."""
    section = configuration.dataset
    if section.shuffle_dataset:
        random.Random(section.shuffle_seed).shuffle(found)
    share = max(1, round(len(found) * section.train_test_split))
    return found[:share], found[share:]


def _tell(encoder: Encoder, rows: tuple[list[Any], list[Any] | None], tuned: Any) -> None:
    trained, whole = tuned.get_nb_trainable_parameters()
    LOG.info("%d rows train, %d check", len(rows[0]), len(rows[1] or ()))
    LOG.info("%d of %d parameters are trained (%.2f %%)", trained, whole, 100 * trained / whole)
    if encoder.shortened or encoder.dropped:
        LOG.warning(
            "%d rows are too long and lose their end, %d of them whole", encoder.shortened, encoder.dropped
        )


def _checkpoint(folder: Path) -> str | None:
    """The newest that was written whole: the Trainer's state is the last file of one."""
    for path in folder.glob("checkpoint-*"):
        if not (path / "trainer_state.json").exists():
            path.rename(path.with_name(f"broken-{path.name}"))
    found: str | None = get_last_checkpoint(str(folder))
    return found


def _out_of_memory(configuration: Configuration, error: Exception) -> RuntimeFailure:
    said = configuration.arguments
    changes = []
    if said.per_device_train_batch_size > 1:
        half = said.per_device_train_batch_size // 2
        changes.append(
            f"TrainingArguments.per_device_train_batch_size: {half} with gradient_accumulation_steps: "
            f"{2 * said.gradient_accumulation_steps}"
        )
    if not said.gradient_checkpointing:
        changes.append("TrainingArguments.gradient_checkpointing: true")
    if configuration.bits == 16:
        changes.append("method qlora")
    told = " ".join(str(error).split())[:300]
    remedy = f"set {', or '.join([*changes, 'choose an instance type with more memory'])}"
    return RuntimeFailure("OutOfMemory", f"the training does not fit: {told}", remedy)
