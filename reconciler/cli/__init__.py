"""The command line: one module for each command; `COMMANDS` lists them.

Heavy parts (the Kubernetes and Git libraries) are imported inside the commands that need them, so
that `validate` and `--help` answer at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import typer

from . import (
    ack,
    catalogue,
    demo,
    dev,
    doctor,
    fit,
    log,
    plan,
    run,
    status,
    suspend,
    validate,
    version,
    wait,
    why,
)
from .output import complain, reported

WRONG_USAGE = 64
"""Exit status for options that do not exist and the like: 2 means changes to `plan`."""

COMMANDS: dict[str, Callable[..., Any]] = {
    "run": run.run,
    "doctor": doctor.doctor,
    "plan": plan.plan,
    "validate": validate.validate,
    "presets": catalogue.presets,
    "skus": catalogue.skus,
    "fit": fit.fit,
    "status": status.status,
    "why": why.why,
    "log": log.log,
    "wait": wait.wait,
    "ack": ack.ack,
    "suspend": suspend.suspend,
    "resume": suspend.resume,
    "demo": demo.demo,
    "version": version.show_version,
}

SILENT = {"validate", "presets", "skus", "fit", "version"}
"""Commands that work on files alone and log nothing."""

app = typer.Typer(
    name="reconciler",
    help="Reconciles AI workspaces declared in Git with a Kubernetes cluster.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for _name, _command in COMMANDS.items():
    app.command(_name)(reported(_command, logs=_name not in SILENT))
app.add_typer(dev.app)

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status. Also what `python -m reconciler` runs."""
    try:
        return int(app(args=arguments, prog_name="reconciler", standalone_mode=False) or 0)
    except _UsageError as error:
        if said := _one_line(error):
            complain(said)
        return WRONG_USAGE if said else 0
    except (KeyboardInterrupt, typer.Abort):
        return 130


def _one_line(error: Any) -> str:
    """Empty where there is nothing to say: the help was shown instead."""
    if not error.format_message():
        return ""
    command = error.ctx.command_path if error.ctx is not None else "reconciler"
    return f"error: {error.format_message().rstrip('.')}; see {command} --help"
