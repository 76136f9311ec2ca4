"""What was installed: the files shipped beside the code, `presets/` and `schemas/`, and the version."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as of_distribution
from pathlib import Path

DISTRIBUTION = "workspace-reconciler"

_PACKAGE = Path(__file__).resolve().parent


def path(name: str) -> Path:
    """`name` in the checkout this package stands in, else in the installed wheel's `_data`.

    Raises FileNotFoundError where neither has it.
    """
    for root in (_PACKAGE.parent, _PACKAGE / "_data"):
        if (root / name).exists() and (root is not _PACKAGE.parent or (root / "pyproject.toml").exists()):
            return root / name
    raise FileNotFoundError(f"{name} is neither beside the package nor in it; reinstall the reconciler")


def version() -> str:
    """`unknown` where the package runs from a plain folder."""
    try:
        return of_distribution(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"
