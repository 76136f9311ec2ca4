"""The simulated cloud's HTTP API.

    PUT    /pools/{name}   {key, instanceType, count, gpusPerNode, labels, taints}   202
    GET    /pools          {"pools": [...]}
    DELETE /pools/{name}   202, or 404
    POST   /faults         a fault comes into force
    DELETE /faults         all faults end; what they broke stays broken
    POST   /clock          {seconds}: the clock of controllers, nodes and cloud jumps; timers run on

A refusal is `{"error": {"code", "message"}}` under a 4xx or 5xx status.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import ValidationError

from reconciler.dev.clock import Pace
from reconciler.dev.rows import Row
from reconciler.dev.sites import Site

from .cloud import Cloud
from .faults import Fault
from .pools import PoolSpec, Refused

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Jump(Row):
    seconds: float


class CloudServer(Site):
    """Serves one cloud on a loopback port."""

    def __init__(self, cloud: Cloud, pace: Pace) -> None:
        self.cloud = cloud
        self._pace = pace
        app = web.Application(middlewares=[_refusals, self._misbehave])
        app.add_routes(
            [
                web.get("/pools", self._list),
                web.put("/pools/{name}", self._put),
                web.delete("/pools/{name}", self._delete),
                web.post("/faults", self._inject),
                web.delete("/faults", self._clear),
                web.post("/clock", self._jump),
            ]
        )
        super().__init__(app)

    async def start(self, port: int = 0) -> None:
        self.cloud.start()
        await super().start(port)

    async def stop(self) -> None:
        await super().stop()
        await self.cloud.close()

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"pools": [pool.report() for pool in self.cloud.pools()]})

    async def _put(self, request: web.Request) -> web.Response:
        spec = PoolSpec.model_validate_json(await request.read())
        pool = self.cloud.put(request.match_info["name"], spec)
        return web.json_response(pool.report(), status=202)

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not self.cloud.delete(name):
            raise Refused(404, "NotFound", f"there is no pool {name}")
        return web.json_response({}, status=202)

    async def _inject(self, request: web.Request) -> web.Response:
        self.cloud.inject(Fault.model_validate_json(await request.read()))
        return web.json_response({}, status=201)

    async def _clear(self, _: web.Request) -> web.Response:
        self.cloud.faults.clear()
        return web.json_response({})

    async def _jump(self, request: web.Request) -> web.Response:
        self._pace.clock.jump(Jump.model_validate_json(await request.read()).seconds)
        return web.json_response({"now": self._pace.stamp()})

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Throttles, delays or fails requests about pools while such faults are in force."""
        if not request.path.startswith("/pools"):
            return await handler(request)
        faults, name = self.cloud.faults, request.match_info.get("name", "")
        if fault := faults.take("throttle", name):
            raise Refused(429, "TooManyRequests", "slow down", fault.seconds)
        if faults.take("down", name):
            raise Refused(503, "ServiceUnavailable", "the simulated cloud is down")
        if fault := faults.take("slow", name):
            await self._pace.sleep(fault.seconds)
        return await handler(request)


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as error:
        refused = Refused(400, "InvalidParameter", str(error))
    except Refused as error:
        refused = error
    headers = {} if refused.retry_after is None else {"Retry-After": f"{refused.retry_after:g}"}
    said = {"error": {"code": refused.code, "message": str(refused)}}
    return web.json_response(said, status=refused.status, headers=headers)
