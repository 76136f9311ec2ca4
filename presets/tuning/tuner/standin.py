"""The development cluster's table of stand-ins: local models and other URLs in place of what is named."""

import json
import os
from pathlib import Path

ENVIRONMENT = "RECONCILER_STAND_INS"


def model(preset: str) -> str:
    """A folder; empty where nothing stands in for the preset."""
    return _table("models").get(preset, "")


def _table(kind: str) -> dict[str, str]:
    path = os.environ.get(ENVIRONMENT, "")
    if not path:
        return {}
    found: dict[str, str] = json.loads(Path(path).read_text()).get(kind, {})
    return found
