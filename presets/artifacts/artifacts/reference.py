"""Names of images: registry/repository with a tag, a digest or both, read as Docker reads them."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

from .errors import ArtifactError

DOCKER_HUB = "docker.io"
_DOCKER_HUB_API = "registry-1.docker.io"
_MAX_CHARACTERS = 512

# The grammar of the distribution project's references: components, tags of up to 128 characters.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Reference:
    """`str()` of it is canonical: registry, repository and tag written out."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`latest` of Docker Hub's `library` where the text does not say otherwise."""
        if len(text) > _MAX_CHARACTERS or "://" in text:
            raise _refused(text, f"has no scheme and at most {_MAX_CHARACTERS} characters")
        name, _, digest = text.partition("@")
        registry, path = _split_registry(name)
        repository, _, tag = path.partition(":")
        reference = cls(registry, repository, tag if ":" in path or digest else "latest", digest)
        _check(text, reference, tagged=":" in path, pinned="@" in text)
        return reference

    def __str__(self) -> str:
        tag, digest = self.tag and f":{self.tag}", self.digest and f"@{self.digest}"
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def selector(self) -> str:
        """What its manifest is asked for by."""
        return self.digest or self.tag

    @property
    def url(self) -> str:
        """Of its repository's API."""
        host = _DOCKER_HUB_API if self.registry == DOCKER_HUB else self.registry
        scheme = "http" if is_loopback(hostname(host)) else "https"
        return f"{scheme}://{host}/v2/{self.repository}"


def hostname(registry: str) -> str:
    """Without the port, an IPv6 address without its brackets."""
    return registry[1:].partition("]")[0] if registry.startswith("[") else registry.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether it is this machine, which is spoken to by plain HTTP."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and (set(first) & set(".:[") or first == "localhost" or first != first.lower()):
        registry = DOCKER_HUB if first == "index.docker.io" else first.lower()
    else:
        registry, rest = DOCKER_HUB, name
    alone = registry == DOCKER_HUB and "/" not in rest
    return registry, f"library/{rest}" if alone else rest


def _check(text: str, reference: Reference, tagged: bool, pinned: bool) -> None:
    rules = (
        (_HOST, reference.registry, True, "names a registry as host or host:port"),
        (_REPOSITORY, reference.repository, True, "names a repository in lower case, digits, ._- and /"),
        (_TAG, reference.tag, tagged, "has a tag of letters, digits and ._-, at most 128"),
        (_DIGEST, reference.digest, pinned, "has a digest of sha256: and 64 hexadecimal digits"),
    )
    for pattern, value, needed, rule in rules:
        if needed and not pattern.fullmatch(value):
            raise _refused(text, rule)
    if len(reference.repository) > 255:
        raise _refused(text, "names a repository of at most 255 characters")


def _refused(text: str, rule: str) -> ArtifactError:
    shown = text if len(text) < 200 else text[:200] + "…"
    remedy = "write it as registry/repository:tag"
    return ArtifactError("BadConfig", f"image {shown!r} is no reference: one {rule}", remedy)
