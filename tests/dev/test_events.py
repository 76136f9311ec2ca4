"""What `kubectl describe` finds under Events: what controllers, scheduler and node did to an object."""

import pytest
from plugins.world import pod, pod_spec, workload

FAIL = "dev.reconciler.dev/fail"
WORKLOADS = {
    "Deployment": [("Normal", "ScalingReplicaSet", "deployment-controller")],
    "StatefulSet": [("Normal", "SuccessfulCreate", "statefulset-controller")],
    "Job": [
        ("Normal", "SuccessfulCreate", "job-controller"),
        ("Normal", "Completed", "job-controller"),
    ],
}
FAILURES = {
    "ImagePullBackOff": {("Warning", "Failed"), ("Normal", "BackOff")},
    "CrashLoopBackOff": {("Normal", "Started"), ("Warning", "BackOff")},
}


async def events(bench, kind, name):
    found, _ = await bench.client.list("Event", "default")
    return [
        (event["type"], event["reason"], event["source"]["component"])
        for event in found
        if (event["involvedObject"]["kind"], event["involvedObject"]["name"]) == (kind, name)
    ]


async def told(bench, kind, name, wanted):
    """Waits until all these were told, and nothing else."""

    async def check():
        return sorted(set(await events(bench, kind, name))) == sorted(wanted)

    await bench.eventually(check)


@pytest.mark.parametrize("kind", WORKLOADS)
async def test_controllers_tell_what_they_made(bench, kind):
    await bench.add_node("n")
    spec = pod_spec(restartPolicy="Never") if kind == "Job" else pod_spec()
    more = {"serviceName": "w"} if kind == "StatefulSet" else {}
    await bench.client.create(workload(kind, "w", spec, **more))
    await told(bench, kind, "w", WORKLOADS[kind])


async def test_a_pods_way_to_running_is_told(bench):
    await bench.add_node("n")
    await bench.client.create(pod("p", pod_spec()))
    wanted = [("Normal", "Scheduled", "default-scheduler"), ("Normal", "Started", "kubelet")]
    await told(bench, "Pod", "p", wanted)


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_pods_failures_are_told(bench, failure):
    await bench.add_node("n")
    await bench.client.create(pod("p", pod_spec(), **{FAIL: failure}))

    async def check():
        return {(kind, reason) for kind, reason, by in await events(bench, "Pod", "p") if by == "kubelet"}

    await bench.eventually(lambda: _is(check, FAILURES[failure]))


async def _is(check, wanted):
    return await check() == wanted
