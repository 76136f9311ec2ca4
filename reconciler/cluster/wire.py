"""Requests on one HTTP session: bounded in number, size and time; repeated where that is safe.

Every request of this program may be repeated: reads, forced applies, merge patches and deletions
come to the same end twice, and a repeated creation or replacement meets a Conflict.
"""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import aiohttp
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_before_delay,
    wait_random_exponential,
)
from yarl import URL

from reconciler.errors import Unavailable

from . import failures
from .access import Access
from .failures import Call, Transient

OnRequest = Callable[[str, str, int, float], None]
"""Told of every answer: verb, kind, HTTP status (0 where none came), seconds."""

MAX_BYTES = 64 * 1024 * 1024
"""The largest answer that is read, and the largest event of a watch."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 4.0
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 20), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4))


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. `read` is silence, not duration; no new try begins after `total`."""

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    watch: float = 290.0
    """The server is asked to end a watch after this time; silence beyond it and `read` is a broken line."""


class Wire:
    """The session. `concurrency` bounds requests under way; watches do not count."""

    def __init__(self, access: Access, user_agent: str, concurrency: int, patience: Patience) -> None:
        self._access = access
        self._slots = asyncio.Semaphore(concurrency)
        self._patience = patience
        self.on_request: OnRequest = lambda *_: None
        self.date = ""
        """What the last answer said the time was."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=access.tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"},
        )

    async def send(self, call: Call) -> bytes:
        """The answer's body. Raises an error of `reconciler.errors` for anything but success."""
        try:
            return await self._try(call)
        except Transient as error:
            return await self._try_again(call, [error])

    async def _try_again(self, call: Call, failed: list[Transient]) -> bytes:
        """Apart, since the machinery of retrying costs as much as a request, and most need none."""

        async def attempt() -> bytes:
            if failed:
                raise failed.pop()
            return await self._try(call)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Transient),
            wait=_pause,
            stop=stop_before_delay(self._patience.total),
            reraise=True,
        )
        return await retrying(attempt)

    async def _try(self, call: Call) -> bytes:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._patience.connect, sock_read=self._patience.read
        )
        async with self._slots, self._answer(call, timeout) as response:
            return await _body(call, response)

    async def lines(self, call: Call) -> AsyncGenerator[bytes, None]:
        """The answer line by line as it comes; ends when the server ends it. Not repeated."""
        silence = self._patience.watch + self._patience.read
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._patience.connect, sock_read=silence)
        async with self._answer(call, timeout) as response:
            _keep_alive(response)
            try:
                async with aclosing(_split(call, response)) as whole:
                    async for line in whole:
                        yield line
            finally:
                abandon(response)

    @asynccontextmanager
    async def _answer(
        self, call: Call, timeout: aiohttp.ClientTimeout
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        began, status = time.monotonic(), 0
        url = URL(self._access.server + call.path, encoded=True)
        credentials = await self._access.authorization()
        try:
            async with self._session.request(
                call.method,
                url.update_query(dict(call.params)) if call.params else url,
                data=call.body,
                headers={**call.headers, **({"Authorization": credentials} if credentials else {})},
                timeout=timeout,
                allow_redirects=False,
                proxy=self._access.proxy,
                server_hostname=self._access.server_hostname,
            ) as response:
                status, self.date = response.status, response.headers.get("Date", "")
                if status == 401 and await self._access.renew(credentials):
                    raise Transient(f"{call}: the credentials had expired (401)")
                if status >= 300:
                    body = await _body(call, response)
                    raise failures.of_response(call, status, body, response.headers.get("Retry-After", ""))
                yield response
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError) as error:
            raise Unavailable(
                f"{call}: no TLS connection to {self._access.server}: {_said(error)}"
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{call}: no answer from {self._access.server}: {_said(error)}") from error
        finally:
            self.on_request(call.verb, call.kind, status, time.monotonic() - began)

    async def close(self) -> None:
        await self._session.close()


def _pause(state: RetryCallState) -> float:
    """What Retry-After asks for, at least; jittered so that clients do not come back together."""
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None) or 0.0
    return asked + wait_random_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE)(state)


async def _body(call: Call, response: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            raise Unavailable(f"{call}: the answer is larger than {MAX_BYTES >> 20} MiB")
    return b"".join(chunks)


async def _split(call: Call, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    rest = bytearray()
    async for chunk in response.content.iter_any():
        rest += chunk
        *whole, tail = rest.split(b"\n") if b"\n" in chunk else (rest,)
        rest = bytearray(tail)
        if len(rest) > MAX_BYTES:
            raise Unavailable(f"{call}: an event is larger than {MAX_BYTES >> 20} MiB")
        for line in filter(None, whole):
            yield bytes(line)


def abandon(response: aiohttp.ClientResponse) -> None:
    """Ends the connection of an answer that was not read to its end, without TLS's farewell.

    The session forgets such a connection at once, and nobody would wait for the peer's part of it.
    """
    transport = response.connection.transport if response.connection else None
    if transport is not None:
        transport.abort()
    response.close()


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    """A peer that vanished without a word is noticed in under a minute, however quiet the watch."""
    transport = response.connection.transport if response.connection else None
    plug = transport.get_extra_info("socket") if transport else None
    if plug is not None:
        for option, value in _KEEPALIVE:
            plug.setsockopt(socket.IPPROTO_TCP, option, value)


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
