"""What a registry's refusal means: its class, the words of the registry and what to change."""

import httpx
from pydantic import BaseModel, ValidationError

from .errors import ArtifactError, ErrorClass

MAX_RETRY_AFTER_S = 60.0
_MAX_TOLD = 500
_MISSING = {"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "BLOB_UPLOAD_UNKNOWN"}
_MISNAMED = {"NAME_INVALID", "TAG_INVALID"}
_REMEDIES: dict[ErrorClass, str] = {
    "RegistryUnauthorized": (
        "put a valid login for this registry into the Secret that the workspace names "
        "(output.imagePushSecret for a push, imagePullSecrets beside the image for a pull)"
    ),
    "RegistryForbidden": (
        "grant the login of that Secret the permission {permission} on this repository, "
        "or change the workspace's image"
    ),
    "RegistryNotFound": (
        "check the workspace's image for repository and tag, create the repository where the registry "
        "does not by itself, and name a Secret that may see it"
    ),
    "RegistryQuota": (
        "free space or raise the quota of the registry, wait for its rate limit, "
        "or change the workspace's image to another registry"
    ),
    "RegistryUnavailable": "it is tried again; check that the registry is up and reachable from the pod",
    "BadConfig": "change the workspace's image to a name that the registry takes",
    "ArtifactCorrupt": "it is tried again; check the network between pod and registry",
}


class _Error(BaseModel):
    code: str = ""
    message: str | None = ""


class _Errors(BaseModel):
    errors: list[_Error] = []


def refusal(response: httpx.Response, where: str, permission: str, known: bool) -> ArtifactError:
    """`where` is the image; `permission` is `pull` or `pull,push`; `known` whether a login was given."""
    codes, words = _told(response)
    error_class = _class(response, codes, words.lower(), known)
    message = f"{where}: {response.request.method} answered {response.status_code}{words and ': ' + words}"
    failure = ArtifactError(error_class, message, _REMEDIES[error_class].format(permission=permission))
    passing = error_class == "RegistryUnavailable" and response.status_code not in (501, 505)
    rate = response.status_code == 429 and "quota" not in words.lower()
    failure.retry = passing or rate or error_class == "ArtifactCorrupt"
    failure.retry_after = _retry_after(response)
    return failure


def unavailable(where: str, error: httpx.RequestError | httpx.InvalidURL) -> ArtifactError:
    """No answer at all."""
    told = str(error) or type(error).__name__
    remedy = _REMEDIES["RegistryUnavailable"]
    if "CERTIFICATE_VERIFY_FAILED" in told:
        remedy = "name the registry's certificate authority in the environment variable SSL_CERT_FILE"
    return ArtifactError("RegistryUnavailable", f"{where}: {told}", remedy, retry=True)


def _class(response: httpx.Response, codes: set[str], words: str, known: bool) -> ErrorClass:
    status = response.status_code
    if status in (413, 429, 507) or "TOOMANYREQUESTS" in codes or (status == 403 and "quota" in words):
        return "RegistryQuota"
    if status == 401:
        # With this word the login was good for a token, the token not for what was asked.
        lacking = "insufficient_scope" in response.headers.get("www-authenticate", "")
        return "RegistryForbidden" if lacking and known else "RegistryUnauthorized"
    if codes & _MISNAMED:
        return "BadConfig"
    if status == 404 or codes & _MISSING:
        return "RegistryNotFound"
    if "DIGEST_INVALID" in codes:
        return "ArtifactCorrupt"
    return "RegistryUnavailable" if status >= 500 or status in (408, 416) else "RegistryForbidden"


def _told(response: httpx.Response) -> tuple[set[str], str]:
    """The codes of the distribution specification, and the words that came with them."""
    try:
        errors = _Errors.model_validate_json(response.content).errors
    except ValidationError:
        return set(), " ".join(response.text[:_MAX_TOLD].split())
    words = "; ".join(f"{error.code} {error.message or ''}".strip() for error in errors)
    return {error.code for error in errors}, words[:_MAX_TOLD]


def _retry_after(response: httpx.Response) -> float:
    """Seconds; a date is not worth reading."""
    asked = response.headers.get("retry-after", "")
    return min(float(asked), MAX_RETRY_AFTER_S) if asked.isascii() and asked.isdigit() else 0.0
