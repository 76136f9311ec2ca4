"""The whole package against the development API server."""

import asyncio
import random
from itertools import pairwise
from pathlib import Path

import pytest

from cluster.test_cache import OURS, Follower
from reconciler.cluster import apply, events
from reconciler.cluster.cache import Cache
from reconciler.cluster.client import Client
from reconciler.cluster.lease import Leadership
from reconciler.cluster.state import StateStore
from reconciler.cluster.wire import Patience
from reconciler.dev.api.faults import Fault
from reconciler.errors import Conflict, InvalidSpec, NotFound, Unavailable
from reconciler.model import names
from reconciler.model.names import ObjectKey
from reconciler.model.settings import ClusterSettings
from reconciler.model.world import Occupant

OWNED = {"annotations": {names.OWNER: "c/ai/w"}, "labels": {names.MANAGED_BY: names.MANAGER}}


def config(name: str = "a", value: str = "1", **metadata) -> dict:
    metadata = {"name": name, "namespace": "ai", **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


def deployment(**container) -> dict:
    labels = {"app": "web"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "x", "image": "i", **container}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "ai", **OWNED},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def definition(*versions: str) -> dict:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": names.CRD_NAME},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": "workspaces",
                "singular": "workspace",
                "kind": "Workspace",
                "listKind": "WorkspaceList",
            },
            "versions": [
                {
                    "name": each,
                    "served": True,
                    "storage": at == 0,
                    "schema": schema,
                    "subresources": {"status": {}},
                }
                for at, each in enumerate(versions)
            ],
        },
    }


KEY = ObjectKey("ConfigMap", "ai", "a")


async def test_an_object_lives_from_apply_to_delete(client: Client):
    applied = await client.apply(config())
    assert await client.get(KEY) == applied
    again = await client.apply(config())
    assert again["metadata"]["resourceVersion"] == applied["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        await client.create(config())
    patched = await client.merge_patch(KEY, {"data": {"more": "2"}})
    assert patched["data"] == {"value": "1", "more": "2"}
    with pytest.raises(Conflict):
        await client.replace(applied)
    with pytest.raises(Conflict):
        await client.delete(KEY, uid="somebody-else")
    assert await client.delete(KEY, uid=applied["metadata"]["uid"]) is True
    assert await client.delete(KEY) is False
    assert await client.get(KEY) is None


async def test_a_field_somebody_changed_is_taken_back(client: Client):
    await client.apply(config())
    await client.merge_patch(KEY, {"data": {"value": "theirs"}})
    assert (await client.apply(config()))["data"]["value"] == "1"


async def test_what_is_wrong_is_said(client: Client):
    with pytest.raises(NotFound, match="nowhere"):
        await client.apply(config(namespace="nowhere"))
    with pytest.raises(NotFound):
        await client.merge_patch(ObjectKey("ConfigMap", "ai", "none"), {})
    with pytest.raises(NotFound):
        await client.list("Workspace")
    with pytest.raises(InvalidSpec, match=r"patch ConfigMap ai/Not_Valid: .*metadata\.name"):
        await client.apply(config("Not_Valid"))
    with pytest.raises(InvalidSpec, match="Gadget"):
        await client.list("Gadget")


async def test_a_status_is_applied_apart(client: Client):
    await apply.install_crd(client, definition("v1alpha1"))
    workspace = {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "w", "namespace": "ai"},
    }
    await client.apply({**workspace, "resource": {"count": 1}})
    returned = await client.apply({**workspace, "status": {"phase": "Ready"}}, subresource="status")
    assert (returned["resource"], returned["status"]) == ({"count": 1}, {"phase": "Ready"})


async def test_a_fault_in_the_middle_of_a_write_leaves_one_object(apiserver, client: Client):
    apiserver.faults[:] = [
        Fault("reset", verb="patch"),
        Fault("429", verb="patch", seconds=0),
        Fault("500"),
    ]
    assert (await client.apply(config()))["data"] == {"value": "1"}
    apiserver.faults[:] = [Fault("reset", verb="delete")]
    assert await client.delete(KEY) is False
    assert await client.get(KEY) is None


async def test_a_long_list_is_whole(client: Client):
    await asyncio.gather(*(client.create(config(f"c{number}")) for number in range(1203)))
    found, version = await client.list("ConfigMap", "ai")
    assert {item["metadata"]["name"] for item in found} >= {f"c{number}" for number in range(1203)}
    assert int(version) > 1203


