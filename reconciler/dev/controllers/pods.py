"""Pods as controllers make, count and choose them."""

import math
import secrets
from collections.abc import Iterable
from typing import Any

from reconciler.dev.clock import epoch
from reconciler.dev.objects import active, condition, deleting, owner_reference, phase, ready
from reconciler.model.names import fingerprint
from reconciler.model.world import Manifest


def new_pod(owner: Manifest, name: str, labels: dict[str, str]) -> Manifest:
    """A pod from the owner's template, with `labels` beside the template's."""
    template = owner["spec"]["template"]
    metadata = template.get("metadata") or {}
    made = {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "labels": (metadata.get("labels") or {}) | labels,
        "annotations": metadata.get("annotations") or {},
        "ownerReferences": [owner_reference(owner)],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": dict(template["spec"])}


def suffixed(name: str) -> str:
    """As generateName would make it; a pod's name has at most 63 characters here."""
    return f"{name[:57]}-{secrets.token_hex(3)[:5]}"


def template_hash(template: Manifest) -> str:
    return fingerprint(template)[:10]


def replicas_of(owner: Manifest) -> int:
    return int(owner["spec"].get("replicas", 1))


def until_available(pod: Manifest, owner: Manifest, now: float) -> float:
    """Seconds until it has been ready for `minReadySeconds`; infinity where it is not ready."""
    if not ready(pod) or deleting(pod):
        return math.inf
    least = owner["spec"].get("minReadySeconds") or 0
    since = (condition(pod, "Ready") or {}).get("lastTransitionTime")
    return max(epoch(since) + least - now, 0.0) if least and since else 0.0


def readiness(pods: Iterable[Manifest], owner: Manifest, now: float) -> tuple[dict[str, Any], float]:
    """The status fields that count ready and available pods, and seconds until the next is available."""
    waits = [until_available(pod, owner, now) for pod in pods]
    counted = {
        "readyReplicas": sum(wait < math.inf for wait in waits),
        "availableReplicas": sum(wait == 0 for wait in waits),
        "observedGeneration": owner["metadata"].get("generation", 1),
    }
    return counted, min((wait for wait in waits if wait > 0), default=math.inf)


def standing(pods: Iterable[Manifest]) -> list[Manifest]:
    """Those neither finished nor being deleted."""
    return [pod for pod in pods if active(pod)]


def cheapest_first(pods: Iterable[Manifest]) -> list[Manifest]:
    """In the order of giving up: unbound, not running, not ready, the youngest."""
    youngest = sorted(pods, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), reverse=True)
    return sorted(
        youngest, key=lambda pod: (bool(pod["spec"].get("nodeName")), phase(pod) == "Running", ready(pod))
    )
