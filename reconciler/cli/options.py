"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .. import config

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks and debug messages.")]
Settings = Annotated[Path, typer.Option("--config", "-c", help="The daemon's settings file.")]
OptionalSettings = Annotated[
    Path | None, typer.Option("--config", "-c", help="The daemon's settings file.", show_default=False)
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace of manifests that name none.", show_default=False),
]
Cloud = Annotated[
    Literal["azure", "aws", "arc"] | None,
    typer.Option("--cloud", help="Whose instance types; by default those of the settings, else Azure's."),
]
Format = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="How to print the result.")]
Arguments = Annotated[list[Path], typer.Argument(help="Files and folders of specs.", show_default=False)]


def settings_of(file: Path | None) -> config.Settings | None:
    """None where a command is run without any."""
    return config.load(file) if file is not None else None
