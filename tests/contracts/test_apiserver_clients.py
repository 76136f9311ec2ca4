"""The Python client in its three forms: typed, dynamic and asynchronous."""

import asyncio

import pytest
from contracts import widgets
from contracts.api import STRATEGIC, bare, deployment
from contracts.widgets import GROUP, widget
from kubernetes import client as typed
from kubernetes import config, dynamic, watch
from kubernetes.aio import client as aio
from kubernetes.aio import config as aio_config
from kubernetes.aio import watch as aio_watch


@pytest.fixture
def connected(server):
    """A client of the library; it blocks, so calls go to threads."""
    configuration = typed.Configuration()
    config.load_kube_config(str(server.kubeconfig), client_configuration=configuration)
    with typed.ApiClient(configuration) as made:
        yield made


async def test_the_typed_client_creates_reads_patches_and_deletes(api, connected):
    def use():
        core = typed.CoreV1Api(connected)
        body = typed.V1ConfigMap(metadata=typed.V1ObjectMeta(name="settings"), data={"a": "1"})
        made = core.create_namespaced_config_map(api.namespace, body)
        assert made.metadata.uid
        found = core.list_namespaced_config_map(api.namespace, field_selector="metadata.name=settings")
        assert [each.metadata.name for each in found.items] == ["settings"]
        changed = core.patch_namespaced_config_map("settings", api.namespace, {"data": {"b": "2"}})
        assert changed.data == {"a": "1", "b": "2"}
        changed.data = {"c": "3"}
        assert core.replace_namespaced_config_map("settings", api.namespace, changed).data == {"c": "3"}
        with pytest.raises(typed.ApiException) as caught:
            core.replace_namespaced_config_map("settings", api.namespace, made)
        assert (caught.value.status, caught.value.reason) == (409, "Conflict")
        core.delete_namespaced_config_map("settings", api.namespace)
        with pytest.raises(typed.ApiException) as caught:
            core.read_namespaced_config_map("settings", api.namespace)
        assert caught.value.status == 404

    await asyncio.to_thread(use)


async def test_the_typed_client_reads_what_the_server_filled_in(api, connected):
    await api.made(api.path("apps/deployments"), deployment(replicas=0))

    def use():
        (found,) = typed.AppsV1Api(connected).list_namespaced_deployment(api.namespace).items
        (container,) = found.spec.template.spec.containers
        return found.spec.replicas, container.image_pull_policy, found.spec.strategy.type

    assert await asyncio.to_thread(use) == (0, "IfNotPresent", "RollingUpdate")


async def test_the_typed_client_watches(api, connected):
    await api.made(api.path("configmaps"), bare(a="1"))

    def use():
        seen = []
        stream = watch.Watch()
        listing = typed.CoreV1Api(connected).list_namespaced_config_map
        fields = "metadata.name=settings"
        for event in stream.stream(listing, api.namespace, field_selector=fields, timeout_seconds=30):
            seen.append((event["type"], event["object"].data))
            if len(seen) == 1:
                typed.CoreV1Api(connected).patch_namespaced_config_map(
                    "settings", api.namespace, {"data": {"a": "2"}}
                )
            else:
                stream.stop()
        return seen

    assert await asyncio.to_thread(use) == [("ADDED", {"a": "1"}), ("MODIFIED", {"a": "2"})]


async def test_the_dynamic_client_discovers_applies_and_reads(api, connected, tmp_path):
    await widgets.served(api)
    await api.until(f"/apis/{GROUP}/v1", lambda code, found: code == 200 and found["resources"])

    def use():
        cluster = dynamic.DynamicClient(connected)
        kind = cluster.resources.get(api_version=f"{GROUP}/v1", kind="Widget")
        made = kind.create(body=widget(), namespace=api.namespace)
        assert made.spec.colour == "grey"
        changed = kind.server_side_apply(
            body=widget(size=5), namespace=api.namespace, field_manager="us", force_conflicts=True
        )
        assert changed.spec.size == 5
        status = kind.status.patch(
            body={"status": {"phase": "Up"}}, name="cog", namespace=api.namespace,
            content_type="application/merge-patch+json",
        )  # fmt: skip
        assert status.status.phase == "Up"
        assert [each.metadata.name for each in kind.get(namespace=api.namespace).items] == ["cog"]
        kind.delete(name="cog", namespace=api.namespace)

    await asyncio.to_thread(use)


async def test_the_asynchronous_client_works_too(api, server):
    configuration = aio.Configuration()
    await aio_config.load_kube_config(str(server.kubeconfig), client_configuration=configuration)
    async with aio.ApiClient(configuration) as connected:
        core, apps = aio.CoreV1Api(connected), aio.AppsV1Api(connected)
        await apps.create_namespaced_deployment(api.namespace, deployment(replicas=0))
        patch = {"metadata": {"labels": {"x": "y"}}}
        changed = await apps.patch_namespaced_deployment("web", api.namespace, patch, _content_type=STRATEGIC)
        assert changed.metadata.labels == {"x": "y"}
        await core.create_namespaced_config_map(api.namespace, bare(a="1"))
        stream = aio_watch.Watch()
        listing = core.list_namespaced_config_map
        async with stream.stream(
            listing, api.namespace, field_selector="metadata.name=settings", timeout_seconds=30
        ) as events:
            async for event in events:
                assert (event["type"], event["object"].data) == ("ADDED", {"a": "1"})
                break
