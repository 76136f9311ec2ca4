"""One repository of an OCI registry (distribution specification 1.1), spoken to with one login.

Transient failures are tried again here; what is raised is final for this login. Proxies and `SSL_CERT_FILE`
are taken from the environment as httpx does; a registry on this machine is spoken to directly.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import httpx

from .credentials import ANONYMOUS, Credentials, Login
from .documents import INDEXES, MANIFESTS
from .errors import ArtifactError
from .reference import Reference, hostname, is_loopback
from .refusals import refusal, unavailable
from .tokens import Authorization

LOG = logging.getLogger(__name__)
ATTEMPTS = 6
FIRST_WAIT_S = 0.5
"""Doubled after each attempt: 15 s in all."""
MAX_DOCUMENT_BYTES = 4 << 20
"""Manifests and configs, as registries limit them."""
_TIMEOUT = httpx.Timeout(60, connect=15)
_NEXT_LOGIN = ("RegistryUnauthorized", "RegistryForbidden", "RegistryNotFound")

Body = bytes | Callable[[], Iterator[bytes]]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest as the registry holds it, its digest verified."""

    content: bytes
    media_type: str
    digest: str


class Registry:
    """`actions` is `pull` or `pull,push`. A context manager."""

    def __init__(self, reference: Reference, login: Login = ANONYMOUS, actions: str = "pull") -> None:
        self.reference, self.login, self.actions = reference, login, actions
        self._url = httpx.URL(reference.url)
        self._http = httpx.Client(
            timeout=_TIMEOUT,
            follow_redirects=True,
            headers={"Accept-Encoding": "identity", "User-Agent": "reconciler-artifacts"},
            trust_env=not is_loopback(hostname(reference.registry)),
            event_hooks={"request": [_require_https]},
        )
        self._authorization = Authorization(self._http, reference, login, actions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def manifest(self, selector: str) -> Stored:
        """By tag or digest; what was asked for, what was announced and what came must agree."""
        accept = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        response = self.request("GET", f"manifests/{selector}", accept)
        digest = "sha256:" + hashlib.sha256(response.content).hexdigest()
        announced = response.headers.get("docker-content-digest", digest)
        asked = selector if ":" in selector else digest
        if not digest == announced == asked:
            told = f"{self.reference}: the manifest is {digest}; announced {announced}, asked for {asked}"
            raise ArtifactError("ArtifactCorrupt", told, "push the image again")
        return Stored(response.content, response.headers.get("content-type", "").partition(";")[0], digest)

    def put_manifest(self, selector: str, content: bytes, media_type: str) -> str:
        """Its digest, which the registry must have found as well."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        response = self.request("PUT", f"manifests/{selector}", {"Content-Type": media_type}, content)
        found = response.headers.get("docker-content-digest", digest)
        if found != digest:
            told = f"{self.reference}: pushed the manifest {digest}, the registry took {found}"
            raise ArtifactError("ArtifactCorrupt", told, "push the image again", retry=True)
        return digest

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Body = b""
    ) -> httpx.Response:
        """As `send`, again after what may pass; for what may be sent twice."""
        for attempt in range(1, ATTEMPTS):
            try:
                return self.send(method, path, headers, body)
            except ArtifactError as failure:
                if not failure.retry:
                    raise
                pause(attempt, failure)
        return self.send(method, path, headers, body)

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Body = b""
    ) -> httpx.Response:
        """An answer of success, read whole. `path` is below the repository, or a URL that it gave."""
        response = self.stream(method, path, headers, body)
        try:
            return _whole(response)
        except httpx.TransportError as error:
            raise unavailable(str(self.reference), error) from error
        finally:
            response.close()

    def stream(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Body = b""
    ) -> httpx.Response:
        """As `send`, not read yet and to be closed."""
        try:
            response = self._open(method, path, headers or {}, body)
            challenge = response.headers.get("www-authenticate", "")
            if response.status_code == 401 and self._authorization.renew(challenge):
                response.close()
                response = self._open(method, path, headers or {}, body)
            if response.is_success:
                return response
            answer = _whole(response)
        except (httpx.TransportError, httpx.TooManyRedirects, httpx.InvalidURL) as error:
            raise unavailable(str(self.reference), error) from error
        raise refusal(answer, f"{self.reference} with {self.login.source}", self.actions, self._known)

    @property
    def _known(self) -> bool:
        return self.login is not ANONYMOUS

    def _open(self, method: str, path: str, headers: Mapping[str, str], body: Body) -> httpx.Response:
        url = httpx.URL(f"{self._url}/").join(path)
        own = url.netloc == self._url.netloc and url.scheme == self._url.scheme
        login = {"Authorization": self._authorization.header} if own and self._authorization.header else {}
        content = body if isinstance(body, bytes) else body()
        request = self._http.build_request(method, url, headers={**login, **headers}, content=content)
        return self._http.send(request, stream=True)


def admitted(
    reference: Reference, credentials: Credentials, actions: str, work: Callable[[Registry], Result]
) -> Result:
    """`work` with the first login that the registry does not refuse it to; else the most telling refusal."""
    refusals: list[ArtifactError] = []
    for login in credentials.candidates(reference):
        try:
            with Registry(reference, login, actions) as registry:
                return work(registry)
        except ArtifactError as failure:
            if failure.error_class not in _NEXT_LOGIN:
                raise
            LOG.info("%s", failure)
            refusals.append(failure)
    raise max(refusals, key=lambda failure: _NEXT_LOGIN.index(failure.error_class))


def pause(attempt: int, failure: ArtifactError) -> None:
    """Before another attempt, as long as the registry asked for or longer each time."""
    seconds = max(failure.retry_after, FIRST_WAIT_S * 2 ** (attempt - 1))
    LOG.warning("%s: again in %.1f s", failure.message, seconds)
    time.sleep(seconds)


def _whole(response: httpx.Response) -> httpx.Response:
    """A copy with its content, which has to be small."""
    content = b""
    for chunk in response.iter_raw(1 << 16):
        content += chunk
        if len(content) > MAX_DOCUMENT_BYTES:
            told = f"{response.url}: an answer of more than {MAX_DOCUMENT_BYTES} bytes"
            raise ArtifactError("ArtifactUnsafe", told, "look at what the registry answers there")
    response.close()
    headers = {key: value for key, value in response.headers.items() if not key.endswith("-encoding")}
    return httpx.Response(response.status_code, headers=headers, content=content, request=response.request)


def _require_https(request: httpx.Request) -> None:
    """Also after redirects and for token servers, which see logins."""
    if request.url.scheme != "https" and not is_loopback(request.url.host):
        told = f"{request.url.copy_with(query=None)} is not https"
        raise ArtifactError(
            "RegistryForbidden", told, "use a registry with TLS; plain HTTP is for loopback only"
        )
