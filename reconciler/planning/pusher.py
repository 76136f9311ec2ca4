"""The container that pushes what Kaito's own tuning image made: that image writes files and pushes nothing.

It looks for the file with which the trainer says that it is done, in a pod whose containers see each
other's processes, so that it ends with a trainer that failed.
"""

from typing import Any

from ..model.preset import Preset
from ..model.workspace import Tuning

IMAGE = "ghcr.io/oras-project/oras:v1.2.2"
SCRIPT = """set -eu
cd "$RESULTS"
seen=
until [ -f fine_tuning_completed.txt ]; do
  if grep -qsa '[f]ine_tuning.py' /proc/[0-9]*/cmdline; then seen=1
  elif [ -n "$seen" ] && [ ! -f fine_tuning_completed.txt ]; then
    echo "the trainer ended without a result"; exit 1
  fi
  sleep "${PAUSE:-2}"
done
work=$(mktemp -d)
mkdir "$work/data"
cp adapter_config.json adapter_model.safetensors "$work/data/"
cd "$work"
tar -cf layer.tar data
layer=$(sha256sum layer.tar | cut -d ' ' -f 1)
cat > config.json <<END
{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
END
tries=0
until oras push --no-tty "$IMAGE" --config config.json:application/vnd.oci.image.config.v1+json \\
    --annotation "sh.kaito.model.name=$MODEL" --annotation "reconciler.dev/content-key=$CONTENT_KEY" \\
    --format 'go-template={{.digest}}' layer.tar:application/vnd.oci.image.layer.v1.tar > digest; do
  tries=$((tries + 1))
  [ "$tries" -lt "${TRIES:-30}" ] || { echo "$IMAGE could not be pushed"; exit 1; }
  sleep "${PAUSE:-20}"
done
digest=$(grep -o 'sha256:[0-9a-f]*' digest | tail -n 1)
size=$(wc -c < layer.tar | tr -d ' ')
printf '{"artifact":{"image":"%s","digest":"%s","contentKey":"%s","size":%s}}' \\
    "$IMAGE" "$digest" "$CONTENT_KEY" "$size" > "$TERMINATION_LOG"
"""


def container(tuning: Tuning, preset: Preset, content_key: str) -> dict[str, Any]:
    """Without mounts."""
    env = {
        "IMAGE": tuning.output.image,
        "MODEL": preset.name,
        "CONTENT_KEY": content_key,
        "RESULTS": "/mnt/results",
        "TERMINATION_LOG": "/dev/termination-log",
    }
    return {
        "name": "pusher",
        "image": IMAGE,
        "command": ["/bin/sh", "-c", SCRIPT],
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
