"""Images and adapters made by hand, as others would make them."""

import gzip
import hashlib
import io
import json
import random
import tarfile

from artifacts import Reference, Registry
from artifacts.blobs import Blob, upload
from artifacts.credentials import Login

from .servers import PASSWORD, USER

OCI = "application/vnd.oci.image"
LOGIN = Login("test", USER, PASSWORD)


def adapter(folder, size=4096, seed=0, **config):
    """A folder as peft's `save_pretrained` leaves it, with a safetensors file of `size` bytes of tensor."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "base_model_name_or_path": "/models/here",
        "peft_type": "LORA",
        "r": 8,
        "lora_alpha": 16,
        "inference_mode": False,
        "target_modules": ["v_proj", "q_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(told | config))
    header = json.dumps(
        {"__metadata__": {"format": "pt"}, "a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    ).encode()
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(len(header).to_bytes(8, "little") + header + random.Random(seed).randbytes(size))
    weights.chmod(0o600)
    (folder / "training_args.bin").write_bytes(b"a pickle")
    return folder


def entry(name, content=None, kind=None, link="", size=None):
    """One member of a tar archive: a file where there is content, else a folder, else what `kind` says."""
    info = tarfile.TarInfo(name)
    info.type = kind or (tarfile.REGTYPE if content is not None else tarfile.DIRTYPE)
    info.linkname, info.mode = link, 0o755 if info.isdir() else 0o644
    info.size = len(content or b"") if size is None else size
    return info, content or b""


def layer(*entries):
    """A tar archive; names stay as they are."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def push_image(image, layers, *, packed=False, config=None, media_type=f"{OCI}.layer.v1.tar", login=LOGIN):
    """Its digest. `config` None is a whole one."""
    reference = Reference.parse(image)
    blobs = [gzip.compress(content, mtime=0) if packed else content for content in layers]
    if config is None:
        config = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [sha256(content) for content in layers]},
        }
    told = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": {"mediaType": f"{OCI}.config.v1+json", "digest": sha256(told), "size": len(told)},
        "layers": [
            {"mediaType": media_type + ("+gzip" if packed else ""), "digest": sha256(blob), "size": len(blob)}
            for blob in blobs
        ],
    }
    with Registry(reference, login, "pull,push") as registry:
        for blob in [*blobs, told]:
            upload(registry, Blob.of_bytes(blob))
        return registry.put_manifest(reference.selector, json.dumps(manifest).encode(), manifest["mediaType"])


def push_index(image, entries, login=LOGIN):
    """`entries` are (digest, size, platform)."""
    reference = Reference.parse(image)
    manifests = [
        {"mediaType": f"{OCI}.manifest.v1+json", "digest": digest, "size": size, "platform": platform}
        for digest, size, platform in entries
    ]
    content = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": manifests}
    with Registry(reference, login, "pull,push") as registry:
        return registry.put_manifest(reference.selector, json.dumps(content).encode(), content["mediaType"])


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
