"""Questions that controllers and the node agent ask of Kubernetes objects in plain JSON."""

from typing import Any

from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

Words = tuple[str, str, str, str]
"""Type, status, reason and message of a condition."""


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


def owner_reference(owner: Manifest) -> dict[str, Any]:
    """What makes `owner` the controller of an object."""
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def labels_of(manifest: Manifest) -> dict[str, str]:
    return manifest["metadata"].get("labels") or {}


def selects(service: Manifest, pod: Manifest) -> bool:
    """Whether a Service's selector means the pod; one without selector means none."""
    wanted = service["spec"].get("selector") or {}
    same = service["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return bool(wanted and same and wanted.items() <= labels_of(pod).items())


def condition(manifest: Manifest, kind: str) -> dict[str, Any] | None:
    found = manifest.get("status", {}).get("conditions") or []
    return next((each for each in found if each["type"] == kind), None)


def holds(manifest: Manifest, kind: str) -> bool:
    found = condition(manifest, kind)
    return found is not None and found["status"] == "True"


def stated(manifest: Manifest, words: Words, at: str) -> dict[str, Any]:
    """The condition that `words` make; its transition time is kept where the status stays what it was."""
    kind, status, reason, message = words
    was = condition(manifest, kind) or {}
    since = was.get("lastTransitionTime") if was.get("status") == status else None
    said = {"type": kind, "status": status, "reason": reason, "message": message}
    return said | {"lastTransitionTime": since or at}


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
