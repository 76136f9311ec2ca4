"""Endpoints for webhooks: a body is read only from whom it can be believed, and answered before any work."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from aiohttp import web

from .. import telemetry
from ..model.settings import WebhookSettings
from .deliveries import Nudge, delivery_id, has_proof, nudge, refusal
from .limits import Bucket, Deliveries

log = structlog.get_logger(__name__)

READ_SECONDS = 5.0
"""Time a sender has for its body."""
TOLD_SECONDS = 60.0
"""Pause between log lines on refusals of one kind."""

OnNudge = Callable[[Nudge], None]
"""Called at once in the server's thread, and must not block."""


class Hook:
    """One endpoint of one provider. Secrets are read at use, so that a rotated one counts at once."""

    def __init__(self, settings: WebhookSettings, on_nudge: OnNudge) -> None:
        self.settings = settings
        self._on_nudge = on_nudge
        self._deliveries = Deliveries()
        self._bucket = Bucket(settings.per_second, settings.burst)
        self._told: dict[str, float] = {}
        files = (settings.secret_file, settings.previous_secret_file)
        self._secret_files = [_SecretFile(file) for file in files if file is not None]

    async def answer(self, request: web.Request) -> web.Response:
        """202, or a refusal that says nothing of why."""
        result, response = await self._answered(request)
        telemetry.webhook(self.settings.provider, result)
        if response.status >= 400:
            self._tell(result)
        return response

    async def _answered(self, request: web.Request) -> tuple[str, web.Response]:
        provider, limit = self.settings.provider, self.settings.max_bytes
        if wait := self._bucket.take(time.monotonic()):
            return "too-many", web.Response(status=429, headers={"Retry-After": str(int(wait) + 1)})
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not has_proof(provider, headers):
            return "no-proof", web.Response(status=401)
        if (request.content_length or 0) > limit:
            return "too-large", web.Response(status=413)
        body = await _read(request, limit)
        if body is None:
            return "too-slow", web.Response(status=408)
        if len(body) > limit:
            return "too-large", web.Response(status=413)
        if why := refusal(provider, headers, body, self._secrets(), time.time()):
            return why, web.Response(status=401)
        if self._deliveries.came_before(delivery_id(provider, headers, body), time.time()):
            return "repeated", web.Response(status=202)
        found = nudge(provider, headers, body)
        if found.nothing:
            return "nothing", web.Response(status=202)
        self._on_nudge(found)
        return "taken", web.Response(status=202)

    def _secrets(self) -> list[str]:
        return [secret for file in self._secret_files if (secret := file.read())]

    def _tell(self, result: str) -> None:
        """Once a minute for each kind: a stranger must not be able to fill the log."""
        now = time.monotonic()
        if now - self._told.get(result, -TOLD_SECONDS) >= TOLD_SECONDS:
            self._told[result] = now
            log.warning("webhook refused", path=self.settings.path, reason=result)


async def _read(request: web.Request, limit: int) -> bytes | None:
    """The body, at most one byte more than the limit; None where it did not come in time."""
    found = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.content.iter_chunked(64 * 1024):
                found += chunk[: limit + 1 - len(found)]
                if len(found) > limit:
                    break
    except TimeoutError:
        return None
    return bytes(found)


class _SecretFile:
    """Read again only where it is another than before: a burst of deliveries should wait for no disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[int, int, int] | None = None
        self._secret = ""

    def read(self) -> str:
        """Empty where it cannot be read: then nobody is believed."""
        try:
            found = self._path.stat()
            version = (found.st_ino, found.st_mtime_ns, found.st_size)
            if version != self._known:
                self._secret = self._path.read_text().strip()
                self._known = version
                telemetry.register_secret(self._secret)
        except (OSError, UnicodeDecodeError) as error:
            log.warning("webhook secret unreadable", file=str(self._path), message=str(error))
            self._secret, self._known = "", None
        return self._secret
