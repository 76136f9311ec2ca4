"""How many requests are let in: beyond the queue 429, while the server drains 503."""

import asyncio
import math
import time
from collections.abc import Callable

from .asked import Refused

_WEIGHT = 0.1
"""Of the newest request in the average duration."""
_LONGEST = 60


class Gate:
    def __init__(self, limit: int) -> None:
        self.running = 0
        self.draining = False
        self._limit, self._seconds = limit, 1.0
        self._empty = asyncio.Event()
        self._empty.set()

    def admit(self, generations: int = 1) -> Callable[[], None]:
        """Raises Refused; else call what it returns when the request has ended, once or more often."""
        if self.draining:
            raise Refused(503, "the server is stopping", code="stopping", retry_after=1)
        if generations > self._limit:
            raise Refused(400, f"the request asks for {generations} generations; at most {self._limit}")
        if self.running + generations > self._limit:
            told = f"{self.running} generations wait or run already; try again later"
            raise Refused(429, told, code="queue_full", retry_after=self._retry_after())
        self.running += generations
        self._empty.clear()
        began, ended = time.monotonic(), False

        def release() -> None:
            nonlocal ended
            if not ended:
                ended = True
                self._release(generations, time.monotonic() - began)

        return release

    async def drain(self, seconds: float) -> None:
        """Returns when nothing runs, or after `seconds`."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return

    def _release(self, generations: int, seconds: float) -> None:
        self.running -= generations
        self._seconds += _WEIGHT * (seconds - self._seconds)
        if not self.running:
            self._empty.set()

    def _retry_after(self) -> int:
        """About when a running request ends."""
        return max(1, min(_LONGEST, math.ceil(self._seconds)))
