"""The Node object of a simulated machine."""

import zlib
from typing import Any

from reconciler.dev.clock import timestamp
from reconciler.model.names import INSTANCE_TYPE, POOL
from reconciler.model.world import Manifest

from .pools import Pool

SIMULATED = "dev.reconciler.dev/simulated"
"""Annotation of nodes that the development node agent plays kubelet for."""


def node(pool: Pool, name: str, ready: bool, now: float) -> Manifest:
    """`name` as a member of `pool`, as its kubelet would register it."""
    spec = pool.spec
    own = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        INSTANCE_TYPE: spec.instance_type,
        "agentpool": pool.name,
        "kubernetes.azure.com/agentpool": pool.name,
        POOL: pool.name,
    }
    taints = [taint.model_dump() for taint in spec.taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": spec.labels | own, "annotations": {SIMULATED: "true"}},
        "spec": {"providerID": f"simulated:///{pool.name}/{name}"} | ({"taints": taints} if taints else {}),
        "status": _status(pool, name, ready, now),
    }


def _status(pool: Pool, name: str, ready: bool, now: float) -> dict[str, Any]:
    resources = {"cpu": "48", "memory": "440Gi", "pods": "110", "ephemeral-storage": "900Gi"}
    if pool.spec.gpus_per_node:
        resources["nvidia.com/gpu"] = str(pool.spec.gpus_per_node)
    number = zlib.crc32(name.encode())
    address = f"10.{224 + (number >> 16) % 16}.{(number >> 8) % 256}.{1 + number % 254}"
    return {
        "capacity": resources,
        "allocatable": resources,
        "conditions": [ready_condition(ready, now)],
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        "nodeInfo": _INFO | {"machineID": name, "systemUUID": name, "bootID": name},
    }


def ready_condition(ready: bool, now: float, lost: bool = False) -> dict[str, str]:
    status = "Unknown" if lost else str(ready)
    reason = "NodeStatusUnknown" if lost else "KubeletReady" if ready else "KubeletNotReady"
    message = "simulated machine is " + ("lost" if lost else "ready" if ready else "starting")
    said = {"type": "Ready", "status": status, "reason": reason, "message": message}
    return said | dict.fromkeys(("lastHeartbeatTime", "lastTransitionTime"), timestamp(now))


_INFO = {
    **dict.fromkeys(("kernelVersion", "osImage"), "simulated"),
    "containerRuntimeVersion": "simulated://1",
    **dict.fromkeys(("kubeletVersion", "kubeProxyVersion"), "v1.32.0"),
    "operatingSystem": "linux",
    "architecture": "amd64",
}
