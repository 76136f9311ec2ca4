"""`reconciler version`."""

import platform

from .. import data
from .options import Format, Verbose
from .output import say, say_json


def show_version(output: Format = "text", verbose: Verbose = False) -> None:
    """Print the versions of the reconciler and of Python."""
    if output == "json":
        say_json({"reconciler": data.version(), "python": platform.python_version()})
    else:
        say(f"reconciler {data.version()} (Python {platform.python_version()})")
