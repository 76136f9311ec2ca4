"""Adapters into a registry, and what a registry already has."""

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .blobs import begin, upload
from .credentials import Credentials
from .documents import INDEXES, OCI_MANIFEST, Manifest, read
from .errors import ArtifactError
from .image import Image, pack
from .reference import Reference
from .registry import Registry, Stored, admitted

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pushed:
    """`size` is that of the layer, in bytes."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Found:
    """`size` is that of all layers, in bytes."""

    digest: str
    size: int
    annotations: Mapping[str, str]


def require_push(image: str, *, credentials: Credentials) -> None:
    """Raises what a push would end in, as far as a registry tells at its beginning: before a training."""
    admitted(_target(image), credentials, "pull,push", _begin_and_cancel)


def push_adapter(
    folder: Path, image: str, *, credentials: Credentials, annotations: Mapping[str, str], base_model: str
) -> Pushed:
    """`adapter_config.json` and `adapter_model.safetensors` of `folder`, normalised, as the image `image`.

    Equal files and annotations give an equal digest. Digest and size are verified here and in the registry.
    `folder` needs room for a second copy while it runs.
    """
    reference = _target(image)
    for left in folder.glob(".push-*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=".push-", dir=folder) as temporary:
        packed = pack(folder, Path(temporary) / "layer.tar", base_model, annotations)
        admitted(reference, credentials, "pull,push", lambda registry: _push(registry, packed))
    LOG.info("pushed %s@%s, %d bytes", reference, packed.digest, packed.layer.size)
    return Pushed(packed.digest, packed.layer.size)


def find(image: str, *, credentials: Credentials) -> Found | None:
    """What `image` names, None where there is no such tag or repository."""
    try:
        # Registries that make a repository at its first push show it to those who may push alone.
        return admitted(Reference.parse(image), credentials, "pull,push", _find)
    except ArtifactError as failure:
        if failure.error_class == "RegistryNotFound":
            return None
        raise


def _target(image: str) -> Reference:
    reference = Reference.parse(image)
    if not reference.tag or reference.digest:
        raise ArtifactError(
            "BadConfig", f"{image}: an image is pushed to a tag", "write registry/repository:tag"
        )
    return reference


def _begin_and_cancel(registry: Registry) -> None:
    """Not every registry can cancel; all forget uploads that nobody ends."""
    location = begin(registry)
    with contextlib.suppress(ArtifactError):
        registry.send("DELETE", location)


def _push(registry: Registry, image: Image) -> None:
    for blob in (image.layer, image.config):
        upload(registry, blob)
    tag = registry.reference.tag
    registry.put_manifest(tag, image.manifest, OCI_MANIFEST)
    there = registry.manifest(tag)
    if there.digest != image.digest:
        told = f"{registry.reference}: pushed {image.digest}, but the tag names {there.digest}"
        raise ArtifactError("ArtifactCorrupt", told, "see who else pushes to this tag", retry=True)


def _find(registry: Registry) -> Found:
    stored = registry.manifest(registry.reference.selector)
    if stored.media_type in INDEXES:
        return Found(stored.digest, 0, {})
    manifest = _manifest(registry, stored)
    return Found(stored.digest, sum(layer.size for layer in manifest.layers), manifest.annotations)


def _manifest(registry: Registry, stored: Stored) -> Manifest:
    return read(Manifest, stored.content, f"{registry.reference}@{stored.digest}")
