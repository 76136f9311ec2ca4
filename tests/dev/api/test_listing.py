"""Lists, selectors, pages, watches and tables."""

import asyncio

import pytest

from .client import APPS, CORE, KAITO, config_map, deployment, pod, workspace

MAPS = f"{CORE}/configmaps"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"


def names(listed):
    return [item["metadata"]["name"] for item in listed["items"]]


async def labelled(api, **labels):
    for name, value in labels.items():
        await api.create(MAPS, {"metadata": {"name": name, "labels": {"tier": value, name: "x"}}})


SELECTORS = {
    "equality": ("tier=gold", ["a", "c"]),
    "double equality": ("tier==gold", ["a", "c"]),
    "inequality, which an absent label satisfies": ("tier!=gold", ["b"]),
    "membership": ("tier in (gold, silver)", ["a", "b", "c"]),
    "exclusion": ("tier notin (gold)", ["b"]),
    "presence": ("a", ["a"]),
    "absence": ("!a", ["b", "c"]),
    "all of several": ("tier=gold,!a", ["c"]),
}


@pytest.mark.parametrize("case", SELECTORS.values(), ids=SELECTORS.keys())
async def test_labels_select_by(case, api):
    selector, expected = case
    await labelled(api, a="gold", b="silver", c="gold")
    assert names((await api.get(MAPS, labelSelector=selector))[1]) == expected


async def test_fields_select_where_the_kind_offers_them(api):
    await api.create(f"{CORE}/pods", pod("a", nodeName="n1"))
    await api.create(f"{CORE}/pods", pod("b"))
    assert names((await api.get("/api/v1/pods", fieldSelector="spec.nodeName=n1"))[1]) == ["a"]
    assert names((await api.get("/api/v1/pods", fieldSelector="metadata.name!=a"))[1]) == ["b"]
    code, status = await api.get("/api/v1/pods", fieldSelector="spec.hostname=x")
    assert (code, status["message"]) == (400, 'field label not supported: "spec.hostname"')


async def test_a_list_has_the_cluster_version_and_items_without_a_kind(api):
    await api.create(MAPS, config_map(a="1"))
    _, listed = await api.get("/api/v1/configmaps", resourceVersion="0")
    (item,) = listed["items"]
    assert (listed["kind"], item["data"]) == ("ConfigMapList", {"a": "1"})
    assert int(listed["metadata"]["resourceVersion"]) >= int(item["metadata"]["resourceVersion"])
    assert "kind" not in item


async def test_pages_show_one_version_of_the_world(api):
    for name in "abcde":
        await api.create(MAPS, config_map(name))
    _, first = await api.get(MAPS, limit="2")
    assert (names(first), first["metadata"]["remainingItemCount"]) == (["a", "b"], 3)
    await api.create(MAPS, config_map("bb"))
    await api.delete(f"{MAPS}/d")
    _, second = await api.get(MAPS, limit="2", **{"continue": first["metadata"]["continue"]})
    _, third = await api.get(MAPS, limit="2", **{"continue": second["metadata"]["continue"]})
    assert names(second) + names(third) == ["c", "d", "e"]
    assert "continue" not in third["metadata"]


async def test_a_page_of_a_forgotten_version_is_expired(api, apiserver):
    for name in "ab":
        await api.create(MAPS, config_map(name))
    _, first = await api.get(MAPS, limit="1")
    await api.create(MAPS, config_map("c"))
    apiserver.store.compact()
    code, status = await api.get(MAPS, **{"continue": first["metadata"]["continue"]})
    assert (code, status["reason"]) == (410, "Expired")


async def test_a_watch_goes_on_where_a_list_stopped(api):
    await api.create(MAPS, config_map(a="1"))
    _, listed = await api.get(MAPS)
    async with api.watch(MAPS, resourceVersion=listed["metadata"]["resourceVersion"]) as watch:
        await api.patch(f"{MAPS}/settings", {"data": {"a": "2"}})
        await api.delete(f"{MAPS}/settings")
        await api.create(MAPS, config_map("other"))
        events = [await watch.next() for _ in range(3)]
    assert [(kind, obj["metadata"]["name"]) for kind, obj in events] == [
        ("MODIFIED", "settings"),
        ("DELETED", "settings"),
        ("ADDED", "other"),
    ]
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in events]
    assert versions == sorted(set(versions))
    async with api.watch(MAPS, resourceVersion=str(versions[0])) as resumed:
        assert (await resumed.next())[0] == "DELETED"


async def test_a_watch_without_a_version_starts_with_what_exists(api):
    await api.create(MAPS, config_map())
    async with api.watch("/api/v1/configmaps") as watch:
        kind, obj = await watch.next()
    assert (kind, obj["kind"], obj["metadata"]["name"]) == ("ADDED", "ConfigMap", "settings")


