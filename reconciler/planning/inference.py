"""A serving workspace as Kubernetes objects.

The shape is Kaito's (Deployment of `count` replicas, Service with ports 80 and 29500), so that its
published images serve it; what its controller gets wrong is right here: probes follow the image,
adapters' strengths reach the server, pods stay on their own nodes.
"""

from typing import Any

from ..model import fit, names
from ..model.preset import Preset, Server
from ..model.workspace import Adapter
from ..model.world import DesiredObject
from . import podspec, puller, runtime_pod, server
from .manifests import Draft, child

_ADAPTERS = {"name": "adapters", "emptyDir": {}}
_ADAPTER_ROOT = "/mnt/adapter"
_MOUNT = {"name": "adapters", "mountPath": _ADAPTER_ROOT}


def settings(draft: Draft, preset: Preset | None) -> DesiredObject:
    """The ConfigMap beside the pod: strengths in a file, never in environment names."""
    inference = draft.workspace.inference
    assert inference is not None
    data: dict[str, str] = {}
    if preset is not None:
        data["settings.json"] = runtime_pod.text(server.settings(draft, preset, inference.adapters))
    if draft.config:
        data["inference_config.yaml"] = draft.config
    return child(draft, "ConfigMap", podspec.settings_name(draft), {"data": data})


def deployment(draft: Draft, preset: Preset | None, config: DesiredObject) -> DesiredObject:
    """`preset` is None where the workspace brings a pod template; `config` is what `settings` made."""
    template = _from_preset(draft, preset, config) if preset is not None else _from_template(draft)
    spec = {
        "replicas": draft.workspace.resource.count,
        "selector": {"matchLabels": {names.WORKSPACE: draft.id.name}},
        # GPU nodes have no room for a second copy, so the old pod goes first.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        "template": template,
    }
    return child(draft, "Deployment", draft.id.name, {"spec": spec})


def service(draft: Draft, preset: Preset | None) -> DesiredObject:
    """Ports as the documentation shows them: 80 for HTTP, 29500 for torch's rendezvous."""
    balanced = draft.workspace.metadata.annotations.get("kaito.sh/enablelb") == "True"
    ours = preset is None or draft.runs_our_image
    port = server.PORT if ours or preset is None else _server(draft, preset).port
    spec = {
        "type": "LoadBalancer" if balanced else "ClusterIP",
        "selector": {names.WORKSPACE: draft.id.name},
        "ports": [
            {"name": "http", "port": 80, "targetPort": port, "protocol": "TCP"},
            {"name": "torch", "port": 29500, "targetPort": 29500, "protocol": "TCP"},
        ],
    }
    return child(draft, "Service", draft.id.name, {"spec": spec})


def _from_preset(draft: Draft, preset: Preset, config: DesiredObject) -> dict[str, Any]:
    inference = draft.workspace.inference
    assert inference is not None
    if draft.runs_our_image:
        return podspec.gpu_pod(draft, server.pod(draft, preset, inference.adapters), config)
    choice = draft.workspace.preset
    assert choice is not None
    image = choice.preset_options.image or _server(draft, preset).image or preset.image
    container = _container(draft, preset, image)
    adapters = [a for a in inference.adapters if a.source.image]
    secrets = choice.preset_options.image_pull_secrets
    spec: dict[str, Any] = {"containers": [container], "volumes": []}
    if inference.adapters:
        container["volumeMounts"].append(_MOUNT)
        spec["volumes"].append(_ADAPTERS)
        spec["initContainers"] = pullers = [
            puller.container(f"puller-{s.name}", s, f"{_ADAPTER_ROOT}/{s.name}", _MOUNT)
            for s in (a.source for a in adapters)
        ]
        puller.mount_logins(spec, _adapter_secrets(inference.adapters), pullers)
    if secrets:
        spec["imagePullSecrets"] = podspec.pull_secrets(tuple(dict.fromkeys(secrets)))
    return podspec.gpu_pod(draft, spec, config)


def _container(draft: Draft, preset: Preset, image: str) -> dict[str, Any]:
    serving = _server(draft, preset)
    inference = draft.workspace.inference
    assert inference is not None
    strengths = [{"name": a.source.name, "value": str(a.weight)} for a in inference.adapters]
    probe = {"httpGet": {"path": serving.health_path, "port": serving.port}}
    return {
        "name": draft.id.name,
        "image": image,
        # Without a shell: dash drops variables whose names hold `-`, and the images read an adapter's
        # strength from a variable of its name.
        "command": [*command(serving), *_engine_flags(draft, preset)],
        "env": [
            {"name": "RECONCILER_SETTINGS", "value": f"{podspec.SETTINGS_PATH}/settings.json"},
            *podspec.token(draft),
            *strengths,
        ],
        "ports": [{"name": "http", "containerPort": serving.port}],
        "resources": podspec.resources(draft),
        "startupProbe": {
            **probe,
            "periodSeconds": 10,
            "failureThreshold": max(1, preset.inference.readiness_seconds // 10),
        },
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {**probe, "periodSeconds": 10},
        "volumeMounts": podspec.base_mounts(),
    }


def command(serving: Server) -> list[str]:
    """`launch` with its parameters, then `program` with its own, in catalogue order."""
    return [
        *serving.launch,
        *_flags(serving.launch_params),
        serving.program,
        *_flags(serving.params),
    ]


def _engine_flags(draft: Draft, preset: Preset) -> list[str]:
    """What vLLM is told of this workspace: the GPUs of its node, its adapters and its own configuration.

    That file comes last, so that it overrides everything else, as it does to Kaito's server.
    """
    inference = draft.workspace.inference
    if fit.runtime(draft.workspace, preset) != "vllm" or inference is None:
        return []
    said: dict[str, str] = {}
    if (gpus := podspec.gpus_per_node(draft)) > 1:
        said["tensor-parallel-size"] = str(gpus)
    if inference.adapters:
        said |= {"enable-lora": "", "kaito-adapters-dir": _ADAPTER_ROOT}
    if draft.config:
        said["kaito-config-file"] = f"{podspec.SETTINGS_PATH}/inference_config.yaml"
    return _flags(said)


def _flags(params: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" if value else f"--{name}" for name, value in params.items()]


def _server(draft: Draft, preset: Preset) -> Server:
    return preset.inference.servers[fit.runtime(draft.workspace, preset)]


def _adapter_secrets(adapters: tuple[Adapter, ...]) -> tuple[str, ...]:
    return tuple(s for a in adapters for s in a.source.image_pull_secrets)


def _from_template(draft: Draft) -> dict[str, Any]:
    """The user's pod template; placement and our labels are added, the rest is theirs."""
    inference = draft.workspace.inference
    assert inference is not None
    template: dict[str, Any] = inference.template or {}
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    labels = {
        **(metadata.get("labels") or {}),
        names.WORKSPACE: draft.id.name,
        names.MANAGED_BY: names.MANAGER,
    }
    return {
        "metadata": {"labels": labels, "annotations": metadata.get("annotations") or {}},
        "spec": {
            **spec,
            "affinity": podspec.affinity(draft),
            "tolerations": [*(spec.get("tolerations") or []), *podspec.TOLERATIONS],
        },
    }
