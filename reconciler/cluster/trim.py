"""What the cache keeps of an object: enough to decide by, little enough to hold ten thousand of them."""

from typing import Any

from reconciler.model import names
from reconciler.model.world import Manifest

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_OWNERSHIP_MATTERS = frozenset({"Workspace", "Deployment", "StatefulSet", "Job", "Service", "ConfigMap"})
_CONTAINER = ("name", "image")
_CONDITION = ("type", "status", "reason", "message", "lastTransitionTime")


def trimmed(manifest: Manifest) -> Manifest:
    """A new dict; parts that are kept whole are shared with `manifest`."""
    kept = {**manifest, "metadata": _metadata(manifest)}
    if manifest.get("kind") == "Node":
        return _node(kept)
    if manifest.get("kind") == "Pod":
        kept["spec"] = _pod_spec(manifest.get("spec") or {})
    return kept


def _metadata(manifest: Manifest) -> dict[str, Any]:
    metadata = dict(manifest.get("metadata") or {})
    managed = [entry for entry in metadata.pop("managedFields", None) or [] if _tells_of_drift(entry)]
    if managed and manifest.get("kind") in _OWNERSHIP_MATTERS:
        metadata["managedFields"] = managed
    annotations = metadata.get("annotations")
    if annotations and _LAST_APPLIED in annotations:
        metadata["annotations"] = {k: v for k, v in annotations.items() if k != _LAST_APPLIED}
    return metadata


def _tells_of_drift(entry: dict[str, Any]) -> bool:
    """Our own fields are known and nobody's status is declared: neither explains a drifted field."""
    ours = entry.get("manager") == names.MANAGER and entry.get("operation") == "Apply"
    return not ours and entry.get("subresource") != "status"


def _node(node: Manifest) -> Manifest:
    """Labels, taints, readiness and what fits: not its images, addresses or heartbeats."""
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    metadata.pop("annotations", None)
    ready = [c for c in status.get("conditions") or [] if c.get("type") == "Ready"]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": _only(spec, ("taints", "unschedulable")),
        "status": {
            **_only(status, ("allocatable", "capacity")),
            "conditions": [_only(condition, _CONDITION) for condition in ready],
        },
    }


def _pod_spec(spec: dict[str, Any]) -> dict[str, Any]:
    kept = _only(spec, ("nodeName", "nodeSelector"))
    for group in ("initContainers", "containers"):
        if group in spec:
            kept[group] = [_only(container, _CONTAINER) for container in spec[group]]
    return kept


def _only(whole: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: whole[key] for key in keys if key in whole}
