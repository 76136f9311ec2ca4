"""Log lines to stderr, as JSON or for a terminal; those of libraries too, all of them redacted."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from .redaction import MASK, redacted

_SECRET_NAMES = re.compile(r"(?:password|passwd|secret|token|authorization|credentials?|private_?key)$", re.I)
_PLAIN = (bool, int, float, type(None))


def configure_logging(*, json: bool, verbose: int = 0) -> None:
    """`verbose` 1 shows debug lines of our own, 2 those of libraries as well."""
    ours = logging.DEBUG if verbose else logging.INFO
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(ours),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _without_secrets,
                _renderer(json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if verbose > 1 else logging.WARNING)
    logging.getLogger("reconciler").setLevel(ours)


def _renderer(json: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer(sort_keys=True)
    plain = structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)


def _without_secrets(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {name: _clean(value, name) for name, value in event.items()}


def _clean(value: Any, name: str = "") -> Any:
    """Plain JSON without secrets; what is neither text, number nor container is told by its text."""
    if isinstance(value, str) and not _SECRET_NAMES.search(name):
        return redacted(value)
    if isinstance(value, _PLAIN):
        return value
    if _SECRET_NAMES.search(name):
        return MASK
    if isinstance(value, Mapping):
        return {str(key): _clean(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner) for inner in value]
    return redacted(str(value))
