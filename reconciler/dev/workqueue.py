"""Level-triggered work: a key is worked on again whenever something about it changed, never twice at once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from .clock import Pace, Timer

K = TypeVar("K", bound=Hashable)
LONGEST_BACKOFF_SECONDS = 5.0

log = logging.getLogger(__name__)


class WorkQueue(Generic[K]):
    """Calls `work(key)` for every key added; a failure is logged and tried again with back-off.

    `add_after` goes by the clock given, back-off by the real one.
    """

    def __init__(self, work: Callable[[K], Awaitable[None]], pace: Pace, lanes: int = 4) -> None:
        self._work = work
        self._pace = pace
        self._lanes = lanes
        self._queue: asyncio.Queue[K] = asyncio.Queue()
        self._queued: set[K] = set()
        self._busy: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, tuple[float, Timer]] = {}
        self._retries: dict[K, asyncio.TimerHandle] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run()) for _ in range(self._lanes)]

    async def close(self) -> None:
        for timer in [timer for _, timer in self._timers.values()] + list(self._retries.values()):
            timer.cancel()
        self._timers.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, key: K) -> None:
        if key in self._busy:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._queue.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Adds it then, unless it is already due sooner."""
        due = self._pace.clock.steady() + seconds
        if key in self._timers:
            if self._timers[key][0] <= due:
                return
            self._timers.pop(key)[1].cancel()
        self._timers[key] = (due, self._pace.clock.after(max(seconds, 0.0), lambda: self._due(key)))

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def _run(self) -> None:
        while True:
            key = await self._queue.get()
            self._queued.discard(key)
            self._busy.add(key)
            try:
                await self._work(key)
                self._failures.pop(key, None)
                self._retries.pop(key, None)
            except Exception as error:
                self._retry(key, error)
            finally:
                self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    def _retry(self, key: K, error: Exception) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        log.debug("%s failed, will be tried again: %r", key, error, exc_info=failures > 3)
        if failures == 10:
            log.warning("%s keeps failing: %r", key, error, exc_info=error)
        pause = min(0.02 * 2 ** min(failures, 10), LONGEST_BACKOFF_SECONDS)
        self._retries[key] = asyncio.get_running_loop().call_later(pause, self.add, key)
