"""How to log in to a forge. Tokens and keys are read when they are used, so a rotated one counts at once."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.errors import InvalidSpec, NotPermitted
from reconciler.model.settings import GitHubApp
from reconciler.repo.github_app import claim
from reconciler.telemetry import register_secret

from .errors import Rejected
from .wire import Address, Wire

RENEW_SECONDS = 300.0
"""An installation's token is good for an hour, and is replaced this long before its end."""


class TokenFile:
    """A token from a file; `form` makes the headers of it."""

    def __init__(self, path: Path, form: Callable[[str], Mapping[str, str]]) -> None:
        self._path, self._form = path, form

    async def headers(self) -> Mapping[str, str]:
        return self._form(secret(self._path, "forge.tokenFile"))

    def refused(self) -> None:
        """The file is read again anyway."""


class AppKey:
    """A GitHub App speaking for itself."""

    def __init__(self, app: GitHubApp) -> None:
        self._app = app

    async def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {claim(self._app)}"}

    def refused(self) -> None:
        """The next is signed anew anyway."""


class Installation:
    """An App in one organization; its tokens reach the one repository only."""

    def __init__(self, app: GitHubApp, address: Address) -> None:
        self.app = Wire(address, AppKey(app))
        self._path = f"/app/installations/{app.installation_id}/access_tokens"
        self._repository = address.repository.partition("/")[2]
        self._token, self._renew_at = "", 0.0

    async def headers(self) -> Mapping[str, str]:
        if time.time() >= self._renew_at:
            need = "an App that is installed for this repository"
            asked = {"repositories": [self._repository]}
            try:
                self._token, self._renew_at = await self.app.ask(self._path, asked, _token, need)
            except Rejected as error:
                raise InvalidSpec(
                    f"forge.repository: the App is not installed for {self._repository}: {error.said}"
                ) from None
            register_secret(self._token)
        return {"Authorization": f"Bearer {self._token}"}

    def refused(self) -> None:
        self._renew_at = 0.0


def _token(answer: Any) -> tuple[str, float]:
    """The token, and when to replace it, in epoch seconds."""
    ends = datetime.fromisoformat(answer["expires_at"])
    return str(answer["token"]), ends.timestamp() - RENEW_SECONDS


def secret(path: Path, setting: str) -> str:
    """The file's content, known to the redactor from now on."""
    try:
        value = path.read_text().strip()
    except (OSError, ValueError) as error:
        raise NotPermitted(f"{setting}: {path} cannot be read: {getattr(error, 'strerror', error)}") from None
    if not value:
        raise NotPermitted(f"{setting}: {path} is empty")
    register_secret(value)
    return value
