"""What pods of our own runtime images have in common: `presets/tuning` and `presets/inference`.

They run as a plain user, call no shell, and read their settings, credentials and weights from these places.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..model.preset import Preset
from . import podspec
from .manifests import Draft

USER = 65532
_PULL, _PUSH = "/mnt/secrets/pull", "/mnt/secrets/push"
_WEIGHTS = "/mnt/weights"
PUSH_AUTH = f"{_PUSH}/config.json"
SETTINGS = {"name": "RECONCILER_SETTINGS", "value": f"{podspec.SETTINGS_PATH}/settings.json"}


def text(said: Mapping[str, Any]) -> str:
    """Of `settings.json`."""
    return json.dumps(said, sort_keys=True)


def base(preset: Preset) -> dict[str, str]:
    """Which weights; the image fetches them where it finds none."""
    return {"repository": preset.weights.repository, "revision": preset.weights.revision, "path": ""}


def pull_auth(secret: str) -> str:
    return f"{_PULL}/{secret}/config.json"


def container(name: str, image: str, command: Iterable[str]) -> dict[str, Any]:
    """Reads the settings, writes nothing but what is mounted."""
    return {
        "name": name,
        "image": image,
        "command": list(command),
        "env": [SETTINGS],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": podspec.base_mounts(),
    }


def with_weights(made: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """A container that loads the model: GPUs, a place for weights, the token that opens them."""
    made["env"] += [{"name": "HF_HOME", "value": _WEIGHTS}, *podspec.token(draft)]
    made["resources"] = podspec.resources(draft)
    made["volumeMounts"].append({"name": "weights", "mountPath": _WEIGHTS})
    return made


def pod(draft: Draft, containers: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """`containers` are `initContainers` and `containers`."""
    spec: dict[str, Any] = {key: made for key, made in containers.items() if made}
    spec["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec["volumes"] = [{"name": "weights", "emptyDir": {}}]
    if secrets := draft.context.images.pull_secrets:
        spec["imagePullSecrets"] = podspec.pull_secrets(secrets)
    return spec


def mount_logins(spec: dict[str, Any], secrets: Iterable[str], readers: Iterable[dict[str, Any]]) -> None:
    """Makes registries' logins readable by the containers that pull."""
    for number, secret in enumerate(dict.fromkeys(secrets)):
        _mount_login(spec, f"pull-{number}", secret, f"{_PULL}/{secret}", readers)


def mount_push_login(spec: dict[str, Any], secret: str, reader: dict[str, Any]) -> None:
    _mount_login(spec, "push", secret, _PUSH, [reader])


def _mount_login(
    spec: dict[str, Any], volume: str, secret: str, path: str, readers: Iterable[dict[str, Any]]
) -> None:
    item = {"key": ".dockerconfigjson", "path": "config.json"}
    spec["volumes"].append({"name": volume, "secret": {"secretName": secret, "items": [item]}})
    for each in readers:
        each["volumeMounts"].append({"name": volume, "mountPath": path, "readOnly": True})
