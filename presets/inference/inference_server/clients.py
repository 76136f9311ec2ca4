"""The client's side of a request: limits to its body and its time, no work for those who have gone."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .asked import Refused

_Result = TypeVar("_Result")
_ROUTES = frozenset(("/chat", "/v1/chat/completions", "/v1/completions", "/v1/models"))
"""Counted by name; health checks and strangers' paths are not."""
_CLOSE = {"Connection": "close"}
_READ_ON = 32 * 2**20
"""Bytes of a refused body that are still read, so that the client gets to read why."""


class BodyLimit:
    """Answers 413 to larger bodies, whether they tell their length or not, and 408 to slower ones."""

    def __init__(self, app: ASGIApp, limit: int, seconds: float) -> None:
        self._app, self._limit, self._seconds = app, limit, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > self._limit:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_read_on(receive), self._seconds)
            refusal = JSONResponse(self._body(scope), 413, _CLOSE)
            await refusal(scope, receive, send)
            return
        await self._app(scope, self._limited(receive), send)

    def _limited(self, receive: Receive) -> Receive:
        seen, whole = 0, False
        deadline = asyncio.get_running_loop().time() + self._seconds

        async def limited() -> Message:
            nonlocal seen, whole
            try:
                async with asyncio.timeout_at(None if whole else deadline):
                    message = await receive()
            except TimeoutError:
                told = f"the request's body took longer than {self._seconds:g} s"
                raise HTTPException(408, told, _CLOSE) from None
            whole = not message.get("more_body")
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise HTTPException(413, self._told(), _CLOSE)
            return message

        return limited

    def _told(self) -> str:
        return f"the request's body is larger than {self._limit} bytes"

    def _body(self, scope: Scope) -> dict[str, object]:
        if str(scope["path"]).startswith("/v1/"):
            return {"error": {"message": self._told(), "type": "invalid_request_error", "code": 413}}
        return {"detail": self._told()}


class Counted:
    """Counts answers by route and status."""

    def __init__(self, app: ASGIApp, counter: Counter) -> None:
        self._app, self._counter = app, counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope["path"] if scope["path"] in _ROUTES else "other"
                self._counter.labels(route, message["status"]).inc()
            await send(message)

        await self._app(scope, receive, sending)


async def _read_on(receive: Receive) -> None:
    read = 0
    while read < _READ_ON:
        message = await receive()
        read += len(message.get("body", b""))
        if not message.get("more_body"):
            return


async def while_there(request: Request, work: Awaitable[_Result], seconds: float) -> _Result:
    """Gives `work` up when the client goes away (ClientDisconnect) or the time is over (Refused, 504)."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise ClientDisconnect
        raise Refused(504, f"no answer within {seconds:g} s", code="timeout")
    finally:
        for each in (task, gone):
            each.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await each


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def until(seconds: float, items: AsyncGenerator[_Result, None]) -> AsyncIterator[_Result]:
    """The items, as long as they come before the time is over (Refused, 504)."""
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        while True:
            async with asyncio.timeout_at(deadline):
                item = await anext(items)
            yield item
    except StopAsyncIteration:
        return
    except TimeoutError:
        raise Refused(504, f"no end within {seconds:g} s", code="timeout") from None
    finally:
        await items.aclose()


class Events(StreamingResponse):
    """Server-sent events; however they end, even before the first, `release` is called."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[str, None], release: Callable[[], None]) -> None:
        super().__init__(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._events, self._release = events, release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            try:
                await self._events.aclose()
            finally:
                self._release()
