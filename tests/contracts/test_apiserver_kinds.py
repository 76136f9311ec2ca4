"""Built-in kinds that programs coordinate by: Leases, Events, PodDisruptionBudgets, and rules of access."""

import asyncio

from contracts.ages import able
from contracts.api import names


async def test_one_of_many_takes_a_lease_and_renews_it(api):
    leases = api.path("coordination.k8s.io/leases")
    taken = []

    async def campaign(who):
        body = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": who, "leaseDurationSeconds": 15}}
        code, _ = await api.create(leases, body)
        if code == 201:
            taken.append(who)
        else:
            assert code == 409

    await asyncio.gather(*(campaign(f"p{number}") for number in range(8)))
    assert len(taken) == 1
    held = await api.seen(f"{leases}/leader")
    held["spec"]["renewTime"] = "2026-01-01T00:00:00.123456Z"
    code, renewed = await api.put(f"{leases}/leader", held)
    assert (code, renewed["spec"]["renewTime"]) == (200, "2026-01-01T00:00:00.123456Z")
    code, status = await api.put(f"{leases}/leader", {**held, "spec": {"holderIdentity": "thief"}})
    assert (code, status["reason"]) == (409, "Conflict")
    del held["metadata"]["resourceVersion"]
    code, status = await api.put(f"{leases}/leader", held)
    assert (code, status["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")


def event(name="worker.1", **fields):
    involved = {"kind": "Pod", "name": "worker", "namespace": fields.pop("namespace", "")}
    return {
        "metadata": {"name": name},
        "involvedObject": involved,
        "reason": "Failed",
        "message": "no node fits",
        "type": "Warning",
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
        **fields,
    }


async def test_events_are_found_by_what_they_are_about(api):
    events = api.path("events")
    await api.made(events, event(namespace=api.namespace))
    other = event("other.1", reason="Started", type="Normal", namespace=api.namespace)
    await api.made(events, other)
    for selector in ("involvedObject.name=worker,reason=Failed", "type=Warning", "reason=Failed"):
        assert names(await api.seen(events, fieldSelector=selector)) == ["worker.1"], selector
    _, again = await api.patch(f"{events}/worker.1", {"count": 2, "lastTimestamp": "2026-01-01T00:01:00Z"})
    assert (again["count"], again["firstTimestamp"]) == (2, "2026-01-01T00:00:00Z")


async def test_an_event_is_about_something_in_its_namespace(api):
    code, status = await api.create(api.path("events"), event(namespace="kube-system"))
    assert (code, status["reason"]) == (422, "Invalid")
    assert "involvedObject.namespace" in status["message"]


async def test_disruption_budgets_are_served_where_their_time_has_come(api, server):
    budgets = api.path("policy/poddisruptionbudgets")
    body = {
        "metadata": {"name": "web"},
        "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}},
    }
    code, made = await api.create(budgets, body)
    if not able(server.version, "policy/v1"):
        assert code == 404
        return
    assert (code, made["spec"]["minAvailable"]) == (201, "50%")
    both = {"spec": {"maxUnavailable": 1}}
    code, status = await api.patch(f"{budgets}/web", both)
    assert (code, status["reason"]) == (422, "Invalid")


async def test_rules_of_access_are_kept(api):
    roles = api.path("rbac.authorization.k8s.io/roles")
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    role = await api.made(roles, {"metadata": {"name": "reader"}, "rules": rules})
    assert role["rules"] == rules
    subject = {"kind": "ServiceAccount", "name": "somebody", "namespace": api.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    body = {"metadata": {"name": "reader"}, "roleRef": reference, "subjects": [subject]}
    bound = await api.made(api.path("rbac.authorization.k8s.io/rolebindings"), body)
    assert (bound["roleRef"], bound["subjects"]) == (reference, [subject])


async def test_a_network_policy_is_kept_with_its_defaults(api):
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": "http"}]}]}
    policies = api.path("networking.k8s.io/networkpolicies")
    made = await api.made(policies, {"metadata": {"name": "one-port"}, "spec": spec})
    assert made["spec"]["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    assert made["metadata"]["generation"] == 1
