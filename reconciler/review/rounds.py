"""When to look, for all that asks the forge: somebody says so, time is over, or the last look failed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from .. import telemetry
from ..errors import ReconcilerError

log = structlog.get_logger(__name__)

Report = Callable[[str, str], None]
"""Told the reason why something does not work, and a message; two empty texts: it does."""


async def rounds(
    look: Callable[[], Awaitable[float | None]], wake: asyncio.Event, retry_seconds: float, report: Report
) -> None:
    """Looks, then waits for `wake` or as many seconds as `look` gave (None: for ever). Runs until cancelled.

    What `look` raises is told, and it is tried again when the forge lets us, `retry_seconds` later at least.
    """
    said = ""
    while True:
        wake.clear()
        try:
            pause = await look()
            said = ""
            report("", "")
        except ReconcilerError as error:
            telemetry.failed(error.reason)
            if str(error) != said:
                log.warning("forge not read or told", reason=error.reason, message=str(error))
            said = str(error)
            report(error.reason, said)
            pause = max(retry_seconds, error.retry_after or 0.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await wake.wait()


class Health:
    """What keeps several parts from their work, told as one: the first by name."""

    def __init__(self) -> None:
        self._report: Report | None = None
        self._failures: dict[str, tuple[str, str]] = {}

    def tell(self, report: Report) -> None:
        """From now on, and what is known already."""
        self._report = report
        report(*self._first())

    def of(self, part: str) -> Report:
        def told(reason: str, message: str) -> None:
            before = self._first()
            self._failures.pop(part, None)
            if reason:
                self._failures[part] = (reason, message)
            if self._report is not None and (now := self._first()) != before:
                self._report(*now)

        return told

    def _first(self) -> tuple[str, str]:
        return next((self._failures[part] for part in sorted(self._failures)), ("", ""))