async def test_entering_and_leaving_a_selection_are_added_and_deleted(api):
    await labelled(api, a="gold")
    async with api.watch(MAPS, resourceVersion="1", labelSelector="tier=silver") as watch:
        await api.patch(f"{MAPS}/a", {"metadata": {"labels": {"tier": "silver"}}})
        await api.patch(f"{MAPS}/a", {"data": {"x": "1"}})
        await api.patch(f"{MAPS}/a", {"metadata": {"labels": {"tier": "gold"}}})
        events = [await watch.next() for _ in range(3)]
    assert [kind for kind, _ in events] == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_watch_sees_its_namespace_alone(api):
    await api.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
    async with api.watch(MAPS, resourceVersion="1") as watch:
        await api.create("/api/v1/namespaces/team/configmaps", config_map("theirs"))
        await api.create(MAPS, config_map("ours"))
        assert (await watch.next())[1]["metadata"]["name"] == "ours"


async def test_a_watch_from_a_forgotten_version_says_so_and_ends(api, apiserver):
    _, made = await api.create(MAPS, config_map())
    await api.patch(f"{MAPS}/settings", {"data": {"a": "1"}})
    apiserver.store.compact()
    async with api.watch(MAPS, resourceVersion=made["metadata"]["resourceVersion"]) as watch:
        kind, status = await watch.next()
        assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
        assert await watch.next() is None


async def test_a_version_from_the_future_is_refused(api):
    code, status = await api.get(MAPS, watch="true", resourceVersion="999999")
    assert (code, status["reason"]) == (504, "Timeout")


async def test_a_watch_ends_when_its_time_is_up(api):
    async with api.watch(MAPS, timeoutSeconds="1") as watch:
        assert await watch.next() is None


async def test_initial_events_end_with_a_bookmark(api):
    await api.create(MAPS, config_map())
    query = {
        "sendInitialEvents": "true",
        "allowWatchBookmarks": "true",
        "resourceVersionMatch": "NotOlderThan",
    }
    async with api.watch(MAPS, **query) as watch:
        assert (await watch.next())[0] == "ADDED"
        kind, mark = await watch.next()
    assert kind == "BOOKMARK"
    assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_thousand_changes_reach_every_watcher_in_order(api):
    await api.create(MAPS, config_map())

    async def follow(watch):
        return [int((await watch.next())[1]["data"]["n"]) for _ in range(1000)]

    async with (
        api.watch(MAPS, resourceVersion=(await api.get(MAPS))[1]["metadata"]["resourceVersion"]) as one,
        api.watch(MAPS, resourceVersion=(await api.get(MAPS))[1]["metadata"]["resourceVersion"]) as two,
    ):
        following = asyncio.gather(follow(one), follow(two))
        for number in range(1000):
            await api.patch(f"{MAPS}/settings", {"data": {"n": str(number)}})
        assert await following == [list(range(1000))] * 2


async def table(api, path):
    async with api.session.get(path, headers={"Accept": TABLE}) as response:
        return await response.json()


async def test_tables_have_a_kinds_own_columns(api):
    await api.create(f"{APPS}/deployments", deployment(replicas=3))
    shown = await table(api, f"{APPS}/deployments")
    assert [c["name"] for c in shown["columnDefinitions"] if not c["priority"]] == [
        "Name",
        "Ready",
        "Up-to-date",
        "Available",
        "Age",
    ]
    (row,) = shown["rows"]
    assert row["cells"][:4] == ["web", "0/3", 0, 0]
    assert row["object"]["kind"] == "PartialObjectMetadata"


async def test_tables_of_custom_resources_have_their_printer_columns(kaito):
    await kaito.create(f"{KAITO}/workspaces", workspace())
    ready = {
        "status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}
    }
    await kaito.patch(f"{KAITO}/workspaces/falcon/status", ready)
    shown = await table(kaito, f"{KAITO}/workspaces")
    assert [c["name"] for c in shown["columnDefinitions"]] == ["Name", "Instance", "Ready", "Age"]
    assert shown["rows"][0]["cells"][:3] == ["falcon", "Standard_NC24ads_A100_v4", "True"]


async def test_metadata_alone_can_be_listed(api):
    await api.create(MAPS, config_map(a="1"))
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    async with api.session.get(MAPS, headers={"Accept": accept}) as response:
        listed = await response.json()
    assert listed["kind"] == "PartialObjectMetadataList"
    assert set(listed["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_a_form_that_is_not_served_is_not_acceptable(api):
    async with api.session.get(MAPS, headers={"Accept": "application/cbor"}) as response:
        assert response.status == 406
