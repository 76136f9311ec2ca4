"""The adapter in its registry: found there before anything is trained, or pushed afterwards."""

import json
import logging
import os
import time
from pathlib import Path

from artifacts import ArtifactError, Credentials, Found, Pushed, find, push_adapter, require_push
from artifacts import annotations as keys

from . import data
from .configuration import Configuration
from .outcome import Outcome
from .settings import Settings

LOG = logging.getLogger(__name__)
PAUSES = (5.0, 15.0, 45.0, 120.0, 300.0, 600.0)
"""Seconds between pushes that failed for a reason that may pass; hours of training are worth the wait."""


def found(settings: Settings) -> Found | None:
    """What the output's tag names, where it carries this tuning's content key."""
    there = find(settings.output.image, credentials=_credentials(settings))
    same = there is not None and there.annotations.get(keys.CONTENT_KEY) == settings.content_key
    return there if same else None


def require(settings: Settings) -> None:
    """Raises what a push would end in: better before a training than after it."""
    require_push(settings.output.image, credentials=_credentials(settings))


def push(settings: Settings, configuration: Configuration, config_digest: str, outcome: Outcome) -> Pushed:
    """Raises ArtifactError where the registry refuses, or stays away for long."""
    told = _annotations(settings, configuration, config_digest, outcome)
    for pause in (*PAUSES, None):
        try:
            return push_adapter(
                outcome.folder(settings),
                settings.output.image,
                credentials=_credentials(settings),
                annotations=told,
                base_model=settings.base.repository,
            )
        except ArtifactError as error:
            if pause is None or not error.retry:
                raise
            LOG.warning("%s; trying again in %.0f s", error, max(pause, error.retry_after))
            time.sleep(max(pause, error.retry_after))
    raise AssertionError("unreachable: the last try returns or raises")


def _credentials(settings: Settings) -> Credentials:
    return Credentials.from_files([Path(settings.auth.push)] if settings.auth.push else [])


def _annotations(
    settings: Settings, configuration: Configuration, config_digest: str, outcome: Outcome
) -> dict[str, str]:
    """No times and no speeds: equal trainings give an equal digest."""
    name = settings.workspace
    files = data.files(Path(settings.input.path), configuration.dataset)
    losses = {"steps": outcome.steps, "trainLoss": outcome.train_loss, "evalLoss": outcome.eval_loss}
    return {
        keys.MODEL_NAME: settings.preset,
        keys.CONTENT_KEY: settings.content_key,
        keys.BASE_REVISION: settings.base.revision,
        keys.DATASET_DIGEST: data.digest(files),
        keys.CONFIG_DIGEST: config_digest,
        keys.WORKSPACE: f"{name.namespace}/{name.name}",
        keys.SOURCE_COMMIT: os.environ.get("RECONCILER_COMMIT", ""),
        keys.METRICS: json.dumps(losses, sort_keys=True),
    }
