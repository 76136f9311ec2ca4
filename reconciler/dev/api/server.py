"""The HTTP face: an aiohttp server over the verbs, with a token, a request log and faults."""

import asyncio
import logging
import secrets
from collections import deque
from contextlib import aclosing, suppress
from pathlib import Path

import orjson
from aiohttp import web

from reconciler.dev import kubeconfig
from reconciler.dev.api import discovery
from reconciler.dev.api.bootstrap import seed
from reconciler.dev.api.errors import ApiError
from reconciler.dev.api.faults import Fault, Seen, faults_of, struck
from reconciler.dev.api.gc import GarbageCollector
from reconciler.dev.api.kinds import Registry
from reconciler.dev.api.routes import Route, route
from reconciler.dev.api.serving import JSON_HEADERS, LogSource, Reply, Serving
from reconciler.dev.api.store import Store
from reconciler.dev.api.verbs import Verbs, parsed
from reconciler.dev.journal import Journal
from reconciler.dev.tls import Certificate

LOG = logging.getLogger(__name__)
REQUESTS_KEPT = 50_000
LARGEST_BODY = 3 * 1024 * 1024
OPEN_PATHS = ("/healthz", "/livez", "/readyz", "/version")
NOWHERE = Route("")
NO_FAULT = Fault("slow", seconds=0)


class ApiServer:
    """A Kubernetes API server on 127.0.0.1; several may run in one process.

    With a `certificate` it speaks TLS; with a `journal`, a file, its objects survive a restart.

    `log_source` answers `kubectl logs`. `requests` is what was asked, newest last;
    `faults` are what the next requests meet.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        version: str = "v1.32.0",
        certificate: Certificate | None = None,
        journal: Path | None = None,
    ) -> None:
        self.token = token or secrets.token_urlsafe(24)
        self.version = version
        self.url = ""
        self.store = Store()
        self.registry = Registry()
        self.verbs = Verbs(self.store, self.registry)
        self.requests: deque[Seen] = deque(maxlen=REQUESTS_KEPT)
        self.faults: list[Fault] = []
        self.log_source: LogSource | None = None
        self._serving = Serving(self.verbs, lambda: self.log_source)
        self._collector = GarbageCollector(self.verbs)
        self._runner: web.ServerRunner | None = None
        self._certificate = certificate
        self._journal = Journal(journal, self.store) if journal else None
        seed(self.verbs)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._runner = web.ServerRunner(
            web.Server(self._answer, access_log=None, handler_cancellation=True), shutdown_timeout=1.0
        )
        await self._runner.setup()
        tls = self._certificate.context() if self._certificate else None
        await web.TCPSite(self._runner, host, port, ssl_context=tls).start()
        bound = self._runner.addresses[0]
        self.url = f"http{'s' if tls else ''}://{bound[0]}:{bound[1]}"
        self._collector.start()

    async def stop(self) -> None:
        await self._collector.stop()
        self.store.drop_watches()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._journal is not None:
            self._journal.close()

    def write_kubeconfig(self, path: Path) -> None:
        """Over plain HTTP the URL there holds the token too: kubectl sends no token header then."""
        if self._certificate:
            kubeconfig.write(path, self.url, self.token, self._certificate.path.read_bytes())
        else:
            kubeconfig.write(path, f"{self.url}/{self.token}", self.token)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        target = NOWHERE
        try:
            path = self._allowed_path(request)
            target = route(request.method, path, request.query, self.registry)
            reply = await self._reply(request, target, path)
        except ApiError as error:
            reply = _refused(error)
        except Exception as error:
            LOG.exception("a bug in the development API server: %s %s", request.method, request.path)
            reply = _refused(ApiError(500, f"{type(error).__name__}: {error}"))
        self._note(request, target, reply.code)
        return await _sent(request, reply)

    def _allowed_path(self, request: web.BaseRequest) -> str:
        """The request's path without a leading token. Raises 401 where the token is in neither place."""
        first, _, rest = request.path.lstrip("/").partition("/")
        if secrets.compare_digest(first.encode(), self.token.encode()):
            return "/" + rest
        given = request.headers.get("Authorization", "").encode()
        if request.path in OPEN_PATHS or secrets.compare_digest(given, f"Bearer {self.token}".encode()):
            return request.path
        raise ApiError(401, "Unauthorized")

    async def _reply(self, request: web.BaseRequest, target: Route, path: str) -> Reply:
        body = await _body(request)
        if path == "/_faults":
            return self._order_faults(request.method, body)
        if target.resource is None:
            return discovery.reply(request, path, body, self)
        fault = struck(self.faults, target.verb, target.resource.plural, target.name) or NO_FAULT
        fault.refuse()
        pause = fault.seconds if fault.action == "slow" else 0.0
        if pause:
            await asyncio.sleep(pause)
        reply = await self._serving.reply(request, target, body)
        reply.cut = fault.action == "reset"
        reply.pause = pause
        if fault.action == "drop-watches":
            self.store.drop_watches(target.resource.key)
        return reply

    def _note(self, request: web.BaseRequest, target: Route, code: int) -> None:
        plural = target.resource.plural if target.resource else ""
        agent, user = (request.headers.get(name, "") for name in ("User-Agent", "Impersonate-User"))
        where = (plural, target.subresource, target.namespace, target.name)
        self.requests.append(Seen(target.verb or request.method.lower(), *where, agent, user, code))

    def _order_faults(self, method: str, body: bytes) -> Reply:
        """GET shows the faults; POST replaces them, and drops watches or compacts at once if asked to.

        The body: `{"faults": [{"action": "429", "verb": "patch"}], "dropWatches": true, "compact": true}`.
        """
        if method == "POST":
            order = parsed(body, "application/json")
            self.faults[:] = faults_of(order.get("faults", ()))
            if order.get("dropWatches"):
                self.store.drop_watches()
            if order.get("compact"):
                self.store.compact()
        return Reply(orjson.dumps(self.faults))


async def _body(request: web.BaseRequest) -> bytes:
    """Never reads more than is allowed."""
    body = b""
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise ApiError(413, f"Request entity too large: limit is {LARGEST_BODY}")
    return body


def _refused(error: ApiError) -> Reply:
    wait = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
    return Reply(orjson.dumps(error.status()), error.code, {**JSON_HEADERS, **wait})


async def _sent(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    if reply.cut and request.transport is not None:
        request.transport.abort()
        raise ConnectionResetError("injected fault: reset")
    if reply.stream is None:
        return web.Response(body=reply.body, status=reply.code, headers=reply.headers)
    response = web.StreamResponse(status=reply.code, headers=reply.headers)
    with suppress(ConnectionResetError):  # whoever watched has gone
        await response.prepare(request)
        async with aclosing(reply.stream) as chunks:
            async for chunk in chunks:
                if reply.pause:
                    await asyncio.sleep(reply.pause)
                await response.write(chunk)
        await response.write_eof()
    return response
