"""Parts of a pod on GPU nodes, shared by serving and tuning."""

from typing import Any

from ..model import names
from ..model.world import DesiredObject
from .manifests import Draft

SETTINGS_PATH = "/mnt/config"
_SHM = {"name": "dshm", "emptyDir": {"medium": "Memory"}}
"""The default 64 MiB of /dev/shm is too little for torch's workers."""

TOLERATIONS: list[dict[str, str]] = [
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
]
"""Taints of GPU nodes: the device plugin's custom, and the one Kaito's provisioners set."""


def settings_name(draft: Draft) -> str:
    return f"{draft.id.name}-settings"


def gpus_per_node(draft: Draft) -> int:
    """GPUs of one node of the workspace's instance type; 1 where the catalogue does not know it."""
    sku = draft.context.catalogues.skus.get(draft.workspace.instance_type)
    return sku.gpus if sku is not None else 1


def resources(draft: Draft) -> dict[str, Any]:
    gpus = gpus_per_node(draft)
    if gpus == 0:
        return {}
    amount = {"nvidia.com/gpu": str(gpus)}
    return {"requests": amount, "limits": dict(amount)}


def node_labels(draft: Draft) -> dict[str, str]:
    """Labels of the workspace's nodes: the user's selector, and marks no other workspace shares."""
    return {
        **draft.workspace.resource.label_selector.labels,
        names.WORKSPACE: draft.id.name,
        names.WORKSPACE_NAMESPACE: draft.id.namespace,
    }


def affinity(draft: Draft) -> dict[str, Any]:
    """Only nodes of this workspace, of its instance type: two equal selectors never share nodes."""
    wanted = node_labels(draft)
    if draft.workspace.instance_type:
        wanted[names.INSTANCE_TYPE] = draft.workspace.instance_type
    terms = [{"key": k, "operator": "In", "values": [v]} for k, v in sorted(wanted.items())]
    required = {"nodeSelectorTerms": [{"matchExpressions": terms}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def gpu_pod(draft: Draft, spec: dict[str, Any], settings: DesiredObject) -> dict[str, Any]:
    """A pod template around `spec`: placement, shared memory, and its settings, whose change restarts it."""
    labels = {names.WORKSPACE: draft.id.name, names.MANAGED_BY: names.MANAGER}
    config = {"name": "settings", "configMap": {"name": settings_name(draft)}}
    return {
        "metadata": {
            "labels": labels,
            "annotations": {names.PREFIX + "config": names.fingerprint(settings.manifest["data"])},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "tolerations": TOLERATIONS,
            "affinity": affinity(draft),
            **spec,
            "volumes": [_SHM, config, *spec.get("volumes", [])],
        },
    }


def base_mounts() -> list[dict[str, Any]]:
    return [
        {"name": "dshm", "mountPath": "/dev/shm"},
        {"name": "settings", "mountPath": SETTINGS_PATH, "readOnly": True},
    ]


def token(draft: Draft) -> list[dict[str, Any]]:
    """The variable that opens weights behind a login; the key of `modelAccessSecret` is Kaito's."""
    choice = draft.workspace.preset
    secret = choice.preset_options.model_access_secret if choice else ""
    key = {"secretKeyRef": {"name": secret, "key": "HF_TOKEN"}}
    return [{"name": "HF_TOKEN", "valueFrom": key}] if secret else []


def pull_secrets(names_: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"name": name} for name in names_]
