"""The pod in which our own image serves: adapters are pulled, then loaded on the base model."""

from typing import Any

from ..model import fit
from ..model.preset import Preset
from ..model.workspace import Adapter, DataSource
from . import runtime_pod
from .manifests import Draft

ADAPTERS = "/mnt/adapter"
PORT, HEALTH = 5000, "/health"


def pod(draft: Draft, preset: Preset, adapters: tuple[Adapter, ...]) -> dict[str, Any]:
    runtime = fit.runtime(draft.workspace, preset)
    image = draft.context.images.image("inference-vllm" if runtime == "vllm" else "inference")
    made = runtime_pod.container(draft.id.name, image, ["python", "-m", "inference_server"])
    runtime_pod.with_weights(made, draft)
    made["ports"] = [{"name": "http", "containerPort": PORT}]
    made |= _probes(preset)
    pullers = [_puller(image, a.source) for a in adapters if a.source.image]
    spec = runtime_pod.pod(draft, {"initContainers": pullers, "containers": [made]})
    spec["terminationGracePeriodSeconds"] = 60
    if pullers:
        spec["volumes"].append({"name": "adapters", "emptyDir": {}})
        for each in (made, *pullers):
            each["volumeMounts"].append({"name": "adapters", "mountPath": ADAPTERS})
    for number, adapter in enumerate(adapters):
        _mount_volume(spec, made, adapter.source, f"adapter-{number}")
    runtime_pod.mount_logins(spec, (s for a in adapters for s in a.source.image_pull_secrets), pullers)
    return spec


def settings(draft: Draft, preset: Preset, adapters: tuple[Adapter, ...]) -> dict[str, Any]:
    """What the server reads; the user's `inference_config.yaml` lies beside it."""
    sku = draft.context.catalogues.skus.get(draft.workspace.instance_type)
    return {
        "preset": preset.name,
        "base": runtime_pod.base(preset),
        "runtime": fit.runtime(draft.workspace, preset),
        "adapters": [
            {"name": a.source.name, "strength": a.weight, "path": f"{ADAPTERS}/{a.source.name}"}
            for a in adapters
        ],
        "port": PORT,
        "gpus": sku.gpus if sku is not None else 1,
    }


def _probes(preset: Preset) -> dict[str, Any]:
    probe = {"httpGet": {"path": HEALTH, "port": PORT}, "periodSeconds": 10}
    patience = max(1, preset.inference.readiness_seconds // 10)
    return {
        "startupProbe": {**probe, "periodSeconds": 5, "failureThreshold": 2 * patience},
        "livenessProbe": {**probe, "failureThreshold": 6},
        "readinessProbe": probe,
    }


def _puller(image: str, source: DataSource) -> dict[str, Any]:
    command = ["python", "-m", "artifacts", "pull", source.image, f"{ADAPTERS}/{source.name}"]
    command += [part for s in source.image_pull_secrets for part in ("--auth", runtime_pod.pull_auth(s))]
    return runtime_pod.container(f"puller-{source.name}"[:63].rstrip("-"), image, command)


def _mount_volume(spec: dict[str, Any], made: dict[str, Any], source: DataSource, name: str) -> None:
    if source.volume_source is not None:
        spec["volumes"].append({"name": name, **source.volume_source})
        mount = {"name": name, "mountPath": f"{ADAPTERS}/{source.name}", "readOnly": True}
        made["volumeMounts"].append(mount)
