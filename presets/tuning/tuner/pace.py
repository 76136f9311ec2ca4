"""How far a download is, as lines for `kubectl logs`."""

import logging
import time

import httpx

LOG = logging.getLogger(__name__)
REPORT_S = 10.0
MIN_BYTES_PER_S = 100
"""Less between two lines is a connection that hangs."""


def bytes_text(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


class Pace:
    """`total` is None where the server does not tell it."""

    def __init__(self, name: str, start: int, total: int | None) -> None:
        self._name, self._total = name, total
        self._told_at, self._told = time.monotonic(), start

    def update(self, done: int) -> None:
        """A line now and then. Raises ReadTimeout where next to nothing comes."""
        now = time.monotonic()
        passed = now - self._told_at
        if passed >= REPORT_S:
            rate = (done - self._told) / passed
            LOG.info("%s: %s%s, %s/s", self._name, bytes_text(done), self._of(done), bytes_text(rate))
            if rate < MIN_BYTES_PER_S:
                raise httpx.ReadTimeout("too slow")
            self._told_at, self._told = now, done

    def _of(self, done: int) -> str:
        return f" of {bytes_text(self._total)} ({done * 100 // self._total} %)" if self._total else ""
