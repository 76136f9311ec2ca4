"""Pods and nodes as planning reads them."""

import json
from typing import Any

from ..model import names
from ..model.world import Manifest, ObservedNode, ObservedPod

_LONGEST = 500
"""Characters of a message worth keeping."""


def node(manifest: Manifest) -> ObservedNode:
    metadata, status = manifest["metadata"], manifest.get("status", {})
    labels = metadata.get("labels") or {}
    return ObservedNode(
        name=metadata["name"],
        pool=labels.get(names.POOL, ""),
        ready=_condition(status, "Ready").get("status") == "True" and "deletionTimestamp" not in metadata,
        gpus=int((status.get("allocatable") or {}).get("nvidia.com/gpu", 0)),
        instance_type=labels.get(names.INSTANCE_TYPE, ""),
    )


def pod(manifest: Manifest) -> ObservedPod:
    status = manifest.get("status", {})
    reason, message = _trouble(status)
    containers = status.get("containerStatuses") or []
    return ObservedPod(
        name=manifest["metadata"]["name"],
        phase=status.get("phase", "Pending"),
        ready=_condition(status, "Ready").get("status") == "True",
        node=manifest.get("spec", {}).get("nodeName", ""),
        reason=reason,
        message=message,
        termination_message=_termination(containers),
        restarts=sum(c.get("restartCount", 0) for c in containers),
    )


def _condition(status: dict[str, Any], type: str) -> dict[str, Any]:
    found: dict[str, Any] = next((c for c in status.get("conditions") or [] if c.get("type") == type), {})
    return found


def _trouble(status: dict[str, Any]) -> tuple[str, str]:
    """What keeps it from being ready: the scheduler's word, else a container's, else the pod's own."""
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return str(scheduled.get("reason", "")), str(scheduled.get("message", ""))
    for container in (*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])):
        state = container.get("state") or {}
        stopped = state.get("waiting") or _failed(state.get("terminated")) or {}
        if stopped.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return str(stopped["reason"]), _words(container, stopped)[:_LONGEST]
    return str(status.get("reason", "")), str(status.get("message", ""))[:_LONGEST]


def _words(container: dict[str, Any], stopped: dict[str, Any]) -> str:
    """What it reported of its failure, as our runtime images do; else what the node says."""
    ended = _failed((container.get("state") or {}).get("terminated")) or _failed(
        (container.get("lastState") or {}).get("terminated")
    )
    try:
        error = json.loads((ended or {}).get("message", ""))["error"]
        return f"{error['class']}: {error['message']}; {error['remedy']}"
    except (ValueError, KeyError, TypeError):
        return str(stopped.get("message", ""))


def _failed(terminated: dict[str, Any] | None) -> dict[str, Any] | None:
    return terminated if terminated is not None and terminated.get("exitCode", 0) != 0 else None


def _termination(containers: list[dict[str, Any]]) -> str:
    ended = (c.get("state", {}).get("terminated") or {} for c in containers)
    return next((str(t["message"]) for t in ended if t.get("message")), "")
