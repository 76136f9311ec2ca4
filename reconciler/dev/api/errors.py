"""Refusals, each rendered as the `Status` body that Kubernetes clients understand."""

from collections.abc import Mapping, Sequence
from typing import Any

Cause = Mapping[str, str]

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    504: "Timeout",
}


class ApiError(Exception):
    """One refused request; `subject` is (group, kind or plural, name)."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        subject: tuple[str, str, str] | None = None,
        causes: Sequence[Cause] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = REASONS[code] if reason is None else reason
        self.subject = subject
        self.causes = causes
        self.retry_after: float | None = None

    def status(self) -> dict[str, Any]:
        body = status("Failure", message=self.message, reason=self.reason, code=self.code)
        details: dict[str, Any] = {}
        if self.subject:
            group, kind, name = self.subject
            details = {k: v for k, v in (("name", name), ("group", group), ("kind", kind)) if v}
        if self.causes:
            details["causes"] = [dict(cause) for cause in self.causes]
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        if details:
            body["details"] = details
        return body


def status(result: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": result, **fields}


def qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> ApiError:
    return ApiError(404, f'{qualified(plural, group)} "{name}" not found', subject=(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> ApiError:
    message = f'{qualified(plural, group)} "{name}" already exists'
    return ApiError(409, message, reason="AlreadyExists", subject=(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return ApiError(409, message, subject=(group, plural, name))


def forbidden(subject: tuple[str, str, str], why: str, causes: Sequence[Cause] = ()) -> ApiError:
    group, plural, name = subject
    message = f'{qualified(plural, group)} "{name}" is forbidden: {why}'
    return ApiError(403, message, subject=subject, causes=causes)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    parts = [f"{c['field']}: {c['message']}" for c in causes]
    text = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    message = f'{qualified(kind, group)} "{name}" is invalid: {text}'
    return ApiError(422, message, subject=(group, kind, name), causes=causes)


def cause(reason: str, field: str, message: str) -> Cause:
    """`reason` is FieldValueRequired, FieldValueInvalid, FieldValueDuplicate, and so on."""
    return {"reason": reason, "message": message, "field": field}


def expired(message: str = "The resourceVersion for the provided watch is too old.") -> ApiError:
    return ApiError(410, message)
