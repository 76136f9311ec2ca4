"""`python -m tuner`: adopt what is there, else train, push, report."""

import hashlib
import logging
import os
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artifacts import report, standin

from . import configuration, outcome, publish
from .configuration import Configuration
from .download import read_settings
from .outcome import Outcome
from .processes import in_processes
from .settings import Settings, location

LOG = logging.getLogger(__name__)
FORMAT = "%(asctime)s %(levelname)s %(message)s"


def main() -> int:
    """0 done, 1 trying again may help, 2 it is useless."""
    logging.basicConfig(level=logging.INFO, format=FORMAT, stream=sys.stdout)
    warnings.simplefilter("ignore", FutureWarning)  # of libraries about each other
    for noisy in ("httpx", "bitsandbytes", "transformers", "torch"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    return report.run(work)


def work() -> Mapping[str, object]:
    """The termination message. Raises RuntimeFailure."""
    settings, path = read_settings(), _config_path()
    if settings.output.image and (there := publish.found(settings)):
        LOG.info("%s holds this tuning's result already: nothing is trained", settings.output.image)
        return {"artifact": _artifact(settings, there.digest, there.size, adopted=True)}
    said = configuration.load(path, settings.method)
    if settings.output.image:
        publish.require(settings)
    outcome.begin(settings)
    done = Outcome.read(settings) or _train(settings, said)
    told: dict[str, Any] = {"metrics": done.metrics}
    durations = {"load": done.load_seconds, "train": done.train_seconds}
    if settings.output.image:
        began = time.monotonic()
        digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        pushed = publish.push(settings, said, digest, done)
        durations["push"] = round(time.monotonic() - began, 1)
        told["artifact"] = _artifact(settings, pushed.digest, pushed.size, adopted=False)
        LOG.info("pushed %s@%s", settings.output.image, pushed.digest)
    return told | {"durations": durations}


def _train(settings: Settings, said: Configuration) -> Outcome:
    """Here, or in a process for each GPU."""
    if settings.processes > 1:
        return in_processes(settings)
    from . import metrics
    from .train import train

    metrics.serve_metrics()
    return train(settings, said)


def _artifact(settings: Settings, digest: str, size: int, adopted: bool) -> dict[str, Any]:
    told = {"image": settings.output.image, "digest": digest, "contentKey": settings.content_key}
    stand_in = standin.model(settings.preset)
    more = {"standIn": Path(stand_in).name} if stand_in and not settings.base.path else {}
    return {**told, "size": size, "adopted": adopted, **more}


def _config_path() -> Path:
    named = os.environ.get("YAML_FILE_PATH")
    return Path(named) if named else location().with_name("training_config.yaml")


if __name__ == "__main__":
    sys.exit(main())
