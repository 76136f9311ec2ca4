"""Finds the files shipped beside the code: `presets/` and `schemas/`."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def path(name: str) -> Path:
    """`name` in the checkout this package stands in, else in the installed wheel's `_data`.

    Raises FileNotFoundError where neither has it.
    """
    for root in (_PACKAGE.parent, _PACKAGE / "_data"):
        if (root / name).exists() and (root is not _PACKAGE.parent or (root / "pyproject.toml").exists()):
            return root / name
    raise FileNotFoundError(f"{name} is neither beside the package nor in it; reinstall the reconciler")
