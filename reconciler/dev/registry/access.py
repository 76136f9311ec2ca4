"""Who may do what in a registry: HTTP Basic, or a Bearer token for which Basic credentials are exchanged."""

import base64
import hmac
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from .content import Refused

TOKEN_PATH = "/token"
_ACTIONS = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Basic:
    """Passwords by user; each user may do everything."""

    users: Mapping[str, str] = field(repr=False)

    def admit(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").encode(errors="replace")
        pairs = [base64.b64encode(f"{user}:{password}".encode()) for user, password in self.users.items()]
        if not any(hmac.compare_digest(given, b"Basic " + pair) for pair in pairs):
            raise _unauthorized('Basic realm="development registry"')


@dataclass(frozen=True, slots=True)
class Token:
    """Tokens good for `seconds` and for the scopes they were asked for; this process alone knows them."""

    login: Basic
    seconds: int = 300
    _granted: dict[str, tuple[float, set[str]]] = field(default_factory=dict, repr=False)

    async def issue(self, request: web.Request) -> web.Response:
        token, scopes = secrets.token_urlsafe(32), " ".join(request.query.getall("scope", [])).split()
        self._granted[token] = (time.monotonic() + self.seconds, set(_single(scopes)))
        return web.json_response({"token": token, "access_token": token, "expires_in": self.seconds})

    def admit(self, request: web.Request) -> None:
        if request.path == TOKEN_PATH:
            return self.login.admit(request)
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        until, granted = self._granted.get(token, (0.0, set()))
        needs = _needed(request)
        if kind != "Bearer" or until <= time.monotonic() or not granted.issuperset(_single(needs)):
            realm = f'Bearer realm="{request.url.origin()}{TOKEN_PATH}",service="registry"'
            raise _unauthorized(realm + (f',scope="{" ".join(needs)}"' if needs else ""))
        return None


def _unauthorized(challenge: str) -> Refused:
    return Refused(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})


def _needed(request: web.Request) -> list[str]:
    """Scopes, as in the Docker token specification: `repository:NAME:ACTIONS`."""
    if (name := request.match_info.get("name")) is None:
        return ["registry:catalog:*"] if request.path == "/v2/_catalog" else []
    source = request.query.get("from")
    mounted = [f"repository:{source}:pull"] if source else []
    return [f"repository:{name}:{_ACTIONS.get(request.method, 'pull,push')}", *mounted]


def _single(scopes: Iterable[str]) -> Iterable[str]:
    """Scopes of one action each."""
    for scope in scopes:
        resource, _, actions = scope.rpartition(":")
        yield from (f"{resource}:{action}" for action in actions.split(","))
