"""`reconciler version`."""

import platform
from importlib.metadata import PackageNotFoundError, version

from .options import Format, Verbose
from .output import say, say_json

DISTRIBUTION = "workspace-reconciler"


def installed() -> str:
    """The installed version; `unknown` where the package runs from a plain folder."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def show_version(output: Format = "text", verbose: Verbose = False) -> None:
    """Print the versions of the reconciler and of Python."""
    if output == "json":
        say_json({"reconciler": installed(), "python": platform.python_version()})
    else:
        say(f"reconciler {installed()} (Python {platform.python_version()})")
