"""The server of metrics, probes and webhooks."""

import asyncio
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from .. import telemetry
from ..errors import Unavailable
from ..model.settings import WebSettings
from .hooks import Hook


@dataclass(frozen=True, slots=True)
class Probes:
    """What is asked of the daemon."""

    alive: Callable[[], bool]
    """False where only a restart helps."""
    missing: Callable[[], Sequence[str]]
    """What must be there before the daemon is ready; empty once all is."""


class Web:
    """A running server; `port` is the one it got."""

    def __init__(self, runner: web.AppRunner, port: int) -> None:
        self.port = port
        self._runner = runner

    async def close(self) -> None:
        await self._runner.cleanup()


async def serve(settings: WebSettings, probes: Probes, hooks: Sequence[Hook] = ()) -> Web:
    """Raises Unavailable where the address cannot be had."""
    runner = web.AppRunner(_app(probes, hooks), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        await runner.cleanup()
        raise Unavailable(_refusal(settings, error)) from None
    return Web(runner, runner.addresses[0][1])


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
