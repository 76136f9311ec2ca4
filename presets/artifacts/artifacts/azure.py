"""Tokens for Azure Container Registry: Entra's, of the pod or of a Secret, exchanged for the registry's own.

After Microsoft's description of the registry's OAuth 2 endpoints: `/oauth2/exchange` gives a refresh token,
`/oauth2/token` an access token. The pod's identity is the one that AKS workload identity mounts.
"""

import os
from pathlib import Path

import httpx

from .documents import Token, read
from .errors import ArtifactError
from .reference import hostname, is_loopback

_DOMAINS = (".azurecr.io", ".azurecr.cn", ".azurecr.us")
_SCOPE = "https://containerregistry.azure.net/.default"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_VARIABLES = ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID")


def has_identity(registry: str) -> bool:
    """Whether this pod has an identity, and the registry is one that may see its tokens."""
    host = hostname(registry)
    return all(map(os.environ.get, _VARIABLES)) and (host.endswith(_DOMAINS) or is_loopback(host))


def entra_token(http: httpx.Client) -> str:
    """An access token for the pod's identity."""
    file, client, tenant = (os.environ[name] for name in _VARIABLES)
    authority = os.environ.get("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/").rstrip("/")
    form = {
        "grant_type": "client_credentials",
        "client_id": client,
        "scope": _SCOPE,
        "client_assertion_type": _ASSERTION,
        "client_assertion": Path(file).read_text().strip(),
    }
    return _ask(http, f"{authority}/{tenant}/oauth2/v2.0/token", form).access_token


def exchange(http: httpx.Client, origin: str, service: str, entra: str) -> str:
    """The registry's refresh token for Entra's, of whose tokens only access tokens are three dotted parts."""
    grant = "access_token" if entra.count(".") == 2 else "refresh_token"
    form = {"grant_type": grant, "service": service, grant: entra}
    if tenant := os.environ.get("AZURE_TENANT_ID"):
        form["tenant"] = tenant
    return _ask(http, f"{origin}/oauth2/exchange", form).refresh_token


def _ask(http: httpx.Client, url: str, form: dict[str, str]) -> Token:
    response = http.post(url, data=form)
    if response.status_code >= 500 or response.status_code == 429:
        told = f"{url} answered {response.status_code}"
        raise ArtifactError("RegistryUnavailable", told, "it is tried again", retry=True)
    if not response.is_success:
        told = f"{url} answered {response.status_code}: {response.text[:300]}"
        remedy = (
            "renew the token in the Secret, or give the pod's identity AcrPull or AcrPush on the registry"
        )
        raise ArtifactError("RegistryUnauthorized", told, remedy)
    return read(Token, response.content, f"the answer of {url}")
