"""Serves with transformers: loads, starts, answers until SIGTERM, drains."""

import asyncio
import contextlib
import logging
import signal
import time

import uvicorn

from . import model
from .admission import Gate
from .app import app
from .engines import Engines
from .generation import Generation
from .names import adapter_sets
from .settings import Settings

LOG = logging.getLogger(__name__)


def run(settings: Settings, host: str) -> dict[str, object]:
    """Returns when a signal's drain is over. Raises RuntimeFailure where the model cannot be served."""
    began = time.monotonic()
    sets = adapter_sets(settings)
    loaded = model.load(settings)
    engines = Engines(loaded, sets, settings.limits.cache_tokens)
    engines.start()
    try:
        generation = Generation(engines, loaded.tokenizer, loaded.end_ids, loaded.defaults)
        LOG.info("serving %s on port %d", ", ".join(sets), settings.port)
        seconds, longest = time.monotonic() - began, engines.capacity(settings.preset)
        LOG.info("loaded in %.1f s; a request may have %d tokens", seconds, longest)
        asyncio.run(_serve(settings, host, generation))
    finally:
        engines.stop()
    return {"durations": {"served": round(time.monotonic() - began, 1)}}


async def _serve(settings: Settings, host: str, generation: Generation) -> None:
    gate = Gate(settings.limits.queue)
    config = uvicorn.Config(
        app(settings, generation, gate),
        host=host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    told = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, told.set)
    stopping = asyncio.create_task(_stop(server, gate, told, settings.limits.drain_seconds))
    try:
        await server.serve()
    finally:
        stopping.cancel()


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would close its port at once, and clients on their way would be lost."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


async def _stop(server: uvicorn.Server, gate: Gate, told: asyncio.Event, seconds: float) -> None:
    await told.wait()
    LOG.info("stopping: %d generations end, within %g s; new ones are refused", gate.running, seconds)
    await gate.drain(seconds)
    server.should_exit = True
