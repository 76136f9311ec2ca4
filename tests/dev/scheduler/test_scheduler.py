"""Where pods go, and what is said of those that fit nowhere."""

import pytest
from plugins.world import pod, pod_spec

AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution"


def affinity(*expressions):
    return {"nodeAffinity": {AFFINITY: {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}}}


def named(*names):
    term = {"matchFields": [expression("metadata.name", "In", *names)]}
    return {"nodeAffinity": {AFFINITY: {"nodeSelectorTerms": [term]}}}


def either(*expressions):
    terms = [{"matchExpressions": [each]} for each in expressions]
    return {"nodeAffinity": {AFFINITY: {"nodeSelectorTerms": terms}}}


def expression(key, operator, *values):
    return {"key": key, "operator": operator} | ({"values": list(values)} if values else {})


PLACES = {
    "a selected label": {"nodeSelector": {"team": "b"}},
    "one of several values": {"affinity": affinity(expression("team", "In", "b", "c"))},
    "any but a value": {"affinity": affinity(expression("team", "NotIn", "a"))},
    "a label that is there": {"affinity": affinity(expression("fast", "Exists"))},
    "a label that is not there": {"affinity": affinity(expression("slow", "DoesNotExist"))},
    "more than a number": {"affinity": affinity(expression("size", "Gt", "5"))},
    "a node's name": {"affinity": named("right")},
    "one of several rules": {
        "affinity": either(expression("team", "In", "x"), expression("team", "In", "b"))
    },
    "less than a number": {"affinity": affinity(expression("age", "Lt", "5"))},
}


@pytest.mark.parametrize("spec", PLACES.values(), ids=PLACES.keys())
async def test_goes_where_the_labels_say(bench, spec):
    await bench.add_node("left", team="a", slow="yes", size="1", age="9")
    await bench.add_node("right", team="b", fast="yes", size="9", age="1")
    await bench.client.create(pod("p", pod_spec(**spec)))
    placed = await bench.until("Pod", "p", lambda p: p["spec"].get("nodeName"))
    assert placed["spec"]["nodeName"] == "right"


async def test_says_why_a_pod_fits_nowhere(bench):
    await bench.add_node("small-1", gpus=1)
    await bench.add_node("small-2", gpus=1)
    await bench.add_node("other", team="x")
    await bench.client.create(pod("p", pod_spec(gpus=2)))
    stuck = await bench.until("Pod", "p", lambda p: "3 nodes" in message(p))
    assert condition(stuck)["reason"] == "Unschedulable"
    assert message(stuck) == "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    await bench.client.create(pod("q", pod_spec(gpus=1, tolerations=[], nodeSelector={"agentpool": "hand"})))
    stuck = await bench.until("Pod", "q", message)
    told = "1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint {sku: gpu}"
    assert message(stuck) == f"0/3 nodes are available: {told}."


async def test_kubectl_describe_shows_why_a_pod_waits(bench):
    await bench.client.create(pod("p", pod_spec()))

    async def told():
        return [e for e in (await bench.client.list("Event"))[0] if e["reason"] == "FailedScheduling"]

    [event] = await bench.eventually(told)
    assert event["message"] == "no nodes available to schedule pods"
    assert (event["type"], event["source"]["component"]) == ("Warning", "default-scheduler")
    assert event["involvedObject"]["name"] == "p"


ANTI = {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "kubernetes.io/hostname"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"affinity": {"podAntiAffinity": {AFFINITY: [ANTI]}}}, "required podAntiAffinity"),
        (
            {
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
                ]
            },
            "topologySpreadConstraints with DoNotSchedule",
        ),
    ],
)
async def test_rules_between_pods_are_refused_rather_than_ignored(bench, spec, said):
    await bench.add_node("n")
    await bench.client.create(pod("p", pod_spec(**spec)))
    stuck = await bench.until("Pod", "p", message)
    assert message(stuck) == f"this development cluster does not model {said}"


async def test_a_node_that_is_cordoned_takes_no_more_pods(bench):
    await bench.add_node("n")
    await bench.patch("Node", "n", {"spec": {"unschedulable": True}})
    await bench.client.create(pod("p", pod_spec()))
    stuck = await bench.until("Pod", "p", message)
    assert "untolerated taint {node.kubernetes.io/unschedulable: }" in message(stuck)
    await bench.patch("Node", "n", {"spec": {"unschedulable": None}})
    await bench.until("Pod", "p", lambda p: p["spec"].get("nodeName") == "n")


async def test_another_schedulers_pods_are_left_to_it(bench):
    await bench.add_node("n")
    await bench.client.create(pod("theirs", pod_spec(schedulerName="other")))
    await bench.client.create(pod("ours", pod_spec()))
    await bench.until("Pod", "ours", lambda p: p["spec"].get("nodeName"))
    assert "nodeName" not in (await bench.get("Pod", "theirs"))["spec"]


def condition(pod):
    found = pod.get("status", {}).get("conditions") or []
    return next((each for each in found if each["type"] == "PodScheduled" and each["status"] == "False"), {})


def message(pod):
    return condition(pod).get("message", "")


async def test_a_waiting_pod_goes_to_a_node_that_joins_later(bench):
    await bench.client.create(pod("p", pod_spec(nodeSelector={"team": "b"})))
    stuck = await bench.until("Pod", "p", message)
    assert message(stuck) == "no nodes available to schedule pods"
    await bench.add_node("wrong", team="a")
    await bench.add_node("right", team="b", ready=False)
    await bench.patch(
        "Node", "right", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "status"
    )
    placed = await bench.until("Pod", "p", lambda p: p["spec"].get("nodeName"))
    assert placed["spec"]["nodeName"] == "right"


async def test_a_waiting_pod_takes_the_place_of_one_that_goes(bench):
    await bench.add_node("only", gpus=1)
    await bench.client.create(pod("first", pod_spec(gpus=1)))
    await bench.until("Pod", "first", lambda p: p["spec"].get("nodeName"))
    await bench.client.create(pod("second", pod_spec(gpus=1)))
    await bench.until("Pod", "second", message)
    await bench.delete("Pod", "first")
    await bench.until("Pod", "second", lambda p: p["spec"].get("nodeName"))


async def test_requests_of_cpu_and_memory_count(bench):
    await bench.add_node("only", cpu="1")
    wants = [{"name": "m", "image": "i", "resources": {"requests": {"cpu": "600m", "memory": "1Gi"}}}]
    for name in ("a", "b"):
        await bench.client.create(pod(name, {"containers": wants}))
    stuck = await bench.until("Pod", "b", message)
    assert message(stuck) == "0/1 nodes are available: 1 Insufficient cpu."
