"""Keys of a pushed adapter's annotations: what it is, what it was made of and by whom."""

from collections.abc import Mapping
from typing import Final

MODEL_NAME: Final = "sh.kaito.model.name"
TITLE: Final = "org.opencontainers.image.title"
DESCRIPTION: Final = "org.opencontainers.image.description"
CREATED: Final = "org.opencontainers.image.created"
SOURCE: Final = "org.opencontainers.image.source"
REVISION: Final = "org.opencontainers.image.revision"
CONTENT_KEY: Final = "reconciler.dev/content-key"
BASE_MODEL: Final = "reconciler.dev/base-model"
BASE_REVISION: Final = "reconciler.dev/base-revision"
DATASET_DIGEST: Final = "reconciler.dev/dataset-digest"
CONFIG_DIGEST: Final = "reconciler.dev/config-digest"
WORKSPACE: Final = "reconciler.dev/workspace"
SOURCE_COMMIT: Final = "reconciler.dev/source-commit"
METRICS: Final = "reconciler.dev/metrics"
"""A JSON object of numbers."""

EPOCH: Final = "1970-01-01T00:00:00Z"
"""When an artifact was created, where nobody says: the time of the push would change its digest."""


def complete(given: Mapping[str, str], base_model: str) -> dict[str, str]:
    """`given` wins over what follows from the base model; empty values are left out."""
    told = {key: value for key, value in given.items() if value}
    commit = {REVISION: told[SOURCE_COMMIT]} if SOURCE_COMMIT in told else {}
    implied = {
        MODEL_NAME: base_model,
        TITLE: f"LoRA adapter of {base_model}",
        CREATED: EPOCH,
        BASE_MODEL: base_model,
    }
    return {**implied, **commit, **told}
