"""Questions that controllers and the node agent ask of Kubernetes objects in plain JSON."""

from typing import Any

from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest


def key_of(manifest: Manifest) -> ObjectKey:
    metadata = manifest["metadata"]
    return ObjectKey(manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def uid_of(manifest: Manifest) -> str:
    return str(manifest["metadata"]["uid"])


def deleting(manifest: Manifest) -> bool:
    return "deletionTimestamp" in manifest["metadata"]


def controller_of(manifest: Manifest) -> dict[str, Any] | None:
    """The owner reference of the controller, if there is one."""
    owners = manifest["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def condition(manifest: Manifest, kind: str) -> dict[str, Any] | None:
    found = manifest.get("status", {}).get("conditions") or []
    return next((each for each in found if each["type"] == kind), None)


def holds(manifest: Manifest, kind: str) -> bool:
    found = condition(manifest, kind)
    return found is not None and found["status"] == "True"


def ready(manifest: Manifest) -> bool:
    """Of a pod or node: it reports itself ready."""
    return holds(manifest, "Ready")


def phase(pod: Manifest) -> str:
    return str(pod.get("status", {}).get("phase", "Pending"))


def finished(pod: Manifest) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def active(pod: Manifest) -> bool:
    """Neither finished nor on its way out."""
    return not finished(pod) and not deleting(pod)
