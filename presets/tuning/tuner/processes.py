"""Training on several GPUs: one process for each, by torch's launcher, which this one watches."""

import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

from artifacts import RuntimeFailure

from .outcome import Outcome
from .settings import Settings

FAILURE = "failure.json"


def in_processes(settings: Settings) -> Outcome:
    """Raises RuntimeFailure as the first process that failed did."""
    told = Path(settings.output.path) / FAILURE
    told.unlink(missing_ok=True)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={settings.processes}"]
    child = subprocess.Popen([sys.executable, *launcher, "-m", "tuner.processes"])
    before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        code = child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    outcome = Outcome.read(settings)
    if code == 0 and outcome is not None:
        return outcome
    raise _failure(told, code)


def _failure(told: Path, code: int) -> RuntimeFailure:
    try:
        return RuntimeFailure(**json.loads(told.read_text()))
    except (OSError, ValueError, TypeError):
        why = f"a training process ended with status {code}"
        return RuntimeFailure("Bug", why, "see the log above; less memory per process may help", retry=True)


def main() -> int:
    """One of the processes."""
    from . import configuration, progress
    from .__main__ import FORMAT
    from .settings import location
    from .train import train

    first = os.environ.get("RANK", "0") == "0"
    level = logging.INFO if first else logging.WARNING
    logging.basicConfig(level=level, format=FORMAT, stream=sys.stdout)
    warnings.simplefilter("ignore", FutureWarning)
    settings = Settings.load()
    path = Path(os.environ.get("YAML_FILE_PATH") or location().with_name("training_config.yaml"))
    if first:
        progress.serve_metrics()
    try:
        train(settings, configuration.load(path, settings.method))
    except RuntimeFailure as failure:
        words = {"error_class": failure.error_class, "message": failure.message, "remedy": failure.remedy}
        (Path(settings.output.path) / FAILURE).write_text(json.dumps({**words, "retry": failure.retry}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
