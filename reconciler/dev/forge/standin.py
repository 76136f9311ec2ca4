"""What stand-ins of forges have in common: a log of requests, faults, pages with ETags, a clock."""

import asyncio
import hashlib
import json
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from reconciler.dev.sites import Site

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    status: int

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(slots=True)
class Fault:
    """Answers `status` to the next `times` requests that contain `of`, such as `POST /repos`."""

    status: int
    of: str = ""
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"message": "as told"}'
    after: bool = False
    """Answers so only after having done what was asked."""
    delay: float = 0.0


class StandIn(Site):
    """`asked` is every request since the start; faults come into force by `fail`."""

    def __init__(self, routes: Iterable[web.RouteDef]) -> None:
        app = web.Application(middlewares=[self._gate], client_max_size=8 * 1024 * 1024)
        app.add_routes(routes)
        super().__init__(app)
        self.asked: list[Asked] = []
        self._faults: list[Fault] = []
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def fail(self, status: int, **how: Any) -> None:
        """See `Fault`."""
        self._faults.append(Fault(status, **how))

    def writes(self) -> list[Asked]:
        """Requests that were to change something."""
        return [each for each in self.asked if each.method != "GET"]

    def stamp(self) -> str:
        """A new moment, a second at least after the one before: forges date to the second."""
        self._now = max(self._now + timedelta(seconds=1), datetime.now(UTC).replace(microsecond=0))
        return self._now.strftime("%Y-%m-%dT%H:%M:%SZ")

    @abstractmethod
    def check_login(self, request: web.Request) -> None:
        """Raises Refused."""

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        sent = await request.read()
        fault = self._fault(f"{request.method} {request.path}")
        answer = None if fault and not fault.after else await self._answer(request, handler)
        if fault:
            await asyncio.sleep(fault.delay)
            answer = web.Response(body=fault.body, status=fault.status, headers=fault.headers)
        assert answer is not None
        body = json.loads(sent) if sent else None
        self.asked.append(Asked(request.method, request.path, dict(request.query), body, answer.status))
        return answer

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self.check_login(request)
            return await handler(request)
        except Refused as refused:
            return web.json_response({"message": str(refused)}, status=refused.status)
        except web.HTTPException as error:
            return web.json_response({"message": error.reason}, status=error.status)

    def _fault(self, line: str) -> Fault | None:
        for fault in self._faults:
            if fault.of in line and fault.times > 0:
                fault.times -= 1
                return fault
        return None


def page(request: web.Request, items: list[Any], wrap: Callable[[list[Any]], Any] = list) -> web.Response:
    """The page that is asked for, with its ETag and a link to the next; 304 where the ETag is known."""
    size, number = int(request.query.get("per_page", 30)), int(request.query.get("page", 1))
    body = json.dumps(wrap(items[(number - 1) * size : number * size])).encode()
    headers = {"ETag": f'W/"{hashlib.sha256(body).hexdigest()}"'}
    if number * size < len(items):
        following = request.url.update_query(page=number + 1)
        headers["Link"] = f'<{following}>; rel="next"'
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type="application/json", headers=headers)
