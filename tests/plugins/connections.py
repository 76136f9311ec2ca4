"""Lets a test's connections end before its event loop does."""

import asyncio
import time

import pytest

PATIENCE_SECONDS = 5.0


@pytest.fixture
async def connections_end():
    """To be asked for by what opens TLS connections, so that it is torn down before this.

    aiohttp forgets a TLS connection that it gave up, which ends when the peer has said farewell as well;
    a loop closed before that leaves it open. What is left after some patience is a leak, and is warned of.
    """
    yield
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _open() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)


def _open() -> int:
    """How many sockets the loop looks after, but for the one by which it wakes itself."""
    return len(asyncio.get_running_loop()._selector.get_map()) - 1
