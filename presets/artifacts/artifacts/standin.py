"""Local models in place of presets, by a table that the development cluster writes."""

import json
import os
from pathlib import Path

from .errors import RuntimeFailure

ENVIRONMENT = "RECONCILER_STAND_INS"


def model(preset: str) -> str:
    """A folder; empty where nothing stands in. Raises RuntimeFailure where the table cannot be read."""
    path = os.environ.get(ENVIRONMENT)
    if not path:
        return ""
    try:
        folder: str = json.loads(Path(path).read_bytes()).get("models", {}).get(preset, "")
    except (OSError, ValueError, AttributeError) as error:
        told = f"{ENVIRONMENT} names {path}: {error}"
        raise RuntimeFailure("BadConfig", told, "mount the table there, or unset the variable") from error
    return folder
