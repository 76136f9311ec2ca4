"""How a registry's challenge (401, `WWW-Authenticate`) is answered: Basic, or a Bearer token."""

import re
from dataclasses import dataclass

import httpx

from . import azure
from .credentials import Login
from .documents import Token, read
from .errors import ArtifactError
from .reference import Reference
from .refusals import refusal

_BEARER = re.compile(r"\bbearer\s+(.*)", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass
class Authorization:
    """`header` is sent with each request to the registry; `actions` is `pull` or `pull,push`."""

    http: httpx.Client
    reference: Reference
    login: Login
    actions: str
    header: str = ""

    def renew(self, challenge: str) -> bool:
        """Whether there is something new to try."""
        before = self.header
        if bearer := _BEARER.search(challenge):
            self.header = f"Bearer {self._token(dict(_PARAMETER.findall(bearer[1])))}"
        else:
            self.header = self.login.basic
        return self.header != before

    def _token(self, challenge: dict[str, str]) -> str:
        if self.login.bearer:
            return self.login.bearer
        realm = httpx.URL(challenge.get("realm", ""))
        scope = f"repository:{self.reference.repository}:{self.actions}"
        query = {"service": challenge.get("service", ""), "scope": scope}
        if self.login.identity or self.login.workload:
            return self._granted(realm, query)
        headers = {"Authorization": self.login.basic} if self.login.basic else {}
        return self._read(self.http.get(realm.copy_merge_params(query), headers=headers))

    def _granted(self, realm: httpx.URL, query: dict[str, str]) -> str:
        """For a refresh token, which is the registry's own or, at Azure's, Entra's to be exchanged first."""
        identity, registry = self.login.identity, httpx.URL(self.reference.url)
        exchanges = (realm.netloc, realm.path) == (registry.netloc, "/oauth2/token")
        if identity:
            answer = self._refresh(realm, query, identity)
            if not (exchanges and answer.status_code in (400, 401)):
                return self._read(answer)
        elif not exchanges:
            raise _unauthorized(f"{self.reference}: tokens come from {realm.host}, not from the registry")
        entra = identity or azure.entra_token(self.http)
        origin = str(realm.join("/")).rstrip("/")
        own = azure.exchange(self.http, origin, query["service"], entra)
        return self._read(self._refresh(realm, query, own))

    def _refresh(self, realm: httpx.URL, query: dict[str, str], token: str) -> httpx.Response:
        form = {**query, "grant_type": "refresh_token", "client_id": "reconciler", "refresh_token": token}
        return self.http.post(realm, data=form)

    def _read(self, response: httpx.Response) -> str:
        if not response.is_success:
            where = f"{self.reference} with {self.login.source}: {response.request.url.copy_with(query=None)}"
            failure = refusal(response, where, self.actions, known=False)
            if response.status_code in (400, 401, 403):
                raise _unauthorized(failure.message)
            raise failure
        answer = read(Token, response.content, f"the answer of {response.url.copy_with(query=None)}")
        return answer.token or answer.access_token


def _unauthorized(told: str) -> ArtifactError:
    remedy = "put a login that this registry knows into the Secret that the workspace names for the image"
    return ArtifactError("RegistryUnauthorized", told, remedy)
