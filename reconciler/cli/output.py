"""What a person or a program reads of a command: results on stdout, one clear line per error on stderr."""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from ..errors import ReconcilerError

P = ParamSpec("P")
R = TypeVar("R")

BROKEN_PIPE = 141
"""Exit status where the reader of the output went away, as a shell shows it."""
FAILED = 1
"""Exit status after an error."""
_UNWRAPPED = 10_000
"""Columns where nobody looks at a terminal: lines stay whole for grep."""


def say(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def say_json(value: Any) -> None:
    say(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())


def say_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    console = Console(width=None if sys.stdout.isatty() else _UNWRAPPED, highlight=False)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    with console.capture() as lines:  # rich itself would end the program where the reader went away
        console.print(table)
    say(lines.get())


def counted(number: int, noun: str) -> str:
    """`no problems`, `1 problem`, `2 problems`."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def age(since: float, now: float) -> str:
    """Seconds, minutes, hours or days, whichever is the largest that fits; empty for no time."""
    if not since:
        return ""
    passed = max(0, int(now - since))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if passed >= 2 * size:
            return f"{passed // size}{unit}"
    return f"{passed}s"


def complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def reported(command: Callable[P, R], *, logs: bool = True) -> Callable[P, R]:
    """A command that fails ends with one line for each error and status 1; `--verbose` shows tracebacks.

    Without `logs` it uses nothing that logs: preparing for that takes longer than most such commands.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if logs:
            _log_to_stderr(verbose=bool(kwargs.get("verbose")))
        try:
            return command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except BrokenPipeError:  # whoever read the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except Exception as error:
            if kwargs.get("verbose"):
                raise
            for line in error_lines(error):
                complain(line)
            raise typer.Exit(FAILED) from None

    return run


def _log_to_stderr(*, verbose: bool) -> None:
    """Warnings of our own only, so that stdout holds the result alone; those of libraries with `verbose`."""
    if not verbose:
        logging.lastResort = logging.NullHandler()
    import structlog

    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.WARNING),
    )


def error_lines(error: BaseException) -> list[str]:
    """One line for each thing that went wrong, whatever groups it was wrapped in."""
    return list(dict.fromkeys(line for leaf in _leaves(error) for line in _lines(leaf)))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _lines(error: BaseException) -> list[str]:
    from ..telemetry import redacted

    if isinstance(error, ReconcilerError):
        return [f"error: {line}" for line in redacted(str(error)).splitlines()]
    said = " ".join(redacted(str(error)).split())
    return [f"error: {type(error).__name__}: {said} (this is a bug; -v shows where it happened)"]
