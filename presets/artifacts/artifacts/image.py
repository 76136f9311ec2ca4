"""An adapter as an OCI image: one uncompressed layer, a config and a manifest, equal for equal content."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from . import adapter, annotations
from .blobs import Blob
from .documents import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, canonical

FOLDER = "data"
"""Where Kaito's puller, image volumes and ours look for the two files."""
_ARCHITECTURE = "amd64"


@dataclass(frozen=True, slots=True)
class Image:
    layer: Blob
    config: Blob
    manifest: bytes

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.manifest).hexdigest()


def pack(folder: Path, layer: Path, base_model: str, given: Mapping[str, str]) -> Image:
    """The adapter in `folder`, normalised; its layer is written to the file `layer`."""
    told = annotations.complete(given, base_model)
    with layer.open("wb") as file:
        _write_layer(file, adapter.normalised_config(folder, base_model), adapter.weights(folder))
    content = Blob.of_file(layer)
    config = Blob.of_bytes(canonical(_config(content.digest, told[annotations.CREATED])))
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _descriptor(OCI_CONFIG, config),
        "layers": [_descriptor(OCI_LAYER, content)],
        "annotations": told,
    }
    return Image(content, config, canonical(manifest))


def _write_layer(file: BinaryIO, config: bytes, weights: Path) -> None:
    """Modes are set here: peft leaves its weights readable by their owner alone."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar, weights.open("rb") as data:
        folder = tarfile.TarInfo(FOLDER)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        tar.addfile(_file(adapter.CONFIG, len(config)), io.BytesIO(config))
        tar.addfile(_file(adapter.WEIGHTS, weights.stat().st_size), data)


def _file(name: str, size: int) -> tarfile.TarInfo:
    """Of root, of 1970, readable by all, as far as tarfile does not make it so by itself."""
    info = tarfile.TarInfo(f"{FOLDER}/{name}")
    info.size, info.mode = size, 0o644
    return info


def _config(diff_id: str, created: str) -> dict[str, object]:
    """With all that the image specification requires; containerd and umoci refuse less."""
    return {
        "architecture": _ARCHITECTURE,
        "os": "linux",
        "created": created,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "reconciler"}],
    }


def _descriptor(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}
