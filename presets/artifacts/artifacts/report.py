"""How a container tells its end: the termination message, the last log line and the exit code."""

import json
import logging
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import RuntimeFailure

LOG = logging.getLogger(__name__)
ENVIRONMENT = "RECONCILER_TERMINATION_LOG"
DEFAULT_PATH = "/dev/termination-log"
MAX_BYTES = 4096
"""Kubernetes cuts a termination message off here."""


def run(work: Callable[[], Mapping[str, object]]) -> int:
    """The exit code for `work`, whose end is reported; SIGTERM makes it `Interrupted`, as SIGINT does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        content = work()
    except RuntimeFailure as failure:
        return fail(failure)
    except KeyboardInterrupt:
        return fail(RuntimeFailure("Interrupted", "stopped by a signal", "start it again", retry=True))
    except Exception as error:
        LOG.exception("unexpected")
        told = f"{type(error).__name__}: {error}"
        return fail(RuntimeFailure("Bug", told, "report it with the log above", retry=True))
    return succeed(content)


def succeed(content: Mapping[str, object]) -> int:
    _write(json.dumps(content, ensure_ascii=False))
    return 0


def fail(failure: RuntimeFailure) -> int:
    message, remedy = _one_line(failure.message), _one_line(failure.remedy)
    while len(text := _error(failure, message, remedy).encode()) > MAX_BYTES:
        message, remedy = message[: len(message) * 3 // 4], remedy[:500]
    _write(text.decode())
    LOG.error("%s: %s; %s", failure.error_class, message, remedy)
    return 1 if failure.retry else 2


def _error(failure: RuntimeFailure, message: str, remedy: str) -> str:
    told = {"class": failure.error_class, "message": message, "remedy": remedy}
    return json.dumps({"error": told}, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.encode(errors="replace").decode().split())


def _write(text: str) -> None:
    path = Path(os.environ.get(ENVIRONMENT, DEFAULT_PATH))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        LOG.warning("no termination message at %s: %s", path, error.strerror)
