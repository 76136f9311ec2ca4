"""A kubeconfig with one cluster, one user and a token."""

import base64
from pathlib import Path
from typing import Any

import yaml


def write(path: Path, server: str, token: str, authority: bytes | None = None) -> None:
    """`authority` is the PEM certificate to trust; only the owner can read the file."""
    cluster: dict[str, Any] = {"server": server}
    if authority:
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "dev", "cluster": cluster}],
        "users": [{"name": "dev", "user": {"token": token}}],
        "contexts": [{"name": "dev", "context": {"cluster": "dev", "user": "dev"}}],
        "current-context": "dev",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
