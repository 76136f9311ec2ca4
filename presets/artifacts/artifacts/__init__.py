"""Adapters and data sets in OCI registries: found, pushed and pulled. Shared by the runtime images."""

from .credentials import Credentials
from .errors import ArtifactError, ErrorClass, RuntimeFailure
from .pull import Pulled, pull
from .push import Found, Pushed, find, push_adapter, require_push
from .reference import Reference
from .registry import Registry

__all__ = [
    "ArtifactError",
    "Credentials",
    "ErrorClass",
    "Found",
    "Pulled",
    "Pushed",
    "Reference",
    "Registry",
    "RuntimeFailure",
    "find",
    "pull",
    "push_adapter",
    "require_push",
]
