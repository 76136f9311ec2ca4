"""Lists, selectors, pages, tables and metadata alone."""

import pytest
from contracts.api import config_map, deployment, names, pod
from contracts.widgets import widget

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


@pytest.fixture
def maps(api):
    return api.path("configmaps")


async def made(api, *wanted, **labels):
    for name in wanted:
        await api.made(api.path("configmaps"), config_map(name, n=name))
    for name, tier in labels.items():
        await api.made(api.path("configmaps"), config_map(name, labels={"tier": tier, name: "x"}))


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
async def test_labels_select_by(case, api, maps):
    selector, expected = case
    await made(api, a="gold", b="silver", c="gold")
    assert names(await api.seen(maps, labelSelector=f"suite=yes,{selector}")) == expected


async def test_a_selector_that_cannot_be_read_is_refused(api, maps):
    for selector in ("a in (", "a=b=c", "=x"):
        code, status = await api.get(maps, labelSelector=selector)
        assert (code, status["reason"]) == (400, "BadRequest"), selector


async def test_fields_select_where_the_kind_offers_them(api):
    pods = api.path("pods")
    await api.made(pods, pod("a", nodeName="n1"))
    await api.made(pods, pod("b"))
    assert names(await api.seen(pods, fieldSelector="spec.nodeName=n1")) == ["a"]
    assert names(await api.seen(pods, fieldSelector="metadata.name!=a")) == ["b"]
    assert names(await api.seen(pods, fieldSelector="status.phase=Pending")) == ["a", "b"]
    here = f"metadata.namespace={api.namespace}"
    assert names(await api.seen("/api/v1/pods", fieldSelector=here)) == ["a", "b"]
    code, status = await api.get(pods, fieldSelector="spec.hostname=x")
    assert (code, status["reason"]) == (400, "BadRequest")
    assert "spec.hostname" in status["message"]


async def test_a_list_has_the_clusters_version_and_items_without_a_kind(api, maps):
    await made(api, "a")
    listed = await api.seen(maps, labelSelector="suite")
    (item,) = listed["items"]
    assert (listed["kind"], listed["apiVersion"], item["data"]) == ("ConfigMapList", "v1", {"n": "a"})
    assert int(listed["metadata"]["resourceVersion"]) >= int(item["metadata"]["resourceVersion"])
    assert "kind" not in item
    recent = item["metadata"]["resourceVersion"]
    assert names(await api.seen(maps, labelSelector="suite", resourceVersion=recent)) == ["a"]


async def test_a_list_from_the_future_is_refused(api, maps):
    code, status = await api.get(maps, resourceVersion="999999999")
    assert (code, status["reason"]) == (504, "Timeout")
    assert "Too large resource version: 999999999" in status["message"]
    assert status["details"]["retryAfterSeconds"] == 1


async def test_items_of_custom_resources_say_their_kind(api, widgets_at):
    await api.made(widgets_at, widget())
    listed = await api.seen(widgets_at)
    assert (listed["kind"], listed["items"][0]["kind"]) == ("WidgetList", "Widget")


async def test_lists_of_one_namespace_and_of_all(api, maps):
    await made(api, "a")
    assert names(await api.seen(maps, labelSelector="suite")) == ["a"]
    everywhere = await api.seen("/api/v1/configmaps", labelSelector="suite")
    assert api.namespace in {item["metadata"]["namespace"] for item in everywhere["items"]}
    assert names(await api.seen("/api/v1/namespaces/nowhere/configmaps")) == []


