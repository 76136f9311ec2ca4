"""Servers that the benchmark of the API server measures, each a process of its own.

`servers.py api` is the development API server. `servers.py bare` is aiohttp alone: it answers what was PUT
before under the same path, to any method, and tells watchers of every POST.
"""

import asyncio
import sys
from contextlib import suppress

from aiohttp import web

from reconciler.dev.api.server import ApiServer


class Bare:
    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.watchers: set[asyncio.Queue[bytes]] = set()

    async def start(self) -> str:
        runner = web.ServerRunner(web.Server(self.answer, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if "watch" in request.query:
            return await self.watch(request)
        body = await request.content.read()
        if request.method == "PUT":
            self.answers[request.path] = body
        if request.method == "POST":
            for watcher in self.watchers:
                watcher.put_nowait(b'{"type":"ADDED","object":' + body + b"}\n")
        return web.Response(body=self.answers[request.path], content_type="application/json")

    async def watch(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        mine: asyncio.Queue[bytes] = asyncio.Queue()
        self.watchers.add(mine)
        with suppress(ConnectionResetError):  # whoever watched has gone
            while True:
                await response.write(await mine.get())
        self.watchers.discard(mine)
        return response


async def main(which: str) -> None:
    if which == "bare":
        url = await Bare().start()
    else:
        server = ApiServer()
        await server.start()
        url = f"{server.url}/{server.token}"
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
