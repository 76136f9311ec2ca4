"""What the operator makes of a Workspace: nodes, and a Deployment or a Job on them."""

from typing import Any

from reconciler.dev.cloud.nodes import node
from reconciler.dev.cloud.pools import Pool, PoolSpec
from reconciler.dev.node.simulated import FAIL
from reconciler.dev.objects import condition, finished, owner_reference, ready
from reconciler.model import names
from reconciler.model.world import Manifest

REVISION = "workspace.kaito.io/revision"
_TOLERATIONS = [
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
]


def content(workspace: Manifest) -> str:
    """The hash the operator keeps of what it acts on."""
    return names.fingerprint([workspace.get(part) for part in ("resource", "inference", "tuning")])


def instance_type(workspace: Manifest) -> str:
    return str(workspace["resource"].get("instanceType", ""))


def count(workspace: Manifest) -> int:
    return int(workspace["resource"].get("count") or 1)


def node_labels(workspace: Manifest) -> dict[str, str]:
    """Marks of its nodes; one GPU each, whatever the instance type."""
    metadata = workspace["metadata"]
    return {
        **(workspace["resource"]["labelSelector"].get("matchLabels") or {}),
        names.WORKSPACE: metadata["name"],
        names.WORKSPACE_NAMESPACE: metadata["namespace"],
    }


def new_node(workspace: Manifest, number: int, now: float) -> Manifest:
    labels = node_labels(workspace)
    spec = PoolSpec(
        key=workspace["metadata"]["name"],
        instance_type=instance_type(workspace),
        count=1,
        gpus_per_node=1,
        labels=labels,
    )
    name = f"ws{names.fingerprint(workspace['metadata']['uid'])[:9]}-{number}"
    return node(Pool(name=f"ws{name[2:11]}", spec=spec), name, True, now)


def is_tuning(workspace: Manifest) -> bool:
    return bool(workspace.get("tuning"))


def workload(workspace: Manifest) -> Manifest:
    """Deployment or Job of the Workspace's name; its pods fail where the Workspace is annotated so."""
    metadata = workspace["metadata"]
    selector = {names.WORKSPACE: metadata["name"]}
    tuning = is_tuning(workspace)
    template = {"metadata": _pod_metadata(workspace, selector), "spec": _pod(workspace)}
    spec: dict[str, Any] = {"template": template}
    if tuning:
        spec |= {"backoffLimit": 0, "completions": 1, "parallelism": 1}
    else:
        spec |= {"replicas": count(workspace), "selector": {"matchLabels": selector}}
    made = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "annotations": {REVISION: content(workspace)},
        "ownerReferences": [owner_reference(workspace)],
    }
    kind, version = ("Job", "batch/v1") if tuning else ("Deployment", "apps/v1")
    return {"apiVersion": version, "kind": kind, "metadata": made, "spec": spec}


def _pod_metadata(workspace: Manifest, labels: dict[str, str]) -> dict[str, Any]:
    failure = (workspace["metadata"].get("annotations") or {}).get(FAIL)
    return {"labels": labels, **({"annotations": {FAIL: failure}} if failure else {})}


def _pod(workspace: Manifest) -> dict[str, Any]:
    block = workspace.get("tuning") or workspace.get("inference") or {}
    preset = (block.get("preset") or {}).get("name", "template")
    container = {
        "name": "main",
        "image": f"mcr.microsoft.com/aks/kaito/kaito-{preset}:0.0.1",
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    spec = {
        "containers": [container],
        "tolerations": _TOLERATIONS,
        "nodeSelector": node_labels(workspace),
    }
    return spec | ({"restartPolicy": "Never"} if is_tuning(workspace) else {})


def trouble(pods: list[Manifest]) -> tuple[str, str]:
    """(reason, message) of a container that does not run, though it should."""
    for pod in pods:
        if finished(pod) or ready(pod):
            continue
        for container in pod.get("status", {}).get("containerStatuses") or []:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                return str(waiting["reason"]), str(waiting.get("message", ""))
    return "", ""


def all_ready(deployment: Manifest) -> bool:
    status = deployment.get("status", {})
    current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return bool(current and status.get("readyReplicas", 0) >= deployment["spec"]["replicas"])


def ended(job: Manifest, how: str) -> bool:
    found = condition(job, how)
    return found is not None and found["status"] == "True"
