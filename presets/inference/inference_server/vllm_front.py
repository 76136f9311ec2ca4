"""The proxy in front of vLLM: passes its API through and adds Kaito's `POST /chat`.

vLLM applies one adapter to a request. So `/chat`, which names no model, uses the adapter where there is one,
the base where there is none and, of several, the first: they are not combined, as they are by transformers'
runtime. The others answer by name in `/v1/`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from . import vllm_chat
from .settings import Limits

METHODS = ["GET", "POST", "DELETE"]
PASSED = ("/v1/{rest:path}", "/health", "/metrics", "/version", "/tokenize", "/detokenize")
_PER_CONNECTION = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_Result = TypeVar("_Result")


def app(client: httpx.AsyncClient, model: str, limits: Limits) -> Starlette:
    """`client` speaks to vLLM; `model` is the name that `/chat` uses."""
    front = _Front(client, model, limits)
    routes = [Route("/chat", front.chat, methods=["POST"]), Route("/", _root)]
    routes += [Route(path, front.passed, methods=METHODS) for path in PASSED]
    return Starlette(routes=routes, exception_handlers={_Refused: _refusal, ClientDisconnect: _left})


class _Refused(Exception):
    def __init__(self, status: int, detail: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


class _Front:
    def __init__(self, client: httpx.AsyncClient, model: str, limits: Limits) -> None:
        self.client, self.model, self.limits = client, model, limits
        self.running = 0

    async def passed(self, request: Request) -> Response:
        if request.method == "GET":
            return await self._send(request, b"", _nothing)
        release = self._admit()
        try:
            return await self._send(request, await self._body(request), release)
        except BaseException:
            release()
            raise

    async def chat(self, request: Request) -> Response:
        release = self._admit()
        try:
            body = await self._body(request)
            asking = vllm_chat.answer(self._ask(request), self.model, body, self.limits.default_tokens)
            return JSONResponse({"Result": await _while_there(request, asking)})
        except vllm_chat.Refused as refused:
            raise _Refused(refused.status, refused.detail) from refused
        finally:
            release()

    def _admit(self) -> Callable[[], None]:
        """Counts a request, until what is returned is called."""
        if self.running >= self.limits.queue:
            raise _Refused(429, "too many requests wait already", {"Retry-After": "1"})
        self.running += 1
        left = [self]

        def release() -> None:
            if left:
                left.pop().running -= 1

        return release

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self.limits.body_bytes:
                raise _Refused(413, f"a request may have {self.limits.body_bytes} bytes")
        return bytes(body)

    async def _send(self, request: Request, body: bytes, release: Callable[[], None]) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        sent = self.client.build_request(
            request.method, request.url.path + query, headers=_kept(request.headers.items()), content=body
        )
        answer = await _while_there(request, self._reached(self.client.send(sent, stream=True)))
        return _Passing(answer, release)

    def _ask(self, request: Request) -> vllm_chat.Ask:
        headers = {k: v for k, v in request.headers.items() if k == "authorization"}

        async def ask(path: str, body: dict[str, Any]) -> httpx.Response:
            return await self._reached(self.client.post(path, json=body, headers=headers))

        return ask

    async def _reached(self, sending: Awaitable[httpx.Response]) -> httpx.Response:
        try:
            async with asyncio.timeout(self.limits.request_seconds):
                return await sending
        except TimeoutError as error:
            raise _Refused(504, f"no answer in {self.limits.request_seconds:g} s") from error
        except httpx.TransportError as error:
            raise _Refused(503, "vLLM does not answer (yet)", {"Retry-After": "5"}) from error


async def _while_there(request: Request, work: Awaitable[_Result]) -> _Result:
    """Gives `work` up when the client goes away, so that vLLM stops generating for nobody."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for each in (task, gone):
            each.cancel()
            with contextlib.suppress(BaseException):
                await each


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Passing(StreamingResponse):
    """vLLM's answer, chunk by chunk as it comes; however it ends, `release` is called."""

    def __init__(self, answer: httpx.Response, release: Callable[[], None]) -> None:
        super().__init__(answer.aiter_raw(), answer.status_code)
        self.raw_headers = [(k.lower(), v) for k, v in answer.headers.raw if _is_kept(k.decode("latin-1"))]
        self._answer, self._release = answer, release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()
            await self._answer.aclose()


def _kept(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(k, v) for k, v in headers if _is_kept(k) and k.lower() not in ("host", "content-length")]


def _is_kept(header: str) -> bool:
    return header.lower() not in _PER_CONNECTION


def _nothing() -> None:
    pass


async def _root(_: Request) -> Response:
    return JSONResponse({"message": "Server is running"})


async def _refusal(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, _Refused)
    return JSONResponse({"detail": refused.detail}, refused.status, refused.headers)


async def _left(_: Request, __: Exception) -> Response:
    """Nobody reads it; it ends the request without an error in the log."""
    return Response(status_code=499)
