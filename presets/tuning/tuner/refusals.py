"""What went wrong with a download, told so that it can be mended; and whether trying again may do."""

import ssl
from datetime import UTC, datetime

import httpx
from artifacts.errors import RuntimeFailure

from .links import expiry, shown

_TRANSIENT = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505}
_SIGN = "sign a fresh link and put it into tuning.input.urls"
_LATER = "try again later; what came is kept"
_REMEDIES = {
    401: "put a link with a login or a signature into tuning.input.urls",
    403: f"check that the link may be read by anyone who has it, or {_SIGN}",
    404: "correct the link in tuning.input.urls: there is nothing at its address",
    410: "replace the link in tuning.input.urls: what was there is gone",
}


class DownloadError(RuntimeFailure):
    """`DownloadFailed`."""

    def __init__(self, message: str, remedy: str, retry: bool, retry_after: float = 0.0) -> None:
        super().__init__("DownloadFailed", message, remedy, retry)
        self.retry_after = retry_after
        """Seconds the server asked to wait."""


def answered(response: httpx.Response, asked: httpx.URL) -> DownloadError:
    """For a status that brings no content; `asked` is the URL before redirects."""
    status, source = response.status_code, shown(asked)
    told = f"{source} answered {status} {response.reason_phrase}".rstrip()
    if response.url.host != asked.host:
        told += f" (from {response.url.host})"
    ends = expiry(response.request.url) or expiry(asked)
    if status in (401, 403) and ends and ends <= datetime.now(UTC):
        return DownloadError(
            f"{told}: the link's signature expired at {ends:%Y-%m-%d %H:%M} UTC", _SIGN, False
        )
    retry = status in _TRANSIENT
    remedy = _LATER if retry else _REMEDIES.get(status, "correct the link in tuning.input.urls")
    return DownloadError(told, remedy, retry, _seconds(response.headers.get("retry-after", "")))


def broken(error: httpx.HTTPError, asked: httpx.URL, came: int) -> DownloadError:
    """For a connection that failed after `came` bytes. httpx's own words are left out: they may hold URLs."""
    source = shown(asked)
    if isinstance(error, httpx.TooManyRedirects):
        return DownloadError(f"{source} redirects without end", "use the link it should lead to", False)
    if isinstance(error, httpx.UnsupportedProtocol | httpx.RemoteProtocolError) and "location" in str(error):
        return DownloadError(f"{source} redirects to a malformed address", "use another link", False)
    if cause := _certificate(error):
        remedy = "use a link whose certificate is valid, or give the image the authority by SSL_CERT_FILE"
        return DownloadError(f"{source}: the server's certificate is refused: {cause}", remedy, False)
    told = f"broke off at byte {came}" if came else "cannot be fetched"
    return DownloadError(f"{source} {told}: {_reason(error)}", _LATER, True)


def incomplete(asked: httpx.URL, told: str) -> DownloadError:
    return DownloadError(f"{shown(asked)} {told}", _LATER, True)


def _certificate(error: BaseException | None) -> str:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return ""


def _reason(error: BaseException) -> str:
    """The kind of the failure and what the system says of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"{type(error).__name__}, {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0
