"""The OCI image documents as they come from strangers: only what is needed here is read and checked."""

import json
from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from .errors import ArtifactError

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_INDEX)
LAYERS = (OCI_LAYER, f"{OCI_LAYER}+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip")

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Document = TypeVar("Document", bound=BaseModel)


class Platform(BaseModel):
    architecture: str = ""
    os: str = ""


class Descriptor(BaseModel):
    media_type: str = Field("", alias="mediaType")
    digest: Digest
    size: int = Field(ge=0)
    platform: Platform = Platform()


class Manifest(BaseModel):
    config: Descriptor
    layers: list[Descriptor] = Field(max_length=1000)
    annotations: Mapping[str, str] = {}


class Index(BaseModel):
    manifests: list[Descriptor] = Field(max_length=1000)


class RootFilesystem(BaseModel):
    diff_ids: list[Digest] = []


class Config(BaseModel):
    """Images built by Kaito's pusher have nothing but `rootfs.diff_ids`, others (artifacts) not even that."""

    rootfs: RootFilesystem = RootFilesystem()


class Token(BaseModel):
    """A token server's answer; which of the names it uses depends on its kind."""

    token: str = ""
    access_token: str = ""
    refresh_token: str = ""


def read(model: type[Document], content: bytes, what: str) -> Document:
    """`content` as `model`; `what` names it in the refusal."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        message = f"{what} is no {model.__name__.lower()}: {where and where + ': '}{first['msg']}"
        raise ArtifactError("ArtifactCorrupt", message, "push the image again") from None


def canonical(document: Mapping[str, object]) -> bytes:
    """Equal bytes for equal content."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
