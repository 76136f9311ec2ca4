"""What came before, and what comes too often."""

from collections import OrderedDict

REMEMBERED, REMEMBERED_SECONDS = 10_000, 600.0
"""Deliveries that are known when they come again."""


class Deliveries:
    """Ids of what came lately, so that a recorded delivery that is sent again does nothing."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()

    def came_before(self, id: str, now: float) -> bool:
        """Notes it. What has no id is never known."""
        while self._seen and (
            len(self._seen) > REMEMBERED or now - next(iter(self._seen.values())) > REMEMBERED_SECONDS
        ):
            self._seen.popitem(last=False)
        if not id:
            return False
        known = id in self._seen
        self._seen.setdefault(id, now)
        return known


class Bucket:
    """Lets so many through per second, and `burst` at once."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._rate, self._burst = per_second, float(burst)
        self._left, self._at = float(burst), 0.0

    def take(self, now: float) -> float:
        """Seconds to wait; 0 where one may go now."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._rate
        self._left -= 1
        return 0.0
