"""The arithmetic of a rolling update: how many pods each ReplicaSet of a Deployment should have next."""

import math
from collections.abc import Callable
from typing import Any

from reconciler.model.world import Manifest

REVISION = "deployment.kubernetes.io/revision"


def bounds(deployment: Manifest) -> tuple[int, int]:
    """maxSurge and maxUnavailable as numbers of pods; Recreate is no surge and all unavailable."""
    replicas = replicas_of(deployment)
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, replicas
    rolling = strategy.get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), replicas, math.ceil)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), replicas, math.floor)
    return surge, min(unavailable, replicas) if surge or unavailable else 1


def _share(value: Any, replicas: int, rounded: Callable[[float], int]) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return rounded(int(value[:-1]) * replicas / 100)
    return int(value)


def rollout(deployment: Manifest, new: Manifest, old: list[Manifest]) -> list[tuple[Manifest, int]]:
    """The next size of each ReplicaSet: the old shrink by what may be missing, the new takes the room."""
    replicas = replicas_of(deployment)
    surge, unavailable = bounds(deployment)
    recreate = (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"
    sizes: list[tuple[Manifest, int]] = []
    spare = sum(map(_ready, [new, *old])) - (replicas - unavailable)
    for each in sorted(old, key=revision_of):
        size, good = int(each["spec"]["replicas"]), _ready(each)
        dropped = size if recreate else size - good + min(good, max(spare, 0))
        spare -= dropped - (size - good)
        sizes.append((each, size - dropped))
    held = sum(max(size, int(each.get("status", {}).get("replicas", 0))) for each, size in sizes)
    room = replicas + (0 if recreate else surge) - held
    if recreate and held:
        room = 0
    wanted = min(replicas, max(room, min(int(new["spec"]["replicas"]), replicas)))
    return [*sizes, (new, wanted)]


def counts(deployment: Manifest, new: Manifest | None, old: list[Manifest]) -> dict[str, Any]:
    everyone = [*old, new] if new else old
    good = sum(map(_ready, everyone))
    updated = int(new.get("status", {}).get("replicas", 0)) if new else 0
    return {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": sum(int(each.get("status", {}).get("replicas", 0)) for each in everyone),
        "updatedReplicas": updated,
        "readyReplicas": good,
        "availableReplicas": good,
        "unavailableReplicas": max(replicas_of(deployment) - good, 0),
    }


def is_complete(deployment: Manifest, status: dict[str, Any]) -> bool:
    wanted = replicas_of(deployment)
    return all(status[each] == wanted for each in ("replicas", "updatedReplicas", "availableReplicas"))


def next_revision(sets: list[Manifest]) -> int:
    return max(map(revision_of, sets), default=0) + 1


def revision_of(replica_set: Manifest) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, "0"))


def replicas_of(deployment: Manifest) -> int:
    return int(deployment["spec"].get("replicas", 1))


def _ready(replica_set: Manifest) -> int:
    """Its status may still speak of pods it is giving up."""
    good = int(replica_set.get("status", {}).get("readyReplicas", 0))
    return min(good, int(replica_set["spec"]["replicas"]))
