"""An image's files into a folder: adapters, and data sets that come as images."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .blobs import download
from .credentials import Credentials
from .documents import INDEXES, LAYERS, MANIFESTS, Config, Descriptor, Index, Manifest, Platform, read
from .errors import ArtifactError
from .layers import Budget, Parts, apply_layer, remove, safe_parts, unsafe
from .reference import Reference
from .registry import MAX_DOCUMENT_BYTES, Registry, Stored, admitted

LOG = logging.getLogger(__name__)
MAX_BYTES = 100 << 30
"""Of an image, unpacked."""
_PLATFORM = Platform(architecture="amd64", os="linux")
_UNKNOWN = Platform(architecture="unknown", os="unknown")  # attestations beside the images


@dataclass(frozen=True, slots=True)
class Pulled:
    """`digest` is the manifest's, `size` that of the files, in bytes."""

    digest: str
    size: int


def pull(
    image: str, folder: Path, *, credentials: Credentials, under: str = "data", max_bytes: int = MAX_BYTES
) -> Pulled:
    """What `image` holds below `under` becomes the contents of `folder`, in place of what was there.

    Everything is fetched and verified beside it first, in a hidden folder of the same file system, so a pull
    that was stopped anywhere ends right when it is started again.
    """
    reference, within = Reference.parse(image), safe_parts(under)
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".pull-*"):
        remove(left)

    def fetch(registry: Registry) -> Pulled:
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=folder) as temporary:
            return _pull(registry, Path(temporary), within, max_bytes)

    pulled = admitted(reference, credentials, "pull", fetch)
    LOG.info("pulled %s@%s into %s, %d bytes", reference, pulled.digest, folder, pulled.size)
    return pulled


def _pull(registry: Registry, temporary: Path, under: Parts, max_bytes: int) -> Pulled:
    stored = _image(registry)
    manifest = read(Manifest, stored.content, f"{registry.reference}@{stored.digest}")
    root = temporary / "root"
    root.mkdir()
    _unpack(registry, manifest, root, under, max_bytes)
    found = root.joinpath(*under)
    if not found.is_dir():
        told = f"{registry.reference}@{stored.digest} holds no folder {'/'.join(under)}"
        raise ArtifactError("ArtifactCorrupt", told, "name an image that holds an adapter or data there")
    size = sum(path.stat().st_size for path in found.rglob("*") if path.is_file())
    _replace(temporary.parent, temporary, found)
    return Pulled(stored.digest, size)


def _image(registry: Registry) -> Stored:
    """The manifest of the image itself, for this platform where there are several."""
    stored = registry.manifest(registry.reference.selector)
    if stored.media_type in INDEXES:
        index = read(Index, stored.content, f"{registry.reference}@{stored.digest}")
        stored = registry.manifest(_chosen(registry, index).digest)
    if stored.media_type not in MANIFESTS:
        raise unsafe(f"{registry.reference}@{stored.digest} is no image, but {stored.media_type!r}")
    return stored


def _chosen(registry: Registry, index: Index) -> Descriptor:
    images = [entry for entry in index.manifests if entry.platform != _UNKNOWN]
    fitting = [entry for entry in images if entry.platform == _PLATFORM]
    if fitting or len(images) == 1:
        return (fitting or images)[0]
    told = f"{registry.reference}: none of {len(images)} images is for linux/amd64"
    raise ArtifactError("RegistryNotFound", told, "push one for linux/amd64, or name an image by its digest")


def _unpack(registry: Registry, manifest: Manifest, root: Path, under: Parts, max_bytes: int) -> None:
    """Each layer is verified before it is opened, and its unpacked digest where the config tells it."""
    diff_ids, budget = _diff_ids(registry, manifest, root.with_name("config")), Budget(max_bytes)
    for number, layer in enumerate(manifest.layers):
        if layer.media_type not in LAYERS:
            told = f"{registry.reference}: a layer of type {layer.media_type!r}"
            raise ArtifactError("ArtifactUnsafe", told, f"push it with layers of {', '.join(LAYERS)}")
        if layer.size > budget.max_bytes:
            raise unsafe(f"{registry.reference}: more than {max_bytes} bytes")
        path = root.with_name("packed")
        download(registry, layer, path)
        found = apply_layer(path, root, under, budget)
        path.unlink()
        if diff_ids and found != diff_ids[number]:
            told = f"{registry.reference}: layer {number} unpacks to {found}, not {diff_ids[number]}"
            raise ArtifactError("ArtifactCorrupt", told, "push the image again")


def _diff_ids(registry: Registry, manifest: Manifest, path: Path) -> list[str]:
    """None where the config has none, as in artifacts that are no images."""
    if manifest.config.size > MAX_DOCUMENT_BYTES:
        raise unsafe(f"{registry.reference}: a config of {manifest.config.size} bytes")
    download(registry, manifest.config, path)
    diff_ids = read(Config, path.read_bytes(), f"{registry.reference}'s config").rootfs.diff_ids
    if diff_ids and len(diff_ids) != len(manifest.layers):
        told = f"{registry.reference}: {len(manifest.layers)} layers, but {len(diff_ids)} diff_ids"
        raise ArtifactError("ArtifactCorrupt", told, "push the image again")
    return diff_ids


def _replace(folder: Path, temporary: Path, fresh: Path) -> None:
    """Also what an earlier pull left half done."""
    for old in folder.iterdir():
        if old != temporary:
            remove(old)
    for path in fresh.iterdir():
        path.rename(folder / path.name)
