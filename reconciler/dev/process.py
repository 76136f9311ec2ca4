"""Runs a development world as a process of its own: for the demo, for tests, and in the background."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from watchfiles import awatch

from ..errors import Unavailable
from .home import LOG_FILE, WORLD_FILE, Addresses, holder, last_words

START_SECONDS = 60.0
STOP_SECONDS = 15.0


class WorldProcess:
    """One child process; what it says is kept in `D/world.log`.

    Where it is `detached` it has a session of its own, and goes on when this process ends.
    """

    def __init__(self, root: Path, arguments: Sequence[str] = (), *, detached: bool = False) -> None:
        self.root = root
        self._arguments = arguments
        self._detached = detached
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.root / LOG_FILE

    async def start(self, seconds: float = START_SECONDS) -> Addresses:
        """Returns once it is ready. Raises Unavailable with the end of its log where it is not."""
        if pid := holder(self.root):
            raise Unavailable(f"a development cluster runs or starts in {self.root} already (pid {pid})")
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / WORLD_FILE).unlink(missing_ok=True)
        command = [sys.executable, "-m", "reconciler.dev.serve", "--dir", str(self.root), *self._arguments]
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=self._detached,
            )
        try:
            async with asyncio.timeout(seconds):
                ready = await self._ready(self._child)
        except TimeoutError:
            ready = False
        if not ready:
            await self.stop()
            raise Unavailable("\n".join(["the development cluster did not start:", *last_words(self.root)]))
        return Addresses.read(self.root)

    async def _ready(self, child: subprocess.Popen[bytes]) -> bool:
        """True once `world.json` is there, false if the child ends before."""
        async for _ in awatch(self.root, rust_timeout=200, yield_on_timeout=True):
            if child.poll() is not None:
                return False
            if (self.root / WORLD_FILE).exists():
                return True
        return False

    async def stop(self) -> int:
        """Its exit status; killed where it does not end when asked to."""
        child = self._child
        if child is None:
            return 0
        child.terminate()
        try:
            return await asyncio.to_thread(child.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            return await asyncio.to_thread(child.wait)


def end(root: Path, seconds: float = STOP_SECONDS) -> bool:
    """Ends the world in `root` with all its processes; false where none runs there."""
    pid = holder(root)
    if not pid:
        return False
    os.kill(pid, signal.SIGTERM)
    if not _gone(root, seconds):
        kill = os.killpg if os.getpgid(pid) == pid else os.kill
        kill(pid, signal.SIGKILL)
        _gone(root, seconds)
    return True


def _gone(root: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while holder(root):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
