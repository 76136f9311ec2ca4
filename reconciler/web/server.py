"""The server of metrics, probes and webhooks, in a thread of its own.

Planning ten thousand workspaces keeps the daemon's thread busy for seconds. Senders of webhooks give up, or
give a hook up, after a few; a kubelet that gets no answer kills what it asked.
"""

import asyncio
import errno
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web

from .. import telemetry
from ..errors import Unavailable
from ..model.settings import WebSettings
from .hooks import Hook

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Probes:
    """What is asked of the daemon."""

    alive: Callable[[], bool]
    """False where only a restart helps."""
    missing: Callable[[], Sequence[str]]
    """What must be there before the daemon is ready; empty once all is."""


class Web:
    """A running server; `port` is the one it got."""

    def __init__(self, own: "_Thread", runner: web.AppRunner) -> None:
        self.port: int = runner.addresses[0][1]
        self._own, self._runner = own, runner

    async def close(self) -> None:
        await self._own.run(self._runner.cleanup())
        self._own.end()


async def serve(settings: WebSettings, probes: Probes, hooks: Sequence[Hook] = ()) -> Web:
    """Probes are asked, and hooks tell, in the server's thread. Raises Unavailable where the address cannot
    be had."""
    own = _Thread()
    try:
        return Web(own, await own.run(_started(settings, _app(probes, hooks))))
    except BaseException:
        own.end()
        raise


async def _started(settings: WebSettings, app: web.Application) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        await runner.cleanup()
        raise Unavailable(_refusal(settings, error)) from None
    return runner


class _Thread:
    """A thread with an event loop."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name="web", daemon=True)
        self._thread.start()

    def _live(self) -> None:
        with self._runner:
            self._runner.run(self._over.wait())

    async def run(self, what: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(what, self._loop))

    def end(self) -> None:
        """Cancels what still goes on there."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()


def _refusal(settings: WebSettings, error: OSError) -> str:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"web.port: {where} is taken by another program; choose another port, or 0 for a free one"
    return f"web.host, web.port: cannot listen on {where}: {error.strerror or error}"


def _app(probes: Probes, hooks: Sequence[Hook]) -> web.Application:
    async def metrics(request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "")
        body, content_type = await asyncio.to_thread(telemetry.exposition, accept)
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    async def healthz(_: web.Request) -> web.Response:
        alive = probes.alive()
        return web.Response(text="ok\n" if alive else "a cycle hangs\n", status=200 if alive else 503)

    async def readyz(_: web.Request) -> web.Response:
        missing = [telemetry.redacted(what) for what in probes.missing()]
        return web.Response(text="\n".join(missing or ["ok"]) + "\n", status=503 if missing else 200)

    app = web.Application()
    app.add_routes([web.get(f"/{h.__name__}", h) for h in (metrics, healthz, readyz)])
    app.add_routes([web.post(hook.settings.path, hook.answer) for hook in hooks])
    return app
