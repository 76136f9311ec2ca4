"""Which pods stand behind a Service, as its EndpointSlices tell."""

import pytest
from plugins.world import pod, pod_spec


def service(name="web", **spec):
    metadata = {"name": name, "namespace": "default", "labels": {"team": "a"}}
    ports = {"ports": [{"name": "http", "port": 80, "targetPort": "serving"}]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": {"app": "web"}} | ports | spec,
    }


def backend(name, number=8080, **more):
    made = pod(name, pod_spec(**more))
    made["metadata"]["labels"] = {"app": "web", "pod": name}
    made["spec"]["containers"][0]["ports"] = [{"name": "serving", "containerPort": number}]
    return made


async def slices(bench, name="web"):
    found, _ = await bench.client.list(
        "EndpointSlice", "default", labels=f"kubernetes.io/service-name={name}"
    )
    return found


def ready_pods(found):
    return sorted(
        endpoint["targetRef"]["name"]
        for each in found
        for endpoint in each.get("endpoints") or []
        if endpoint["conditions"]["ready"]
    )


async def becomes(bench, *names):
    async def so():
        found = await slices(bench)
        return found if found and ready_pods(found) == sorted(names) else None

    return await bench.eventually(so)


async def test_ready_pods_are_named_with_the_number_of_their_port(bench):
    await bench.client.create(service())
    await bench.client.create(backend("a"))
    await becomes(bench)
    await bench.add_node("n")
    [found] = await becomes(bench, "a")
    live = await bench.get("Pod", "a")
    assert [(p["name"], p["port"], p["protocol"]) for p in found["ports"]] == [("http", 8080, "TCP")]
    [endpoint] = found["endpoints"]
    assert (endpoint["addresses"], endpoint["nodeName"]) == ([live["status"]["podIP"]], "n")
    labels = found["metadata"]["labels"]
    assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    assert labels["team"] == "a"
    assert found["metadata"]["name"].startswith("web-")


async def test_pods_that_name_different_numbers_stand_in_slices_of_their_own(bench):
    await bench.add_node("n")
    await bench.client.create(service())
    await bench.client.create(backend("a", 8080))
    await bench.client.create(backend("b", 9090))
    found = await becomes(bench, "a", "b")
    assert {each["ports"][0]["port"]: ready_pods([each]) for each in found} == {8080: ["a"], 9090: ["b"]}
    await bench.delete("Pod", "b")
    [left] = await becomes(bench, "a")
    assert left["ports"][0]["port"] == 8080


async def test_a_pod_that_is_not_ready_is_told_as_such(bench):
    await bench.add_node("n")
    await bench.client.create(service())
    await bench.client.create(backend("a"))
    await becomes(bench, "a")
    await bench.patch("Pod", "a", {"metadata": {"labels": {"app": "other"}}})
    await becomes(bench)
    await bench.patch("Service", "web", {"spec": {"selector": {"app": "other"}}})
    await becomes(bench, "a")


async def test_a_service_may_ask_for_pods_that_are_not_ready(bench):
    unready = backend("a")
    unready["metadata"]["annotations"] = {"dev.reconciler.dev/fail": "CrashLoopBackOff"}
    await bench.add_node("n")
    await bench.client.create(unready)
    await bench.client.create(service(publishNotReadyAddresses=True, clusterIP="None"))
    [found] = await becomes(bench, "a")
    assert found["endpoints"][0]["conditions"]["serving"] is False
    assert "service.kubernetes.io/headless" in found["metadata"]["labels"]


@pytest.mark.parametrize(
    "spec", [{"selector": None}, {"type": "ExternalName", "externalName": "example.com"}], ids=str
)
async def test_services_that_choose_no_pods_get_no_slice(bench, spec):
    await bench.client.create(service("other", **spec))
    await bench.client.create(service())
    await becomes(bench)
    assert await slices(bench, "other") == []


async def test_slices_go_with_their_service(bench):
    await bench.client.create(service())
    await becomes(bench)
    await bench.delete("Service", "web")

    async def gone():
        return not await slices(bench)

    await bench.eventually(gone)
