"""A kind served by list and watch under the test's control: expiry, broken lines, silence, refusals."""

import asyncio

import orjson
from aiohttp import web


def config(name: str, value: str = "", **metadata) -> dict:
    labels = {"app.kubernetes.io/managed-by": "reconciler"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "ai", "uid": f"u-{name}", "labels": labels, **metadata},
        "data": {"value": value},
    }


class Served:
    """Objects by name with one growing resource version; `answer` is the script's."""

    def __init__(self) -> None:
        self.objects: dict[str, dict] = {}
        self.version = 10
        self.log: list[tuple[int, dict]] = []
        self.floor = 0
        self.refusal: web.Response | None = None
        self.lists = self.watches = 0
        self._changed = asyncio.Event()
        self._lines: set[asyncio.Transport] = set()
        self._open = True

    def put(self, manifest: dict) -> dict:
        name = manifest["metadata"]["name"]
        self._event("MODIFIED" if name in self.objects else "ADDED", manifest)
        self.objects[name] = self.log[-1][1]["object"]
        return self.objects[name]

    def remove(self, name: str) -> None:
        self._event("DELETED", self.objects.pop(name))

    def bookmark(self, version: int) -> None:
        self.version = version - 1
        self._event("BOOKMARK", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {}})

    def compact(self) -> None:
        """Forget all events: whoever asks for them is told 410."""
        self.log.clear()
        self.floor = self.version

    def hang_up(self) -> None:
        """Break every open watch in the middle of a line."""
        for line in list(self._lines):
            line.abort()

    def finish(self) -> None:
        """End every open watch cleanly, as a server's timeout does."""
        self._open = False
        self._changed.set()

    def _event(self, what: str, manifest: dict) -> None:
        self.version += 1
        metadata = {**manifest["metadata"], "resourceVersion": str(self.version)}
        self.log.append((self.version, {"type": what, "object": {**manifest, "metadata": metadata}}))
        self._changed.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.refusal is not None:
            return web.Response(body=self.refusal.body, status=self.refusal.status)
        if "watch" in request.query:
            return await self._watch(request)
        self.lists += 1
        items = list(self.objects.values())
        return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watches += 1
        self._open = True
        at, line = int(request.query["resourceVersion"]), request.transport
        response = web.StreamResponse()
        await response.prepare(request)
        if at < self.floor:
            await response.write(
                orjson.dumps({"type": "ERROR", "object": {"code": 410, "message": "old"}}) + b"\n"
            )
            return response
        self._lines.add(line)
        try:
            while self._open:
                for version, event in [entry for entry in self.log if entry[0] > at]:
                    await response.write(orjson.dumps(event) + b"\n")
                    at = version
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._lines.discard(line)
        return response
