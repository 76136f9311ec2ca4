"""How work in a runtime image fails: its class, what happened, what to change, whether to try again."""

from typing import Literal

ErrorClass = Literal[
    "BadConfig",
    "BadData",
    "DownloadRefused",
    "DownloadFailed",
    "OutOfMemory",
    "ModelMissing",
    "RegistryUnauthorized",
    "RegistryForbidden",
    "RegistryNotFound",
    "RegistryQuota",
    "RegistryUnavailable",
    "ArtifactCorrupt",
    "ArtifactUnsafe",
    "Interrupted",
    "Bug",
]


class RuntimeFailure(Exception):
    """Ends a container with a termination message; exit code 1 where `retry`, else 2."""

    def __init__(self, error_class: ErrorClass, message: str, remedy: str, retry: bool = False) -> None:
        super().__init__(message)
        self.error_class: ErrorClass = error_class
        self.message, self.remedy, self.retry = message, remedy, retry

    def __str__(self) -> str:
        return f"{self.error_class}: {self.message}; {self.remedy}"


class ArtifactError(RuntimeFailure):
    """A registry or an artifact is to blame; a push that failed so may be tried again without training."""

    retry_after: float = 0.0
    """Seconds the registry asked to wait."""
