"""The one virtual environment in which the runtime images' programs run here; made once, then kept.

It holds what both images install, from their own lock files.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reconciler import data
from reconciler.errors import Unavailable

Say = Callable[[str], object]

TORCH = "torch==2.13.0"
"""By its public version and apart from the rest, as in the images: it is the CPU's build or a GPU's by where
it is installed from."""
IMAGES = ("tuning", "inference")
PACKAGES = ("artifacts", "tuning", "inference", "standins")
"""Folders below `presets/` that hold the programs themselves."""
SIZE = "1.6 GB"


def cache_folder() -> Path:
    """For what is large and can be made again."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "reconciler"


def folder() -> Path:
    """Another one for other packages or another Python."""
    told = [sys.version.split()[0], TORCH, *(lock.read_text() for lock in _locks())]
    return cache_folder() / f"runtime-{hashlib.sha256(repr(told).encode()).hexdigest()[:12]}"


def python_path() -> str:
    """The value of PYTHONPATH with which the images' programs are found."""
    return os.pathsep.join(str(data.path(f"presets/{name}")) for name in PACKAGES)


def prepare(say: Say) -> Path:
    """The environment's python; takes a minute or two the first time. Raises Unavailable where pip fails."""
    home = folder()
    python = home / "bin" / "python"
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home):
        if not (home / ".complete").exists():
            _make(home, python, say)
            (home / ".complete").touch()
    return python


def _make(home: Path, python: Path, say: Say) -> None:
    say(f"making the runtime environment in {home}: it will hold {SIZE}")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    locked = [part for lock in _locks() for part in ("--requirement", str(lock))]
    steps = {
        "a virtual environment": [sys.executable, "-m", "venv", "--clear", str(home)],
        TORCH: [*pip, TORCH],
        "what the images' lock files name": [*pip, "--no-deps", "--require-hashes", *locked],
    }
    for number, (what, command) in enumerate(steps.items(), 1):
        began = time.monotonic()
        run(command)
        say(f"  {number} of {len(steps)}: {what} ({time.monotonic() - began:.0f} s)")


def run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-10:])
        raise Unavailable(f"the runtime environment could not be made: {' '.join(command[:4])} …\n{tail}")


def _locks() -> list[Path]:
    return [data.path(f"presets/{image}/requirements.lock") for image in IMAGES]


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Two that prepare at once: the second waits, and finds it made."""
    with home.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
