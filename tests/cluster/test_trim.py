from copy import deepcopy

import pytest

from reconciler.cluster.trim import trimmed

MANAGED = [
    {"manager": "reconciler", "operation": "Apply", "fieldsV1": {"f:spec": {}}},
    {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status"},
    {"manager": "keda", "operation": "Update", "subresource": "scale"},
    {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {}}},
]
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n", "labels": {"a": "b"}, "annotations": {"c": "d"}, "managedFields": MANAGED},
    "spec": {"taints": [{"key": "gpu"}], "unschedulable": True, "podCIDR": "10.0.0.0/24"},
    "status": {
        "allocatable": {"nvidia.com/gpu": "1"},
        "capacity": {"nvidia.com/gpu": "1"},
        "images": [{"names": ["x"]}],
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": "now"},
            {"type": "DiskPressure", "status": "False"},
        ],
    },
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "managedFields": MANAGED, "labels": {"kaito.sh/workspace": "w"}},
    "spec": {
        "nodeName": "n",
        "containers": [{"name": "c", "image": "i", "env": [{"name": "X"}]}],
        "volumes": [{}],
    },
    "status": {"phase": "Running"},
}


def test_a_node_is_its_readiness_and_what_fits():
    assert trimmed(NODE) == {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n", "labels": {"a": "b"}},
        "spec": {"taints": [{"key": "gpu"}], "unschedulable": True},
        "status": {
            "allocatable": {"nvidia.com/gpu": "1"},
            "capacity": {"nvidia.com/gpu": "1"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def test_a_pod_keeps_where_it_runs_and_its_status():
    kept = trimmed(POD)
    assert kept["spec"] == {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}
    assert kept["status"] == POD["status"]
    assert "managedFields" not in kept["metadata"]


@pytest.mark.parametrize("kind", ["Workspace", "Deployment", "StatefulSet", "Job", "Service", "ConfigMap"])
def test_others_that_own_fields_of_our_kinds_are_kept(kind: str):
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "reconciler.dev/owner": "o"}
    kept = trimmed(
        {"kind": kind, "metadata": {"name": "x", "managedFields": MANAGED, "annotations": applied}}
    )
    assert [entry["manager"] for entry in kept["metadata"]["managedFields"]] == ["keda", "kubectl-edit"]
    assert kept["metadata"]["annotations"] == {"reconciler.dev/owner": "o"}


def test_the_original_is_not_changed():
    before = deepcopy((NODE, POD))
    trimmed(NODE)
    trimmed(POD)
    assert before == (NODE, POD)
