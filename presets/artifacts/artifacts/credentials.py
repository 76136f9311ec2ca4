"""Logins from Docker configuration files, as pull and push secrets are mounted (`.dockerconfigjson`)."""

import base64
import binascii
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import azure
from .errors import ArtifactError
from .reference import DOCKER_HUB, Reference

_MAX_BYTES = 1 << 20  # a Secret's limit


@dataclass(frozen=True, slots=True)
class Login:
    """`source` is told in messages; the rest is secret. `identity` is a refresh token, `bearer` a ready one.

    `workload` stands for the pod's own identity at Azure, asked for when it is needed.
    """

    source: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)
    workload: bool = False

    @property
    def basic(self) -> str:
        """The header's value, empty without a password."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode() if self.password else ""


ANONYMOUS = Login("no login")
WORKLOAD = Login("the pod's workload identity", workload=True)


class _Auth(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    auth: str = ""
    username: str = ""
    password: str = ""
    identity: str = Field("", alias="identitytoken")
    bearer: str = Field("", alias="registrytoken")

    def login(self, source: str) -> Login:
        username, password = self.username, self.password
        if self.auth and not password:
            decoded = base64.b64decode(self.auth, validate=True).decode()
            username, _, password = decoded.partition(":")
        return Login(source, username, password.rstrip("\0"), self.identity, self.bearer)


class _File(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    auths: Mapping[str, _Auth] = {}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Logins by registry (and path in it), those of earlier files first."""

    logins: tuple[tuple[str, Login], ...] = ()

    @classmethod
    def from_files(cls, paths: Sequence[Path]) -> Self:
        """Absent files are skipped: an optional Secret that nobody made."""
        return cls(tuple(pair for path in paths if path.is_file() for pair in _read(path)))

    def candidates(self, reference: Reference) -> list[Login]:
        """What to try, in order: each file's entries, its most specific first; the pod's own; none."""
        target = f"{reference.registry}/{reference.repository}"
        found = [login for key, login in self.logins if _covers(key, target)]
        own = [WORKLOAD] if azure.has_identity(reference.registry) else []
        return [*found, *own, ANONYMOUS]


def _read(path: Path) -> Iterator[tuple[str, Login]]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
        auths = _File.model_validate_json(path.read_bytes()).auths
        logins = [(_key(name), auth.login(str(path))) for name, auth in auths.items()]
    except (OSError, ValueError, binascii.Error) as error:
        remedy = "give a Secret of type kubernetes.io/dockerconfigjson"
        raise ArtifactError("BadConfig", f"{path}: no Docker configuration: {_why(error)}", remedy) from None
    yield from sorted(logins, key=lambda pair: -len(pair[0]))


def _why(error: Exception) -> str:
    """Without the content, which is secret."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    if isinstance(error, UnicodeDecodeError | binascii.Error):
        return "an `auth` is not base64 of user:password"
    return str(error)


def _key(name: str) -> str:
    """Registry and path; old files name Docker Hub `https://index.docker.io/v1/`."""
    key = name.partition("://")[2] or name
    host, _, path = key.strip("/").partition("/")
    host = DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host.lower()
    return host if path in ("", "v1", "v2") else f"{host}/{path}"


def _covers(key: str, target: str) -> bool:
    """As the kubelet matches: `*` stands for one label of a host, a path for what lies below it."""
    key_host, _, key_path = key.partition("/")
    host, _, path = target.partition("/")
    labels, pattern = host.split("."), key_host.split(".")
    same = len(labels) == len(pattern) and all(map(fnmatch.fnmatchcase, labels, pattern))
    return same and (not key_path or f"{path}/".startswith(f"{key_path}/"))
