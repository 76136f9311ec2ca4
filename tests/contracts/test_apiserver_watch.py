"""Watches: where they begin, what they tell, and how they end."""

import pytest
from contracts.api import config_map
from contracts.widgets import served, widget

SELECT = {"labelSelector": "suite"}


@pytest.fixture
def maps(api):
    return api.path("configmaps")


async def version_of(api, path):
    return (await api.seen(path))["metadata"]["resourceVersion"]


async def test_a_watch_goes_on_where_a_list_stopped(api, maps):
    await api.made(maps, config_map(a="1"))
    since = await version_of(api, maps)
    async with api.watch(maps, resourceVersion=since, **SELECT) as watch:
        await api.patch(f"{maps}/settings", {"data": {"a": "2"}})
        await api.delete(f"{maps}/settings")
        await api.made(maps, config_map("other"))
        events = await watch.events(3)
    assert [(kind, obj["metadata"]["name"]) for kind, obj in events] == [
        ("MODIFIED", "settings"),
        ("DELETED", "settings"),
        ("ADDED", "other"),
    ]
    assert {obj["kind"] for _, obj in events} == {"ConfigMap"}
    assert events[1][1]["data"] == {"a": "2"}
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in events]
    assert versions == sorted(set(versions)), "a deletion has a version of its own"
    async with api.watch(maps, resourceVersion=str(versions[0]), **SELECT) as resumed:
        assert [kind for kind, _ in await resumed.events(2)] == ["DELETED", "ADDED"]


@pytest.mark.parametrize("since", [{}, {"resourceVersion": "0"}], ids=["none", "zero"])
async def test_a_watch_without_a_version_starts_with_what_exists(since, api, maps):
    await api.made(maps, config_map())
    async with api.watch(maps, **since, **SELECT) as watch:
        kind, obj = await watch.next()
        assert (kind, obj["kind"], obj["metadata"]["name"]) == ("ADDED", "ConfigMap", "settings")
        await api.delete(f"{maps}/settings")
        assert (await watch.next())[0] == "DELETED"


async def test_entering_and_leaving_a_selection_are_added_and_deleted(api, maps):
    made = await api.made(maps, config_map("a", labels={"tier": "gold"}))
    since = made["metadata"]["resourceVersion"]
    async with api.watch(maps, resourceVersion=since, labelSelector="tier=silver") as watch:
        await api.patch(f"{maps}/a", {"metadata": {"labels": {"tier": "silver"}}})
        await api.patch(f"{maps}/a", {"data": {"x": "1"}})
        _, left = await api.patch(f"{maps}/a", {"metadata": {"labels": {"tier": "gold"}}})
        events = await watch.events(3)
    assert [kind for kind, _ in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[2][1]["metadata"]["labels"]["tier"] == "silver", "what it was while selected"
    assert events[2][1]["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]


async def test_one_object_can_be_watched_by_its_name(api, maps):
    await api.made(maps, config_map("a"))
    since = await version_of(api, maps)
    async with api.watch(maps, resourceVersion=since, fieldSelector="metadata.name=a") as watch:
        await api.made(maps, config_map("b"))
        await api.patch(f"{maps}/a", {"data": {"x": "1"}})
        assert (await watch.next())[1]["metadata"]["name"] == "a"


async def test_a_watch_sees_its_namespace_alone(api, maps):
    since = await version_of(api, maps)
    async with api.watch(maps, resourceVersion=since, **SELECT) as watch:
        await api.made("/api/v1/namespaces/default/configmaps", config_map(f"theirs-{api.namespace}"))
        await api.made(maps, config_map("ours"))
        assert (await watch.next())[1]["metadata"]["name"] == "ours"


async def test_custom_resources_are_watched_with_their_kind(api, widgets_at):
    since = await version_of(api, widgets_at)
    async with api.watch(widgets_at, resourceVersion=since) as watch:
        await api.made(widgets_at, widget())
        kind, obj = await watch.next()
    assert (kind, obj["kind"], obj["spec"]["colour"]) == ("ADDED", "Widget", "grey")


async def test_a_watch_from_a_forgotten_version_says_so_and_ends(api, server):
    """A server remembers a kind from when it was defined, and no longer than it must."""
    marker = await api.made(api.path("configmaps"), config_map())
    path = await served(api, f"{api.namespace}.example.com")
    body = {**widget(), "apiVersion": f"{api.namespace}.example.com/v1"}
    await api.made(path, body)
    await server.forget()
    since = marker["metadata"]["resourceVersion"]
    async with api.watch(path, resourceVersion=since) as watch:
        assert watch.response.status == 200
        kind, status = await watch.next()
        assert (kind, status["kind"], status["code"]) == ("ERROR", "Status", 410)
        assert status["reason"] in ("Expired", "Gone")
        assert await watch.next() is None


async def test_a_version_that_is_none_is_refused(api, maps):
    code, answer = await api.get(maps, watch="true", resourceVersion="x", timeoutSeconds=2)
    assert code >= 400 or answer["type"] == "ERROR", answer


async def test_a_watch_ends_when_its_time_is_up(api, maps):
    query = {"timeoutSeconds": "1", "resourceVersion": await version_of(api, maps)}
    async with api.watch(maps, **query, labelSelector="suite") as watch:
        assert await watch.next() is None


async def test_bookmarks_tell_how_far_a_watch_has_come(api, maps):
    await api.made(maps, config_map())
    since = await version_of(api, maps)
    query = {"allowWatchBookmarks": "true", "timeoutSeconds": "8", "resourceVersion": since}
    async with api.watch(maps, **query, labelSelector="nothing") as watch:
        _, changed = await api.patch(f"{maps}/settings", {"data": {"x": "1"}})
        kind, mark = await watch.next()
    assert (kind, mark["kind"]) == ("BOOKMARK", "ConfigMap")
    assert int(mark["metadata"]["resourceVersion"]) >= int(changed["metadata"]["resourceVersion"])
    assert "data" not in mark


async def test_python_and_go_spell_true_alike(api, maps):
    for word in ("true", "True", "1"):
        query = {"timeoutSeconds": 1, "resourceVersion": "0", "labelSelector": "suite=none"}
        code, text = await api.get(maps, watch=word, **query)
        assert (code, text) == (200, ""), word


async def test_a_thousand_changes_reach_every_watcher_in_order(api, maps):
    await api.made(maps, config_map())
    since = await version_of(api, maps)
    async with (
        api.watch(maps, resourceVersion=since, **SELECT) as one,
        api.watch(maps, resourceVersion=since, **SELECT) as two,
    ):
        for number in range(1000):
            await api.patch(f"{maps}/settings", {"data": {"n": str(number)}})
        for watch in (one, two):
            events = await watch.events(1000)
            assert [int(obj["data"]["n"]) for _, obj in events] == list(range(1000))


async def test_tables_can_be_watched(api, maps):
    await api.made(maps, config_map(a="1", b="2"))
    accept = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"}
    params = {"watch": "true", "timeoutSeconds": "2", **SELECT}
    async with api.session.get(api.url + maps, headers=accept, params=params) as response:
        assert response.status == 200
        lines = (await response.text()).splitlines()
    assert len(lines) == 1
    assert '"kind":"Table"' in lines[0]
    assert '"cells":["settings",2,' in lines[0]
