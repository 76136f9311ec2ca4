"""Time in the development cluster: an input everywhere, so that a test can turn it by hand."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """`now` is in epoch seconds and may jump; `steady` never does, nor what waits for it.

    `after` calls once, from the event loop, never re-entrantly.
    """

    def now(self) -> float: ...
    def steady(self) -> float: ...
    def jump(self, seconds: float) -> None: ...
    def after(self, seconds: float, call: Callable[[], object]) -> Timer: ...


class LoopClock:
    """The machine's clock, set right or wrong by jumps, and the running event loop's timers."""

    def __init__(self) -> None:
        self._jumped = 0.0

    def now(self) -> float:
        return time.time() + self._jumped

    def steady(self) -> float:
        return time.monotonic()

    def jump(self, seconds: float) -> None:
        self._jumped += seconds

    def after(self, seconds: float, call: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, call)


@dataclass(frozen=True, slots=True)
class Speed:
    """How long simulated things take. Times are seconds, spread by `jitter` (a share) either way."""

    node_join_seconds: float = 2.0
    """From a pool's request to its first node; each further node takes a quarter of it more."""
    node_ready_seconds: float = 0.5
    pool_gone_seconds: float = 1.0
    eviction_seconds: float = 5.0
    """Pods on a node that is not ready are replaced after this long."""
    backoff_seconds: float = 1.0
    """First pause before a failed container or image pull is tried again; doubles up to 30 times this."""
    stage_factor: float = 1.0
    """Multiplies the delays of pod stages; 0 makes them instant."""
    jitter: float = 0.2

    def spread(self, seconds: float, chance: random.Random) -> float:
        return max(0.0, seconds * (1 + self.jitter * chance.uniform(-1, 1)))


INSTANT = Speed(
    node_join_seconds=0,
    node_ready_seconds=0,
    pool_gone_seconds=0,
    eviction_seconds=0,
    backoff_seconds=0.05,
    stage_factor=0,
)
"""Everything at once, for tests of other things than time."""


def timestamp(now: float) -> str:
    """Epoch seconds as Kubernetes writes them."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(text: str) -> float:
    """The reverse of `timestamp`."""
    return datetime.fromisoformat(text).timestamp()


@dataclass(frozen=True, slots=True)
class Pace:
    """Simulated time as one input: the clock, the dice and how long things take."""

    clock: Clock
    chance: random.Random
    speed: Speed

    def now(self) -> float:
        return self.clock.now()

    def stamp(self) -> str:
        return timestamp(self.clock.now())

    def after(self, seconds: float, call: Callable[[], object]) -> Timer:
        """`call` after about `seconds`."""
        return self.clock.after(self.speed.spread(seconds, self.chance), call)

    async def sleep(self, seconds: float) -> None:
        """For about so long."""
        over = asyncio.Event()
        timer = self.after(seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()
