"""Deletion: finalizers, grace, preconditions, propagation, collections and namespaces."""

import pytest
from contracts.api import config_map, names, pod

ANY_UID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def maps(api):
    return api.path("configmaps")


async def test_a_deletion_tells_what_it_deleted(api, maps):
    made = await api.made(maps, config_map())
    code, status = await api.delete(f"{maps}/settings")
    assert (code, status["kind"], status["status"]) == (200, "Status", "Success")
    assert status["details"] == {"name": "settings", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    code, status = await api.delete(f"{maps}/settings")
    assert (code, status["reason"]) == (404, "NotFound")


async def test_finalizers_keep_an_object_until_they_are_gone(api, maps):
    body = config_map()
    body["metadata"]["finalizers"] = ["example.com/first", "example.com/second"]
    await api.made(maps, body)
    code, kept = await api.delete(f"{maps}/settings")
    assert (code, kept["kind"]) == (200, "ConfigMap")
    assert kept["metadata"]["deletionTimestamp"]
    _, again = await api.delete(f"{maps}/settings")
    assert again["metadata"]["deletionTimestamp"] == kept["metadata"]["deletionTimestamp"]
    added = {"metadata": {"finalizers": ["example.com/first", "example.com/third"]}}
    code, status = await api.patch(f"{maps}/settings", added)
    assert (code, status["reason"]) == (422, "Invalid")
    code, _ = await api.patch(f"{maps}/settings", {"metadata": {"finalizers": ["example.com/first"]}})
    assert code == 200
    assert (await api.get(f"{maps}/settings"))[0] == 200
    code, last = await api.patch(f"{maps}/settings", {"metadata": {"finalizers": None}})
    assert (code, last["metadata"]["name"]) == (200, "settings")
    assert (await api.get(f"{maps}/settings"))[0] == 404


async def test_watches_see_the_mark_and_then_the_end(api, maps):
    body = config_map()
    body["metadata"]["finalizers"] = ["example.com/wait"]
    made = await api.made(maps, body)
    since = made["metadata"]["resourceVersion"]
    async with api.watch(maps, resourceVersion=since, labelSelector="suite") as watch:
        await api.delete(f"{maps}/settings")
        await api.patch(f"{maps}/settings", {"metadata": {"finalizers": None}})
        (first, marked), (second, _) = await watch.events(2)
    assert (first, second) == ("MODIFIED", "DELETED")
    assert marked["metadata"]["deletionTimestamp"]


async def test_a_pod_on_a_node_is_given_time(api):
    path = api.path("pods", "worker")
    await api.made(api.path("pods"), pod(nodeName="somewhere", terminationGracePeriodSeconds=60))
    code, marked = await api.delete(path)
    assert (code, marked["metadata"]["deletionGracePeriodSeconds"]) == (200, 60)
    code, shorter = await api.delete(path, gracePeriodSeconds=20)
    assert (code, shorter["metadata"]["deletionGracePeriodSeconds"]) == (200, 20)
    assert (await api.seen(path))["metadata"]["deletionTimestamp"]
    assert (await api.delete(path, gracePeriodSeconds=0))[0] == 200
    assert (await api.get(path))[0] == 404


async def test_a_pod_on_no_node_goes_at_once(api):
    await api.made(api.path("pods"), pod())
    assert (await api.delete(api.path("pods", "worker")))[0] == 200
    assert (await api.get(api.path("pods", "worker")))[0] == 404


async def test_preconditions_hold_or_nothing_is_deleted(api, maps):
    made = await api.made(maps, config_map())
    version = made["metadata"]["resourceVersion"]
    for wrong in ({"uid": ANY_UID}, {"resourceVersion": "1"}):
        code, status = await api.delete(f"{maps}/settings", _options(preconditions=wrong))
        assert (code, status["reason"]) == (409, "Conflict")
        assert "precondition" in status["message"]
    right = {"uid": made["metadata"]["uid"], "resourceVersion": version}
    assert (await api.delete(f"{maps}/settings", _options(preconditions=right)))[0] == 200


def _options(**fields):
    return {"apiVersion": "v1", "kind": "DeleteOptions", **fields}


async def family(api, maps, *, blocks=False):
    """An owner with one dependent."""
    owner = await api.made(maps, config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    child = config_map("child")
    child["metadata"]["ownerReferences"] = [reference | {"blockOwnerDeletion": blocks}]
    await api.made(maps, child)


@pytest.mark.controllers
async def test_dependents_follow_their_owner_in_the_background(api, maps):
    await family(api, maps)
    code, status = await api.delete(f"{maps}/owner", _options(propagationPolicy="Background"))
    assert (code, status["status"]) == (200, "Success")
    assert (await api.get(f"{maps}/owner"))[0] == 404
    await api.gone(f"{maps}/child")


@pytest.mark.controllers
async def test_an_owner_waits_for_its_dependents_in_the_foreground(api, maps):
    await family(api, maps, blocks=True)
    held = {"metadata": {"finalizers": ["example.com/wait"]}}
    await api.patch(f"{maps}/child", held)
    code, owner = await api.delete(f"{maps}/owner", _options(propagationPolicy="Foreground"))
    assert code == 200
    assert owner["metadata"]["finalizers"] == ["foregroundDeletion"]
    await api.until(f"{maps}/child", lambda _, child: child["metadata"].get("deletionTimestamp"))
    assert (await api.get(f"{maps}/owner"))[0] == 200
    await api.patch(f"{maps}/child", {"metadata": {"finalizers": None}})
    await api.gone(f"{maps}/owner")


@pytest.mark.controllers
async def test_orphans_stay_without_their_owner(api, maps):
    await family(api, maps)
    assert (await api.delete(f"{maps}/owner", _options(propagationPolicy="Orphan")))[0] == 200
    await api.gone(f"{maps}/owner")
    orphan = await api.until(f"{maps}/child", lambda _, c: "ownerReferences" not in c["metadata"])
    assert "deletionTimestamp" not in orphan["metadata"]


async def test_an_unknown_policy_is_refused(api, maps):
    await api.made(maps, config_map())
    code, status = await api.delete(f"{maps}/settings", _options(propagationPolicy="Whatever"))
    assert (code, status["reason"]) == (422, "Invalid")


async def test_a_collection_is_deleted_by_selector(api, maps):
    for name, tier in (("a", "gold"), ("b", "silver"), ("c", "gold")):
        await api.made(maps, config_map(name, labels={"tier": tier}))
    assert (await api.delete(maps, labelSelector="tier=gold"))[0] == 200
    assert names(await api.seen(maps, labelSelector="suite")) == ["b"]


@pytest.mark.controllers
async def test_a_namespace_takes_everything_with_it(api, maps, widgets_at):
    body = config_map()
    body["metadata"]["finalizers"] = ["example.com/wait"]
    await api.made(maps, body)
    await api.made(api.path("coordination.k8s.io/leases"), {"metadata": {"name": "lease"}})
    home = f"/api/v1/namespaces/{api.namespace}"
    code, _ = await api.delete(home)
    assert code == 200
    ending = await api.seen(home)
    assert (ending["status"]["phase"], ending["spec"]["finalizers"]) == ("Terminating", ["kubernetes"])
    code, status = await api.create(maps, config_map("late"))
    assert (code, status["reason"]) == (403, "Forbidden")
    assert status["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    await api.until(f"{maps}/settings", lambda _, obj: obj["metadata"].get("deletionTimestamp"))
    await api.gone(api.path("coordination.k8s.io/leases", "lease"))
    assert (await api.get(home))[0] == 200
    await api.patch(f"{maps}/settings", {"metadata": {"finalizers": None}})
    await api.gone(home)


@pytest.mark.controllers
async def test_a_namespace_that_is_gone_can_be_made_anew(api):
    home = f"/api/v1/namespaces/{api.namespace}"
    await api.delete(home)
    await api.gone(home)
    made = await api.made("/api/v1/namespaces", {"metadata": {"name": api.namespace}})
    assert made["status"]["phase"] == "Active"


async def test_some_namespaces_are_there_from_the_start_and_stay(api):
    for name in ("default", "kube-system"):
        assert (await api.seen(f"/api/v1/namespaces/{name}"))["status"]["phase"] == "Active"
        code, status = await api.delete(f"/api/v1/namespaces/{name}")
        assert (code, status["reason"]) == (403, "Forbidden")
