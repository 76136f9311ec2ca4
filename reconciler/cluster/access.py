"""Where the API server is and how to prove who we are, taken from the library's configuration.

Sources, in order: the kubeconfig that the settings name; the pod's own account; `$KUBECONFIG` or
`~/.kube/config`. Credentials that the server refuses are loaded anew (plugins run again, token
files are read again), at most once every few seconds.
"""

import asyncio
import os
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.aio.config.exec_provider import ExecProvider
from kubernetes.aio.config.incluster_config import SERVICE_TOKEN_FILENAME

from reconciler.errors import NotPermitted, Unavailable
from reconciler.model.settings import ClusterSettings

_RENEWAL_PAUSE = 5.0
_BROKEN = (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError)
"""What the library raises for a kubeconfig it cannot use."""


class Access:
    """Address, TLS and credentials of one API server."""

    def __init__(self, settings: ClusterSettings, configuration: Configuration) -> None:
        self._settings = settings
        self._configuration = configuration
        self._renewing = asyncio.Lock()
        self._renewed = float("-inf")
        self._proxy = _environment_proxy(self.server)
        self.tls: ssl.SSLContext = RESTClientObject(configuration).ssl_context

    @classmethod
    async def load(cls, settings: ClusterSettings) -> "Access":
        """Raises Unavailable or NotPermitted with the reason in one sentence."""
        return cls(settings, await _configuration(settings))

    @property
    def server(self) -> str:
        return str(self._configuration.host).rstrip("/")

    @property
    def proxy(self) -> str | None:
        """The kubeconfig's, else the environment's (`HTTPS_PROXY`, `NO_PROXY`)."""
        return self._configuration.proxy or self._proxy

    @property
    def server_hostname(self) -> str | None:
        return self._configuration.tls_server_name or None

    async def authorization(self) -> str:
        """Value of the Authorization header; empty where a certificate or nobody speaks for us."""
        found = (await self._configuration.auth_settings()).get("BearerToken")
        return str(found["value"] or "").strip() if found else ""

    async def renew(self, refused: str) -> bool:
        """Load credentials anew after the server refused `refused`; True where there are others now."""
        async with self._renewing:
            if await self.authorization() == refused and time.monotonic() - self._renewed > _RENEWAL_PAUSE:
                self._configuration = await _configuration(self._settings)
                self._renewed = time.monotonic()
                if self._configuration.cert_file:
                    self.tls.load_cert_chain(self._configuration.cert_file, self._configuration.key_file)
            return await self.authorization() != refused


async def _configuration(settings: ClusterSettings) -> Configuration:
    configuration = Configuration()
    if settings.kubeconfig is None and settings.context is None and _in_cluster():
        try:
            load_incluster_config(client_configuration=configuration)
        except _BROKEN as error:
            raise Unavailable(f"the pod's service account cannot be used: {error}") from error
        return configuration
    source = str(settings.kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    if not any(Path(each).expanduser().is_file() for each in source.split(os.pathsep)):
        raise Unavailable(f"the kubeconfig {source} cannot be used: there is no such file")
    try:
        loader = await load_kube_config(source, settings.context, configuration, persist_config=False)
    except _BROKEN as error:
        raise Unavailable(f"the kubeconfig {source} cannot be used: {_line(error)}") from error
    await _check_plugin(loader, configuration)
    if not str(configuration.host).startswith(("http://", "https://")):
        raise Unavailable(f"the kubeconfig {source} names no http or https server: {configuration.host!r}")
    return configuration


def _in_cluster() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ and Path(SERVICE_TOKEN_FILENAME).exists()


async def _check_plugin(loader: object, configuration: Configuration) -> None:
    """The library only logs that a credential plugin failed, so it is asked again for the reason."""
    user = getattr(loader, "_user", None)
    if not user or "exec" not in user or configuration.api_key or configuration.cert_file:
        return
    try:
        await ExecProvider(user["exec"]).run()
    except _BROKEN as error:
        raise NotPermitted(f"the kubeconfig's credential plugin failed: {_line(error)}") from error
    raise NotPermitted("the kubeconfig's credential plugin gave neither a token nor a certificate")


def _environment_proxy(server: str) -> str | None:
    url = urlsplit(server)
    return None if proxy_bypass(url.netloc) else getproxies().get(url.scheme)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
