"""Runs a development world as a process of its own, for the demo and for tests."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from watchfiles import awatch

from .serve import WORLD_FILE, Addresses

START_SECONDS = 60.0
STOP_SECONDS = 15.0


class WorldProcess:
    """One child process. What it says on stderr is kept in `D/world.log`."""

    def __init__(self, root: Path, arguments: Sequence[str] = ()) -> None:
        self.root = root
        self._arguments = arguments
        self._child: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        return self.root / "world.log"

    async def start(self, seconds: float = START_SECONDS) -> Addresses:
        """Returns once it is ready. Raises RuntimeError with its stderr where it ends or takes too long."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / WORLD_FILE).unlink(missing_ok=True)
        command = [sys.executable, "-m", "reconciler.dev.serve", "--dir", str(self.root), *self._arguments]
        with self.log.open("wb") as log:
            self._child = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        try:
            async with asyncio.timeout(seconds):
                ready = await self._ready(self._child)
        except TimeoutError:
            ready = False
        if not ready:
            await self.stop()
            raise RuntimeError(f"the development world did not start:\n{self.log.read_text()}")
        return Addresses(**json.loads((self.root / WORLD_FILE).read_text()))

    async def _ready(self, child: asyncio.subprocess.Process) -> bool:
        """True once `world.json` is there, false if the child ends before."""
        ended = asyncio.Event()
        watching = asyncio.create_task(self._appears(ended))
        waiting = asyncio.create_task(child.wait())
        try:
            await asyncio.wait([watching, waiting], return_when=asyncio.FIRST_COMPLETED)
            return (self.root / WORLD_FILE).exists() and child.returncode is None
        finally:
            ended.set()
            await watching
            waiting.cancel()

    async def _appears(self, ended: asyncio.Event) -> None:
        async for _ in awatch(self.root, stop_event=ended, rust_timeout=200, yield_on_timeout=True):
            if (self.root / WORLD_FILE).exists():
                return

    async def stop(self) -> int:
        """Its exit status; killed where it does not end when asked to."""
        child = self._child
        if child is None:
            return 0
        if child.returncode is None:
            child.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await child.wait()
        except TimeoutError:
            child.kill()
            return await child.wait()