async def test_pages_show_one_version_of_the_world(api):
    leases = api.path("coordination.k8s.io/leases")
    for name in "abcde":
        await api.made(leases, {"metadata": {"name": name}})
    first = await api.seen(leases, limit=2)
    assert (names(first), first["metadata"]["remainingItemCount"]) == (["a", "b"], 3)
    await api.made(leases, {"metadata": {"name": "bb"}})
    await api.delete(f"{leases}/d")
    second = await api.seen(leases, limit=2, continue_=first["metadata"]["continue"])
    third = await api.seen(leases, limit=2, continue_=second["metadata"]["continue"])
    assert names(second) + names(third) == ["c", "d", "e"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "continue" not in third["metadata"]


async def test_a_page_of_a_forgotten_version_is_expired_or_still_exact(api, server):
    """Servers since 1.34 may answer it from memory."""
    leases = api.path("coordination.k8s.io/leases")
    for name in "abc":
        await api.made(leases, {"metadata": {"name": name}})
    first = await api.seen(leases, limit=1)
    await api.made(leases, {"metadata": {"name": "d"}})
    await server.forget()
    code, answer = await api.get(leases, limit=9, continue_=first["metadata"]["continue"])
    if code == 200:
        assert names(answer) == ["b", "c"]
    else:
        assert (code, answer["reason"]) == (410, "Expired")


async def test_a_continue_token_that_is_none_is_refused(api, maps):
    code, status = await api.get(maps, limit=1, continue_="nonsense")
    assert (code, status["reason"]) == (400, "BadRequest")


async def test_tables_have_a_kinds_own_columns(api):
    await api.made(api.path("apps/deployments"), deployment(replicas=0))
    shown = await api.seen(api.path("apps/deployments"), headers={"Accept": TABLE})
    assert (shown["kind"], shown["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    narrow = [c["name"] for c in shown["columnDefinitions"] if not c["priority"]]
    assert narrow == ["Name", "Ready", "Up-to-date", "Available", "Age"]
    (row,) = shown["rows"]
    assert row["cells"][:4] == ["web", "0/0", 0, 0]
    assert (row["object"]["kind"], row["object"]["metadata"]["name"]) == ("PartialObjectMetadata", "web")


async def test_tables_of_pods_show_what_the_status_tells(api):
    await api.made(api.path("pods"), pod())
    shown = await api.seen(api.path("pods"), headers={"Accept": TABLE})
    columns = [c["name"] for c in shown["columnDefinitions"]]
    cells = dict(zip(columns, shown["rows"][0]["cells"], strict=True))
    assert [cells[name] for name in ("Name", "Ready", "Status")] == ["worker", "0/1", "Pending"]
    assert str(cells["Restarts"]) == "0"
    assert {"IP", "Node"} <= set(columns)


async def test_tables_of_custom_resources_have_their_printer_columns(api, widgets_at):
    await api.made(widgets_at, widget())
    other, ready = {"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}
    await api.patch(f"{widgets_at}/cog/status", {"status": {"conditions": [other, ready]}})
    shown = await api.seen(widgets_at, headers={"Accept": TABLE})
    assert [(c["name"], c["priority"]) for c in shown["columnDefinitions"]] == [
        ("Name", 0), ("Size", 0), ("Ready", 0), ("Colour", 1), ("Age", 0),
    ]  # fmt: skip
    assert shown["rows"][0]["cells"][:4] == ["cog", 1, "True", "grey"]
    one = await api.seen(f"{widgets_at}/cog", headers={"Accept": TABLE})
    assert [row["cells"][0] for row in one["rows"]] == ["cog"]


async def test_metadata_alone_can_be_read_and_listed(api, maps):
    await made(api, "a")
    listed = await api.seen(maps, labelSelector="suite", headers={"Accept": METADATA_LIST})
    assert (listed["kind"], listed["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    (item,) = listed["items"]
    assert set(item) - {"kind", "apiVersion"} == {"metadata"}
    one = await api.seen(f"{maps}/a", headers={"Accept": METADATA})
    assert (one["kind"], one["metadata"]["name"]) == ("PartialObjectMetadata", "a")
    assert "data" not in one


async def test_a_form_that_is_not_served_is_not_acceptable(api, maps):
    code, status = await api.get(maps, headers={"Accept": "application/x-unknown"})
    assert (code, status["reason"]) == (406, "NotAcceptable")
