"""The HTTP face: an aiohttp server over the verbs, with a token, a request log and faults."""

import asyncio
import base64
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import yaml
from aiohttp import web

from reconciler.dev.api import discovery
from reconciler.dev.api.bootstrap import seed
from reconciler.dev.api.errors import ApiError
from reconciler.dev.api.faults import Fault, Seen, refusal, struck
from reconciler.dev.api.gc import GarbageCollector
from reconciler.dev.api.kinds import Registry
from reconciler.dev.api.routes import Route, route
from reconciler.dev.api.serving import Reply, Serving
from reconciler.dev.api.store import Store
from reconciler.dev.api.verbs import Verbs, parsed
from reconciler.dev.journal import Journal
from reconciler.dev.tls import Certificate

LOG = logging.getLogger(__name__)
REQUESTS_KEPT = 50_000
LARGEST_BODY = 3 * 1024 * 1024
OPEN_PATHS = ("/healthz", "/livez", "/readyz", "/version")
LogSource = Callable[[str, str, str], Awaitable[str]]


class ApiServer:
    """A Kubernetes API server on 127.0.0.1; several may run in one process.

    With a `certificate` it speaks TLS; with a `journal`, a file, its objects survive a restart.

    `log_source(namespace, pod, container)` answers `kubectl logs`. `requests` is what was asked, newest last;
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
        cluster: dict[str, Any] = {"name": "dev", "cluster": {"server": f"{self.url}/{self.token}"}}
        if self._certificate:
            trusted = base64.b64encode(self._certificate.path.read_bytes()).decode()
            cluster["cluster"] = {"server": self.url, "certificate-authority-data": trusted}
        user = {"name": "dev", "user": {"token": self.token}}
        context = {"name": "dev", "context": {"cluster": "dev", "user": "dev"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [user],
            "contexts": [context],
            "current-context": "dev",
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        code = 500
        target: Route | None = None
        try:
            path = self._allowed_path(request)
            target = route(request.method, path, request.query, self.registry)
            reply = await self._reply(request, target, path)
            code = reply.code
            self._note(request, target, code)
            return await self._sent(request, reply)
        except ApiError as error:
            self._note(request, target, error.code)
            return _refused(error)
        except (ConnectionResetError, asyncio.CancelledError):
            raise
        except Exception as error:
            LOG.exception("a bug in the development API server: %s %s", request.method, request.path)
            self._note(request, target, 500)
            return _refused(ApiError(500, f"{type(error).__name__}: {error}"))

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
        fault = struck(self.faults, target.verb, target.resource.plural, target.name)
        if fault and (error := refusal(fault)):
            raise error
        reply = await self._serving.reply(request, target, body)
        if fault and fault.action == "drop-watches":
            self.store.drop_watches(target.resource.key)
        if fault and fault.action == "reset":
            reply.cut = True
        return reply

    async def _sent(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        if reply.cut and request.transport is not None:
            request.transport.abort()
            raise ConnectionResetError("injected fault: reset")
        if reply.stream is None:
            return web.Response(body=reply.body, status=reply.code, headers=reply.headers)
        response = web.StreamResponse(status=reply.code, headers=reply.headers)
        await response.prepare(request)
        try:
            async with aclosing(reply.stream) as chunks:
                async for chunk in chunks:
                    await response.write(chunk)
            await response.write_eof()
        except ConnectionResetError:
            pass  # whoever watched has gone
        return response

    def _note(self, request: web.BaseRequest, target: Route | None, code: int) -> None:
        self.requests.append(
            Seen(
                verb=target.verb if target else request.method.lower(),
                resource=target.resource.plural if target and target.resource else "",
                subresource=target.subresource if target else "",
                namespace=target.namespace if target else "",
                name=target.name if target else "",
                agent=request.headers.get("User-Agent", ""),
                user=request.headers.get("Impersonate-User", ""),
                code=code,
            )
        )

    def _order_faults(self, method: str, body: bytes) -> Reply:
        """GET shows the faults; POST replaces them, and drops watches or compacts at once if asked to.

        The body: `{"faults": [{"action": "429", "verb": "patch"}], "dropWatches": true, "compact": true}`.
        """
        if method == "POST":
            order = parsed(body, "application/json")
            self.faults[:] = [Fault(**rule) for rule in order.get("faults", ())]
            if order.get("dropWatches"):
                self.store.drop_watches()
            if order.get("compact"):
                self.store.compact()
        return Reply(orjson.dumps([fault.as_json() for fault in self.faults]))


async def _body(request: web.BaseRequest) -> bytes:
    body = await request.content.read()
    if len(body) > LARGEST_BODY:
        raise ApiError(413, f"Request entity too large: limit is {LARGEST_BODY}")
    return body


def _refused(error: ApiError) -> web.Response:
    headers = {"Content-Type": "application/json"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return web.Response(body=orjson.dumps(error.status()), status=error.code, headers=headers)
