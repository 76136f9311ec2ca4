"""Garbage collection by owner and the end of a namespace."""

import asyncio

from .client import APPS, CORE, config_map, deployment

MAPS = f"{CORE}/configmaps"


def owned(name, owner, **flags):
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        **flags,
    }
    return {"metadata": {"name": name, "ownerReferences": [reference]}}


async def test_dependents_follow_their_owner_down_the_line(api):
    _, top = await api.create(MAPS, config_map("top"))
    _, middle = await api.create(MAPS, owned("middle", top))
    await api.create(MAPS, owned("bottom", middle))
    await api.create(MAPS, config_map("stranger"))
    await api.delete(f"{MAPS}/top")
    await api.gone(f"{MAPS}/middle")
    await api.gone(f"{MAPS}/bottom")
    assert (await api.get(f"{MAPS}/stranger"))[0] == 200


async def test_a_second_owner_keeps_a_dependent(api):
    _, one = await api.create(MAPS, config_map("one"))
    _, two = await api.create(MAPS, config_map("two"))
    both = owned("child", one)
    both["metadata"]["ownerReferences"] += owned("child", two)["metadata"]["ownerReferences"]
    await api.create(MAPS, both)
    await api.create(MAPS, owned("only", one))
    await api.delete(f"{MAPS}/one")
    await api.gone(f"{MAPS}/only")
    assert (await api.get(f"{MAPS}/child"))[0] == 200


async def test_orphans_stay_without_their_reference(api):
    _, owner = await api.create(f"{APPS}/deployments", deployment())
    await api.create(MAPS, owned("child", owner))
    await api.delete(f"{APPS}/deployments/web", {"propagationPolicy": "Orphan"})
    await api.gone(f"{APPS}/deployments/web")
    _, child = await api.get(f"{MAPS}/child")
    assert "ownerReferences" not in child["metadata"]


async def test_in_the_foreground_the_owner_goes_last(api):
    _, owner = await api.create(f"{APPS}/deployments", deployment())
    blocked = owned("child", owner, blockOwnerDeletion=True)
    blocked["metadata"]["finalizers"] = ["a/b"]
    await api.create(MAPS, blocked)
    await api.delete(f"{APPS}/deployments/web", {"propagationPolicy": "Foreground"})
    async with asyncio.timeout(5):
        while "deletionTimestamp" not in (await api.get(f"{MAPS}/child"))[1]["metadata"]:
            await asyncio.sleep(0.01)
    _, waiting = await api.get(f"{APPS}/deployments/web")
    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    await api.patch(f"{MAPS}/child", {"metadata": {"finalizers": None}})
    await api.gone(f"{APPS}/deployments/web")


async def test_an_object_of_an_owner_that_never_was_is_collected(api):
    ghost = config_map("ghost") | {"metadata": {"name": "ghost", "uid": "no-such-uid"}}
    await api.create(MAPS, owned("child", ghost))
    await api.gone(f"{MAPS}/child")


async def test_a_namespace_takes_its_contents_with_it(api):
    team = "/api/v1/namespaces/team"
    await api.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
    await api.create(f"{team}/configmaps", {"metadata": {"name": "held", "finalizers": ["a/b"]}})
    await api.create(f"{team}/configmaps", config_map("free"))
    _, ending = await api.delete(team)
    assert ending["status"]["phase"] == "Terminating"
    await api.gone(f"{team}/configmaps/free")
    code, status = await api.create(f"{team}/configmaps", config_map("late"))
    assert (code, status["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
    await api.patch(f"{team}/configmaps/held", {"metadata": {"finalizers": None}})
    await api.gone(team)
