"""A development world's folder: who runs there, and where everything is."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from ..errors import Unavailable

WORLD_FILE = "world.json"
LOG_FILE = "world.log"
LOG_LINES = 20
LOCK_FILE = "world.lock"
"""Locked while its process lives, however that ends."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """What `world.json` says. `git` is empty on a machine without git, `data` where no real work is done."""

    apiserver: str
    cloud: str
    registry: str
    git: str
    data: str
    kubeconfig: str
    pid: int

    def write(self, root: Path) -> None:
        draft = root / f"{WORLD_FILE}.new"
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n")
        draft.replace(root / WORLD_FILE)

    @classmethod
    def read(cls, root: Path) -> "Addresses":
        return cls(**json.loads((root / WORLD_FILE).read_text()))


def take(root: Path) -> TextIO:
    """Holds `root` for this process until the file is closed. Raises Unavailable where another has it."""
    file = (root / LOCK_FILE).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise Unavailable(f"a development cluster runs in {root} already (pid {holder(root)})") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def holder(root: Path) -> int:
    """The process that holds `root`; 0 where none does."""
    try:
        with (root / LOCK_FILE).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0)
    except FileNotFoundError:
        pass
    return 0


def running(root: Path) -> Addresses | None:
    """Where the world in `root` is, if one runs there and is ready."""
    return Addresses.read(root) if holder(root) and (root / WORLD_FILE).exists() else None


def last_words(root: Path) -> list[str]:
    """The end of what the world in `root` said, or the one before where none runs."""
    log = root / LOG_FILE
    return log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
