"""Pods as controllers make, count and choose them."""

import secrets
from collections.abc import Iterable
from typing import Any

from reconciler.dev.objects import active, deleting, holds, phase
from reconciler.model.names import fingerprint
from reconciler.model.world import Manifest


def owner_reference(owner: Manifest) -> dict[str, Any]:
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def new_pod(owner: Manifest, name: str, labels: dict[str, str]) -> Manifest:
    """A pod from the owner's template, with `labels` beside the template's."""
    template = owner["spec"]["template"]
    metadata = template.get("metadata") or {}
    made = {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "labels": (metadata.get("labels") or {}) | labels,
        "ownerReferences": [owner_reference(owner)],
    }
    if annotations := metadata.get("annotations"):
        made["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": dict(template["spec"])}


def suffixed(name: str) -> str:
    """As generateName would make it; a pod's name has at most 63 characters here."""
    return f"{name[:57]}-{secrets.token_hex(3)[:5]}"


def template_hash(template: Manifest) -> str:
    return fingerprint(template)[:10]


def available(pod: Manifest) -> bool:
    return holds(pod, "Ready") and not deleting(pod)


def standing(pods: Iterable[Manifest]) -> list[Manifest]:
    """Those neither finished nor being deleted."""
    return [pod for pod in pods if active(pod)]


def cheapest_first(pods: Iterable[Manifest]) -> list[Manifest]:
    """In the order of giving up: unbound, not running, not ready, the youngest."""

    def worth(pod: Manifest) -> tuple[bool, bool, bool, str]:
        bound = bool(pod["spec"].get("nodeName"))
        return bound, phase(pod) == "Running", available(pod), pod["metadata"].get("creationTimestamp", "")

    youngest = sorted(pods, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), reverse=True)
    return sorted(youngest, key=lambda pod: worth(pod)[:3])
