"""The arithmetic of a rolling update: how many pods each ReplicaSet of a Deployment should have next."""

import math
from collections.abc import Callable
from typing import Any

from reconciler.model.world import Manifest

from .pods import replicas_of

REVISION = "deployment.kubernetes.io/revision"


def bounds(deployment: Manifest) -> tuple[int, int]:
    """maxSurge and maxUnavailable as numbers of pods; Recreate is no surge and all unavailable."""
    replicas = replicas_of(deployment)
    if _recreates(deployment):
        return 0, replicas
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), replicas, math.ceil)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), replicas, math.floor)
    return surge, min(unavailable, replicas) if surge or unavailable else 1


def _recreates(deployment: Manifest) -> bool:
    return (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"


def _share(value: Any, replicas: int, rounded: Callable[[float], int]) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return rounded(int(value[:-1]) * replicas / 100)
    return int(value)


def rollout(deployment: Manifest, new: Manifest, old: list[Manifest]) -> list[tuple[Manifest, int]]:
    """The next size of each ReplicaSet: the old shrink by what may be missing, the new takes the room."""
    replicas = replicas_of(deployment)
    surge, unavailable = bounds(deployment)
    recreate = _recreates(deployment)
    sizes: list[tuple[Manifest, int]] = []
    spare = sum(map(_available, [new, *old])) - (replicas - unavailable)
    for each in sorted(old, key=revision_of):
        size, good = int(each["spec"]["replicas"]), _available(each)
        dropped = size if recreate else size - good + min(good, max(spare, 0))
        spare -= dropped - (size - good)
        sizes.append((each, size - dropped))
    held = sum(max(size, _number(each, "replicas")) for each, size in sizes)
    room = 0 if recreate and held else replicas + surge - held
    wanted = min(replicas, max(room, min(int(new["spec"]["replicas"]), replicas)))
    return [*sizes, (new, wanted)]


def counts(deployment: Manifest, new: Manifest | None, old: list[Manifest]) -> dict[str, Any]:
    everyone = [*old, new] if new else old
    available = sum(map(_available, everyone))
    return {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": sum(_number(each, "replicas") for each in everyone),
        "updatedReplicas": _number(new, "replicas") if new else 0,
        "readyReplicas": sum(_number(each, "readyReplicas") for each in everyone),
        "availableReplicas": available,
        "unavailableReplicas": max(replicas_of(deployment) - available, 0),
    }


def is_complete(deployment: Manifest, status: dict[str, Any]) -> bool:
    wanted = replicas_of(deployment)
    return all(status[each] == wanted for each in ("replicas", "updatedReplicas", "availableReplicas"))


def revision_of(replica_set: Manifest) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _number(replica_set: Manifest, name: str) -> int:
    return int(replica_set.get("status", {}).get(name, 0))


def _available(replica_set: Manifest) -> int:
    """Its status may still speak of pods it is giving up."""
    return min(_number(replica_set, "availableReplicas"), int(replica_set["spec"]["replicas"]))
