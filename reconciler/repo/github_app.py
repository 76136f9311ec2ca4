"""Tokens of a GitHub App's installation: a claim signed with the App's key is exchanged for one that
lasts an hour.

Knows nothing of Git: the same token opens repositories and GitHub's API.
"""

import ssl
import threading
import time
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import httpx
import jwt

from ..errors import NotPermitted, ReconcilerError, Unavailable
from ..model.settings import GitHubApp, GitHubAppForGit
from ..telemetry import register_secret

EARLY_SECONDS = 300.0
"""A token is renewed this long before it expires, so that what begins with it can end with it."""
_CLAIM_SECONDS = 540
"""GitHub takes at most ten minutes, and its clock may be behind ours."""
_SKEW_SECONDS = 60
_TIMEOUT_SECONDS = 10.0


def claim(app: GitHubApp) -> str:
    """What an App shows GitHub for itself, good for nine minutes; raises NotPermitted.

    The key is read now, so a rotated one counts at once.
    """
    now = int(time.time())
    claims = {"iss": str(app.id), "iat": now - _SKEW_SECONDS, "exp": now + _CLAIM_SECONDS}
    try:
        return jwt.encode(claims, app.key_file.read_bytes(), algorithm="RS256")
    except OSError as error:
        raise NotPermitted(f"keyFile {app.key_file} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, jwt.PyJWTError):
        raise NotPermitted(f"keyFile {app.key_file} holds no RSA private key in PEM") from None


class InstallationToken:
    """One installation's token, kept until it nears its end; blocking, and safe for several threads."""

    def __init__(self, app: GitHubAppForGit, ca_file: Path | None = None, proxy: str | None = None) -> None:
        self._address = f"{app.url.rstrip('/')}/app/installations/{app.installation_id}/access_tokens"
        self._app = app
        self._ca_file = ca_file
        self._proxy = proxy
        self._token = ""
        self._expires = 0.0
        self._lock = threading.Lock()

    def get(self) -> str:
        """A token good for five minutes at least; raises NotPermitted or Unavailable."""
        with self._lock:
            if time.time() > self._expires - EARLY_SECONDS:
                self._token, self._expires = self._granted()
                register_secret(self._token)
            return self._token

    def forget(self) -> None:
        """To be called when a token was refused: it may have been revoked before its time."""
        with self._lock:
            self._expires = 0.0

    def _granted(self) -> tuple[str, float]:
        headers = {"Authorization": f"Bearer {claim(self._app)}", "Accept": "application/vnd.github+json"}
        try:
            with httpx.Client(verify=self._trust(), proxy=self._proxy, timeout=_TIMEOUT_SECONDS) as client:
                answer = client.post(self._address, headers=headers)
            if answer.status_code != httpx.codes.CREATED:
                raise self._refusal(answer.status_code)
            said = answer.json()
            return str(said["token"]), datetime.fromisoformat(said["expires_at"]).timestamp()
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._address}: {error or type(error).__name__}") from None
        except (ValueError, KeyError, TypeError):
            raise Unavailable(f"{self._address}: the answer holds no token") from None

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        try:
            if self._ca_file is not None:
                context.load_verify_locations(self._ca_file)
        except OSError as error:
            raise NotPermitted(f"caFile {self._ca_file} cannot be used: {error.strerror or error}") from None
        return context

    def _refusal(self, status: int) -> ReconcilerError:
        if status == httpx.codes.UNAUTHORIZED:
            return NotPermitted(f"{self._address}: the App is not known by this key; check id and keyFile")
        if status in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND):
            return NotPermitted(f"{self._address}: no such installation of the App; check installationId")
        return Unavailable(f"{self._address}: GitHub answered {status}")


@lru_cache(maxsize=32)
def installation_token(app: GitHubAppForGit, ca_file: Path | None, proxy: str | None) -> InstallationToken:
    """The one that all users of the same settings share."""
    return InstallationToken(app, ca_file, proxy)
