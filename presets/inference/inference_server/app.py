"""All routes on one port, and how failures are told on each."""

import logging

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from . import chat, openai_api
from .admission import Gate
from .asked import Refused
from .clients import BodyLimit, Counted
from .engine import EngineFailed
from .generation import Generation
from .settings import Settings

LOG = logging.getLogger(__name__)
_KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


def app(settings: Settings, generation: Generation, gate: Gate) -> FastAPI:
    made = FastAPI(title=f"{settings.preset}, served by Reconciler", docs_url=None, redoc_url=None)
    made.include_router(chat.router(settings, generation, gate))
    made.include_router(openai_api.router(settings, generation, gate))
    health = _Health(generation, gate)
    for path in ("/health", "/healthz"):
        made.add_api_route(path, health.answer, methods=["GET"], response_model=None)
    made.add_api_route("/metrics", health.metrics, methods=["GET"], response_model=None)
    made.add_api_route("/", _root, methods=["GET"])
    for error, handler in _HANDLERS.items():
        made.add_exception_handler(error, handler)
    limits = settings.limits
    made.add_middleware(BodyLimit, limit=limits.body_bytes, seconds=limits.request_seconds)
    made.add_middleware(Counted, counter=generation.metrics.requests)
    return made


class _Health:
    def __init__(self, generation: Generation, gate: Gate) -> None:
        self._generation, self._gate = generation, gate
        engines, gauge = generation.engines, generation.metrics.gauge
        gauge("inference_batch_size", "Generations in the running batches", lambda: engines.load().batch)
        gauge("inference_cache_used_ratio", "Of the fullest KV cache, 0 to 1", lambda: engines.load().cache)
        gauge(
            "inference_queue",
            "Generations let in that wait for a batch",
            lambda: max(0, gate.running - engines.load().batch),
        )

    async def answer(self) -> Response:
        """Fails when the batching worker has died, which a restart mends, and while the server stops."""
        if failed := self._generation.engines.failure():
            return JSONResponse({"detail": failed}, 500)
        if self._gate.draining:
            return JSONResponse({"detail": "the server is stopping"}, 503)
        return JSONResponse({"status": "Healthy"})

    async def metrics(self) -> Response:
        return Response(self._generation.metrics.text(), media_type="text/plain; version=0.0.4")


async def _root() -> dict[str, str]:
    return {"message": "Server is running"}


def _failure(request: Request, status: int, message: str, error: Exception | None = None) -> Response:
    headers = {**(getattr(error, "headers", None) or {})}
    if not request.url.path.startswith("/v1/"):
        return JSONResponse({"detail": message}, status, headers)
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    told = {
        "message": message,
        "type": kind,
        "param": getattr(error, "parameter", None),
        "code": getattr(error, "code", None),
    }
    return JSONResponse({"error": told}, status, headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _failure(request, error.status, error.message, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _failure(request, error.status_code, str(error.detail), error)


async def _invalid(request: Request, error: Exception) -> Response:
    """OpenAI's API answers 400 and one sentence, Kaito's 422 and a list."""
    assert isinstance(error, RequestValidationError)
    if not request.url.path.startswith("/v1/"):
        told = [{key: each[key] for key in ("type", "loc", "msg")} for each in error.errors()]
        return JSONResponse({"detail": jsonable_encoder(told)}, 422)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return _failure(
        request, 400, f"{where}: {first['msg']}" if where else first["msg"], Refused(400, "", where or None)
    )


async def _failed(request: Request, error: Exception) -> Response:
    """Also of several generations at once."""
    if isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Refused):
        return await _refused(request, error)
    LOG.error("%s: %s", type(error).__name__, error)
    return _failure(request, 500, str(error) if isinstance(error, EngineFailed) else "internal error")


async def _left(_: Request, __: Exception) -> Response:
    """Nobody reads it; it ends the request without a traceback."""
    return Response(status_code=499)


_HANDLERS = {
    Refused: _refused,
    HTTPException: _http,
    RequestValidationError: _invalid,
    EngineFailed: _failed,
    ExceptionGroup: _failed,
    ClientDisconnect: _left,
}
