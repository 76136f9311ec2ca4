"""What a simulated tuning container reports: an artifact whose digest follows from its settings.

A tuning container is one with `RECONCILER_SETTINGS` naming a mounted settings file in which
`output.image` says where the adapter goes. The digest is that of the settings, so that equal settings
give an equal artifact.
"""

import hashlib
import json
from typing import Any

from .runtime import Work

SETTINGS = "RECONCILER_SETTINGS"


def result(work: Work) -> str:
    """The termination message; empty for containers that tune nothing."""
    text = work.files.get(work.env(SETTINGS), "")
    try:
        image = json.loads(text)["output"]["image"]
    except (ValueError, KeyError, TypeError):
        return ""
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    said: dict[str, Any] = {
        "artifact": {"image": image, "digest": digest, "simulated": True},
        "metrics": {"steps": 10, "trainLoss": round(1 + int(digest[7:9], 16) / 256, 4)},
    }
    return json.dumps(said)
