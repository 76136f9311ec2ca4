"""A reverse proxy between the daemon and one server. It counts writes and can strike after any of them."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
_PER_HOP = {"connection", "keep-alive", "transfer-encoding", "content-encoding", "content-length", "host"}


@dataclass(frozen=True)
class Passed:
    """One request that was passed on: by which program, as whom, and how it was answered."""

    method: str
    path: str
    user: str
    code: int
    query: str = ""
    agent: str = ""


class Proxy:
    """`on_write` is told of each write that the server has taken, before the daemon knows.

    The daemon is spoken to in plain HTTP; `tls` is how to trust an upstream that speaks HTTPS.
    """

    def __init__(
        self, upstream: str, on_write: Callable[[str], None], tls: ssl.SSLContext | None = None
    ) -> None:
        self.upstream = upstream.rstrip("/")
        self.url = ""
        self.passed: list[Passed] = []
        self.away = False
        """Whether the server seems to be away."""
        self._on_write = on_write
        self._tls = tls

    async def start(self) -> None:
        connector = TCPConnector(ssl=self._tls or True, limit=0)
        self._session = ClientSession(
            timeout=ClientTimeout(total=None), auto_decompress=False, connector=connector
        )
        self._runner = web.ServerRunner(web.Server(self._forward), shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.away:
            return web.Response(status=503)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _PER_HOP}
        body = await request.read()
        url = self.upstream + request.raw_path
        async with self._session.request(request.method, url, headers=headers, data=body or None) as answer:
            user = request.headers.get("Impersonate-User", "")
            agent = request.headers.get("User-Agent", "")
            self.passed.append(
                Passed(request.method, request.path, user, answer.status, request.query_string, agent)
            )
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _PER_HOP}
            if self._is_write(request) and answer.status < 400:
                content = await answer.read()
                self._on_write(f"{request.method} {request.path}")
                return web.Response(body=content, status=answer.status, headers=kept)
            return await self._stream(request, answer, kept)

    def _is_write(self, request: web.BaseRequest) -> bool:
        return request.method in WRITES and not request.path.endswith("git-upload-pack")

    async def _stream(self, request, answer, headers) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        try:
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        except (ConnectionResetError, OSError):
            pass
        return response
