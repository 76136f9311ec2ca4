"""The driver of the development cloud (`reconciler/dev/cloud`), over its HTTP API."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from reconciler.errors import (
    InvalidSpec,
    NoCapacity,
    NotPermitted,
    NotYet,
    QuotaExceeded,
    ReconcilerError,
    Unavailable,
)
from reconciler.model.plan import DeletePool, PoolAction
from reconciler.model.settings import SimulatedProvisioner
from reconciler.model.world import DesiredPool, ObservedPool

TIMEOUT_SECONDS = 10.0

_BY_CODE: Mapping[str, type[ReconcilerError]] = {
    "QuotaExceeded": QuotaExceeded,
    "NoCapacity": NoCapacity,
    "Forbidden": NotPermitted,
    "OperationNotAllowed": NotYet,
    "InvalidParameter": InvalidSpec,
    "PropertyChangeNotAllowed": InvalidSpec,
}


class Simulated:
    name = "simulated"

    def __init__(self, settings: SimulatedProvisioner) -> None:
        self._url = settings.url
        self._session: aiohttp.ClientSession | None = None

    async def observe(self) -> Sequence[ObservedPool]:
        answer = await self._ask("GET", "/pools")
        try:
            return [_observed(pool) for pool in json.loads(answer)["pools"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"the cloud's answer is not a list of pools: {error!r}") from error

    async def apply(self, action: PoolAction) -> None:
        if isinstance(action, DeletePool):
            await self._ask("DELETE", f"/pools/{action.name}", fine=(404,))
        else:
            await self._ask("PUT", f"/pools/{action.name}", body=_wanted(action.pool))

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    def _http(self) -> aiohttp.ClientSession:
        """Made on first use: a session needs the running loop."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
            self._session = aiohttp.ClientSession(self._url, timeout=timeout)
        return self._session

    async def _ask(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, fine: tuple[int, ...] = ()
    ) -> bytes:
        try:
            async with self._http().request(method, path, json=body) as answer:
                said = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"cannot reach the cloud: {error or type(error).__name__}") from error
        if answer.ok or answer.status in fine:
            return said
        raise _refusal(answer.status, said, answer.headers.get("Retry-After", ""))


def _wanted(pool: DesiredPool) -> dict[str, Any]:
    return {
        "key": pool.key,
        "instanceType": pool.instance_type,
        "count": pool.count,
        "gpusPerNode": pool.gpus_per_node,
        "labels": dict(pool.labels),
    }


def _observed(pool: Mapping[str, Any]) -> ObservedPool:
    return ObservedPool(
        name=pool["name"],
        key=pool["key"],
        driver=Simulated.name,
        instance_type=pool["instanceType"],
        count=pool["count"],
        gpus_per_node=pool["gpusPerNode"],
        state=pool["state"],
        reason=pool["reason"],
        message=pool["message"],
    )


def _refusal(status: int, said: bytes, after: str) -> ReconcilerError:
    try:
        error = json.loads(said)["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "", f"the cloud answered {status}"
    return _BY_CODE.get(code, Unavailable)(message, retry_after=float(after) if after else None)
