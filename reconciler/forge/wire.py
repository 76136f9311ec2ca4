"""Requests to one forge: the login goes to its address only, answers are bounded in size and time.

Nothing follows a redirect. Reads and replacements are tried three times; what makes or adds something is
repeated only where it was certainly not heard.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import httpx
import orjson
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from reconciler.errors import InvalidSpec, NotPermitted, Unavailable
from reconciler.telemetry import redacted

from .errors import Call, RateLimited, Transient, refusal

T = TypeVar("T")
Params = Mapping[str, Any]

MAX_BYTES = 32 * 1024 * 1024
"""The largest answer that is read: a hundred comments of the largest size, with room."""
PER_PAGE, MAX_PAGES = 100, 50
TOTAL_SECONDS = 60.0
_TIMEOUT = httpx.Timeout(20.0, connect=5.0)
_TRIES = 3
_REPEATABLE = frozenset({"GET", "PUT"})
_REMEMBERED = 128
"""Pages whose ETag is kept."""


class Login(Protocol):
    """How to log in; secrets are read at use."""

    async def headers(self) -> Mapping[str, str]: ...

    def refused(self) -> None:
        """The last headers were not accepted."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """Whom to talk to, and how to call it in messages."""

    forge: str
    url: str
    """Root of the API, without a slash at the end."""
    repository: str
    ca_file: Path | None = None
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx.Headers
    body: Any


@dataclass(frozen=True, slots=True)
class _Page:
    """One page as it was shaped, by its ETag."""

    etag: str
    items: tuple[Any, ...]
    more: bool


class Wire:
    def __init__(self, address: Address, login: Login) -> None:
        self._address = address
        self._login = login
        self._session: httpx.AsyncClient | None = None
        self._quiet_until = 0.0
        self._pages: dict[str, _Page] = {}

    async def read(self, path: str, shape: Callable[[Any], T], need: str, params: Params | None = None) -> T:
        answer = await self._ask(self._call("GET", path, need), params=params)
        return self._shaped(path, shape, answer.body)

    async def read_all(
        self,
        path: str,
        shape: Callable[[Any], T],
        need: str,
        params: Params | None = None,
        *,
        remember: bool = False,
    ) -> list[T]:
        """All pages, item by item. With `remember`, what the forge says is unchanged comes from memory."""
        items: list[T] = []
        for number in range(1, MAX_PAGES + 1):
            asked = {**(params or {}), "per_page": PER_PAGE, "page": number}
            page = await self._page(self._call("GET", path, need), asked, shape, remember=remember)
            items += page.items
            if not page.more:
                return items
        raise Unavailable(f"{self._address.forge}: {path} has more than {MAX_PAGES * PER_PAGE} entries")

    async def write(self, method: str, path: str, body: Any, need: str, params: Params | None = None) -> None:
        """Only a PUT is repeated once it may have been heard."""
        await self._ask(self._call(method, path, need), params=params, body=body)

    async def ask(
        self, path: str, body: Any, shape: Callable[[Any], T], need: str, params: Params | None = None
    ) -> T:
        """A POST whose answer counts; repeated as `write` is."""
        answer = await self._ask(self._call("POST", path, need), params=params, body=body)
        return self._shaped(path, shape, answer.body)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.aclose()

    def _call(self, method: str, path: str, need: str) -> Call:
        return Call(self._address.forge, self._address.repository, method, path, need)

    async def _page(
        self, call: Call, params: Params, shape: Callable[[Any], Any], *, remember: bool
    ) -> _Page:
        place = f"{call.path}?{urlencode(params, doseq=True)}"
        known = self._pages.get(place)
        answer = await self._ask(call, params=params, etag=known.etag if known else "")
        if answer.status == 304 and known:
            return known
        found = self._shaped(call.path, lambda body: [shape(each) for each in _entries(body)], answer.body)
        etag, links = answer.headers.get("etag", ""), answer.headers.get("link", "")
        page = _Page(etag, tuple(found), 'rel="next"' in links)
        if remember and page.etag:
            self._pages.pop(place, None)
            self._pages[place] = page
            if len(self._pages) > _REMEMBERED:
                del self._pages[next(iter(self._pages))]
        return page

    def _shaped(self, path: str, shape: Callable[[Any], T], body: Any) -> T:
        try:
            return shape(body)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            wrong = redacted(repr(error))
            raise Unavailable(
                f"{self._address.forge}: {path} is not answered as it should be: {wrong}"
            ) from None

    async def _ask(
        self, call: Call, *, params: Params | None = None, body: Any = None, etag: str = ""
    ) -> _Answer:
        def passing(error: BaseException) -> bool:
            return isinstance(error, Transient) and (call.method in _REPEATABLE or not error.sent)

        retrying = AsyncRetrying(
            retry=retry_if_exception(passing),
            wait=wait_random_exponential(multiplier=0.2, max=2.0),
            stop=stop_after_attempt(_TRIES),
            reraise=True,
        )
        return await retrying(self._try, call, params, body, etag)

    async def _try(self, call: Call, params: Params | None, body: Any, etag: str) -> _Answer:
        self._keep_quiet()
        headers = dict(await self._login.headers())
        if etag:
            headers["If-None-Match"] = etag
        answer = await self._exchange(call, self._request(call, params, body, headers))
        if 200 <= answer.status < 300 and answer.status != 203:
            return answer
        if answer.status == 304 and etag:
            return answer
        if answer.status == 401:
            self._login.refused()
        error = refusal(call, answer.status, answer.headers, answer.body)
        if isinstance(error, RateLimited):
            self._quiet_until = time.monotonic() + (error.retry_after or 0.0)
        raise error

    def _keep_quiet(self) -> None:
        left = self._quiet_until - time.monotonic()
        if left > 0:
            raise RateLimited(f"{self._address.forge} asked to wait {left:.0f} s more", retry_after=left)

    def _request(
        self, call: Call, params: Params | None, body: Any, headers: Mapping[str, str]
    ) -> httpx.Request:
        """Built from our own address each time: no answer of a server decides where the login goes."""
        client = self._client()
        try:
            url = self._address.url + call.path
            return client.build_request(call.method, url, params=params, json=body, headers=headers)
        except (httpx.InvalidURL, ValueError) as error:
            raise InvalidSpec(f"forge.url, forge.repository: {redacted(str(error))}") from None

    async def _exchange(self, call: Call, request: httpx.Request) -> _Answer:
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                response = await self._client().send(request, stream=True)
                try:
                    content = await _content(call, response)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, TimeoutError) as error:
            raise _failure(call, error) from None
        return _Answer(response.status_code, response.headers, _parsed(call, response, content))

    def _client(self) -> httpx.AsyncClient:
        if self._session is None:
            self._session = httpx.AsyncClient(
                headers={"User-Agent": "workspace-reconciler", **(self._address.headers or {})},
                verify=_trust(self._address.ca_file),
                timeout=_TIMEOUT,
                follow_redirects=False,
            )
        return self._session


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise NotPermitted(f"forge.caFile: {ca_file} cannot be used: {error}") from None
    return context


async def _content(call: Call, response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_BYTES:
            raise Unavailable(f"{call}: the answer is larger than {MAX_BYTES >> 20} MiB")
    return bytes(content)


def _parsed(call: Call, response: httpx.Response, content: bytes) -> Any:
    """JSON; a refusal may be any text, a success may not."""
    try:
        return orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        if response.is_success and response.status_code != 203:
            raise Unavailable(f"{call}: the answer is not JSON") from None
        return None


def _failure(call: Call, error: Exception) -> Unavailable | NotPermitted:
    text = redacted(str(error)) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return NotPermitted(f"{call.forge}: its certificate is not known, set forge.caFile ({text})")
    never_left = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return Transient(f"{call.forge} cannot be reached: {text}", sent=not never_left)


def _entries(body: Any) -> list[Any]:
    """A list, or the only one in an object: GitHub wraps some."""
    if isinstance(body, list):
        return body
    (found,) = (value for value in body.values() if isinstance(value, list))
    return found