async def test_who_holds_a_name_is_one_list(apiserver, client: Client):
    await client.apply(config("ours", **OWNED))
    flux = {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}
    await client.create(config("theirs", **flux))
    await client.merge_patch(ObjectKey("ConfigMap", "ai", "theirs"), {"data": {"x": "y"}})
    apiserver.requests.clear()
    found = await apply.look(client, "ConfigMap", "ai")
    assert [seen.verb for seen in apiserver.requests] == ["list"]
    assert found[ObjectKey("ConfigMap", "ai", "ours")] == Occupant("c/ai/w", ())
    assert found[ObjectKey("ConfigMap", "ai", "theirs")].marks == ("kustomize.toolkit.fluxcd.io/name=apps",)


async def test_what_another_tool_wrote_names_the_tool(kubeconfig: Path, client: Client):
    await client.apply(config())
    raw = await client.list("ConfigMap", "ai")
    managed = [{**raw[0][0]["metadata"]["managedFields"][0], "manager": "kubectl-create"}]
    await client.merge_patch(KEY, {"metadata": {"managedFields": managed}})
    assert (await apply.look(client, "ConfigMap", "ai"))[KEY].managers == ("kubectl-create",)


async def test_a_field_the_server_does_not_know_is_dropped_and_known(client: Client):
    sent = deployment(resources={"limits": {"cpu": "1"}})
    returned = await client.apply(sent)
    assert apply.dropped_fields(sent, returned) == frozenset()
    del returned["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert apply.dropped_fields(sent, returned) == {"spec.template.spec.containers[name=x].resources"}


async def test_a_definition_is_installed_once_and_served_from_then_on(client: Client):
    assert await apply.workspace_versions(client) == []
    await apply.install_crd(client, definition("v1alpha1"))
    assert await apply.workspace_versions(client) == ["v1alpha1"]
    await apply.install_crd(client, definition("v1alpha1", "v1beta1"))
    assert await apply.workspace_versions(client) == ["v1alpha1"]


async def test_a_definition_of_one_version_takes_workspaces_of_the_other(client: Client):
    await apply.install_crd(client, definition("v1beta1"))
    client.serves("Workspace", await apply.workspace_versions(client))
    metadata = {"name": "w", "namespace": "ai"}
    await client.apply({"apiVersion": "kaito.sh/v1alpha1", "kind": "Workspace", "metadata": metadata})
    (found,), _ = await client.list("Workspace", "ai")
    assert found["apiVersion"] == "kaito.sh/v1beta1"


async def test_where_both_versions_are_served_each_is_written_as_it_is(client: Client):
    await apply.install_crd(client, definition("v1alpha1", "v1beta1"))
    client.serves("Workspace", await apply.workspace_versions(client))
    metadata = {"name": "w", "namespace": "ai"}
    written = await client.apply(
        {"apiVersion": "kaito.sh/v1beta1", "kind": "Workspace", "metadata": metadata}
    )
    (found,), _ = await client.list("Workspace", "ai")
    assert (written["apiVersion"], found["apiVersion"]) == ("kaito.sh/v1beta1", "kaito.sh/v1alpha1")


async def test_a_cluster_has_an_identity(client: Client):
    first = await apply.cluster_id(client)
    assert first == await apply.cluster_id(client) != ""


async def test_an_event_is_recorded_once(client: Client):
    about = await client.apply(config())
    for _ in range(3):
        await events.record(client, about, "Held", "waits for quota", "Warning")
    await events.record(client, about, "Held", "waits for a node")
    found, _ = await client.list("Event", "ai")
    assert sorted((e["reason"], e["message"], e["type"], e["involvedObject"]["uid"]) for e in found) == [
        ("Held", "waits for a node", "Normal", about["metadata"]["uid"]),
        ("Held", "waits for quota", "Warning", about["metadata"]["uid"]),
    ]


async def test_an_event_that_cannot_be_written_stops_nothing(client: Client):
    await events.record(client, config(namespace="nowhere"), "Held", "waits")


async def test_state_is_kept_by_key_and_survives_nonsense(client: Client):
    store = StateStore(client, "reconciler-system")
    assert await store.load() == {}
    await store.save({"gone": None})
    await store.save({"a": {"n": 1}, "b": [2]})
    await store.save({"b": None, "c": "x"})
    assert await store.load() == {"a": {"n": 1}, "c": "x"}
    key = ObjectKey("ConfigMap", "reconciler-system", names.STATE_CONFIGMAP)
    await client.merge_patch(key, {"data": {"bad": "{"}})
    assert await StateStore(client, "reconciler-system").load() == {"a": {"n": 1}, "c": "x"}


async def test_two_processes_make_the_state_at_once(client: Client):
    stores = [StateStore(client, "reconciler-system") for _ in range(8)]
    await asyncio.gather(*(store.save({f"k{at}": at}) for at, store in enumerate(stores)))
    assert await stores[0].load() == {f"k{at}": at for at in range(8)}


async def test_one_of_many_holds_the_lease(client: Client):
    told: asyncio.Queue[tuple[int, bool]] = asyncio.Queue()
    crowd = [
        Leadership(
            client,
            "reconciler-system",
            names.LEASE,
            f"p{at}",
            3,
            lambda held, at=at: told.put_nowait((at, held)),
        )
        for at in range(5)
    ]
    for each in crowd:
        await each.start()
    async with asyncio.timeout(10):
        winner, held = await told.get()
    assert held
    assert [each.held for each in crowd].count(True) == 1
    await crowd[winner].close()
    async with asyncio.timeout(10):
        assert await told.get() == (winner, False)
        heir, held = await told.get()
    assert held
    assert heir != winner
    for each in crowd:
        await each.close()


async def test_the_cache_follows_through_faults_and_restarts_of_history(
    apiserver, kubeconfig: Path, client: Client
):
    follower = Follower(client)
    await follower.cache.start()
    await follower.cache.synced()
    await client.apply(config("a", "1", **OWNED))
    await follower.until(lambda: follower.value() == "1")
    apiserver.store.compact()
    apiserver.store.drop_watches()
    await client.apply(config("a", "2", **OWNED))
    await client.apply(config("b", "1", **OWNED))
    await follower.until(lambda: follower.value() == "2" and follower.value("b") == "1")
    answer = await client.apply(config("a", "3", **OWNED))
    follower.cache.note(answer)
    assert follower.value() == "3"
    await client.merge_patch(KEY, {"metadata": {"labels": {names.MANAGED_BY: None}}})
    await follower.until(lambda: follower.value() is None)
    await follower.cache.close()
    assert ("a", "3", None) in follower.told


async def test_whatever_happens_the_cache_ends_as_the_cluster_is(apiserver, client: Client):
    """Writers, deleters, late answers and broken watches; each change is told once and in order."""
    chance = random.Random(7)
    told: dict[str, list] = {}
    cache = Cache(client, [OURS], lambda key, old, new: told.setdefault(key.name, []).append((old, new)))
    await cache.start()
    await cache.synced()

    async def write(number: int) -> None:
        name = f"c{chance.randrange(12)}"
        if chance.random() < 0.3:
            await client.delete(ObjectKey("ConfigMap", "ai", name))
        else:
            cache.note(await client.apply(config(name, str(number), **OWNED)))
        if number % 25 == 0:
            apiserver.store.compact()
        if number % 10 == 0:
            apiserver.store.drop_watches()

    for first in range(0, 400, 8):
        await asyncio.gather(*(write(first + at) for at in range(8)))

    async def live() -> dict[str, str]:
        found, _ = await client.list("ConfigMap", "ai", labels=OURS.labels)
        return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in found}

    wanted = await live()
    async with asyncio.timeout(20):
        while {
            m["metadata"]["name"]: m["metadata"]["resourceVersion"] for m in cache.of_kind("ConfigMap")
        } != wanted:
            await asyncio.sleep(0.02)
    await cache.close()
    for name, changes in told.items():
        assert changes[0][0] is None
        assert all(before[1] is after[0] for before, after in pairwise(changes))
        assert (changes[-1][1] is not None) == (name in wanted)


async def test_a_resync_with_nothing_changed_asks_nothing(apiserver, client: Client):
    await client.apply(config("a", "1", **OWNED))
    follower = Follower(client)
    await follower.cache.start()
    await follower.cache.synced()
    apiserver.requests.clear()
    assert [follower.cache.get(KEY) for _ in range(100)]
    assert [seen for seen in apiserver.requests if seen.verb != "watch"] == []
    await follower.cache.close()


async def test_the_cluster_is_unavailable_once_stopped(apiserver, kubeconfig: Path):
    client = await Client.connect(ClusterSettings(kubeconfig=kubeconfig), patience=Patience(total=0.3))
    await apiserver.stop()
    with pytest.raises(Unavailable):
        await client.get(KEY)
    await client.close()
