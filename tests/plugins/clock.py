"""A clock that stands still until a test turns it."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Due:
    call: Callable[[], object] | None

    def cancel(self) -> None:
        self.call = None


@dataclass
class HandClock:
    """Begins at a fixed moment; `advance` makes every call that falls due, in order."""

    time: float = 1_700_000_000.0
    jumped: float = 0.0
    _queue: list[tuple[float, int, Due]] = field(default_factory=list)
    _number: "itertools.count[int]" = field(default_factory=itertools.count)

    def now(self) -> float:
        return self.time + self.jumped

    def steady(self) -> float:
        return self.time

    def jump(self, seconds: float) -> None:
        self.jumped += seconds

    def after(self, seconds: float, call: Callable[[], object]) -> Due:
        due = Due(call)
        heapq.heappush(self._queue, (self.time + seconds, next(self._number), due))
        return due

    def advance(self, seconds: float) -> None:
        end = self.time + seconds
        while self._queue and self._queue[0][0] <= end:
            self.time, _, due = heapq.heappop(self._queue)
            if due.call:
                due.call()
        self.time = end
