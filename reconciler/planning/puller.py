"""The container that unpacks an image's `/data` into a volume, for Kaito's images: they pull nothing.

It tries without a login first, then with each secret in turn, as Kaito's does (0.4.5).
"""

from collections.abc import Iterable
from typing import Any

from ..model.workspace import DataSource

IMAGE = "quay.io/skopeo/stable:v1.18.0-immutable"
LOGINS = "/root/.docker/config.d"
SCRIPT = """set -eu
pull() { skopeo copy "$@" "docker://$IMAGE" "dir:$WORK/image"; }
WORK=$(mktemp -d)
pulled=
pull && pulled=1
for login in "$LOGINS"/*/config.json; do
  [ -z "$pulled" ] && [ -f "$login" ] && pull --authfile "$login" && pulled=1
done
[ -n "$pulled" ] || { echo "$IMAGE could not be pulled, neither without a login nor with any given"; exit 1; }
mkdir -p "$TARGET" "$WORK/tree"
for digest in $(grep -o '"layers".*' "$WORK/image/manifest.json" | grep -o 'sha256:[0-9a-f]*'); do
  tar -xf "$WORK/image/${digest#sha256:}" -C "$WORK/tree" data
done
cp -R "$WORK/tree/data/." "$TARGET/"
"""


def container(name: str, source: DataSource, target: str, volume: dict[str, Any]) -> dict[str, Any]:
    """`volume` is the mount that holds the folder `target`."""
    return {
        "name": name[:63],
        "image": IMAGE,
        "command": ["/bin/sh", "-c", SCRIPT],
        "env": [
            {"name": "IMAGE", "value": source.image},
            {"name": "TARGET", "value": target},
            {"name": "LOGINS", "value": LOGINS},
        ],
        "volumeMounts": [volume],
    }


def mount_logins(pod: dict[str, Any], secrets: Iterable[str], pullers: Iterable[dict[str, Any]]) -> None:
    """Adds the secrets' volumes to the pod, and where these containers look for them."""
    for number, secret in enumerate(dict.fromkeys(secrets)):
        name = f"pull-{number}"
        item = {"key": ".dockerconfigjson", "path": "config.json"}
        pod["volumes"].append({"name": name, "secret": {"secretName": secret, "items": [item]}})
        for each in pullers:
            mount = {"name": name, "mountPath": f"{LOGINS}/{secret}", "readOnly": True}
            each["volumeMounts"].append(mount)
