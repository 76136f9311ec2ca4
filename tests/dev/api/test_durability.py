"""The development API server over TLS, and its objects after a restart."""

import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
import yaml
from plugins.kubectl import kubectl_for

from reconciler.dev.api.server import ApiServer
from reconciler.dev.tls import Certificate

from .client import CORE, CRDS, KAITO, Client, config_map, definition, workspace

MAPS = f"{CORE}/configmaps"
TEAM = "/api/v1/namespaces/team/configmaps"


async def test_objects_definitions_and_versions_survive_a_restart(tmp_path):
    async with served(tmp_path) as api:
        await api.create(CRDS, definition())
        _, space = await api.create(f"{KAITO}/workspaces", workspace())
        await api.create(MAPS, config_map("old"))
        await api.delete(f"{MAPS}/old")
        _, kept = await api.create(MAPS, config_map())
        await api.create(MAPS, config_map("last"))
        await api.delete(f"{MAPS}/last")
    async with served(tmp_path):
        pass
    async with served(tmp_path) as api:
        assert await api.get(f"{MAPS}/settings") == (200, kept)
        assert (await api.get(f"{MAPS}/old"))[0] == 404
        assert await api.get(f"{KAITO}/workspaces/falcon") == (200, space)
        _, newer = await api.create(MAPS, config_map("new"))
        assert int(newer["metadata"]["resourceVersion"]) == int(kept["metadata"]["resourceVersion"]) + 3
        async with api.watch(MAPS, resourceVersion=space["metadata"]["resourceVersion"]) as watch:
            assert (await watch.next())[0] == "ERROR"


async def test_a_deletion_that_a_restart_interrupted_goes_on(tmp_path):
    held = config_map()
    held["metadata"]["finalizers"] = ["example.com/wait"]
    async with served(tmp_path) as api:
        await api.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
        await api.create(TEAM, held)
        await api.delete(f"{TEAM}/settings")
        await api.delete("/api/v1/namespaces/team")
    async with served(tmp_path) as api:
        await api.patch(f"{TEAM}/settings", {"metadata": {"finalizers": None}})
        await api.gone("/api/v1/namespaces/team")


async def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path):
    async with served(tmp_path) as api:
        await api.create(MAPS, config_map())
    with (tmp_path / "journal").open("ab") as journal:
        journal.write(b'{"resource":["","configmaps"],"type":"ADD')
    async with served(tmp_path) as api:
        assert len((await api.get(MAPS))[1]["items"]) == 1


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "journal").write_text('{"resource": 1}\n{}\n')
    with pytest.raises(ValueError, match=r"journal, line 1 is no line of a journal"):
        ApiServer(journal=tmp_path / "journal")


@asynccontextmanager
async def served(folder):
    server = ApiServer(journal=folder / "journal")
    await server.start()
    try:
        async with Client(server) as client:
            yield client
    finally:
        await server.stop()


async def test_kubectl_trusts_the_kubeconfig_of_a_server_with_tls(tmp_path):
    server = ApiServer(certificate=Certificate(tmp_path))
    await server.start()
    try:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        assert server.url.startswith("https://127.0.0.1:")
        (cluster,) = yaml.safe_load((tmp_path / "kubeconfig").read_text())["clusters"]
        assert cluster["cluster"]["server"] == server.url
        code, out, err = await kubectl_for(tmp_path / "kubeconfig", tmp_path)("get", "namespaces")
        assert (code, "default" in out) == (0, True), err
        context = ssl.create_default_context(cafile=tmp_path / "tls.crt")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{server.url}/api/v1/nodes", ssl=context) as response:
                assert response.status == 401
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"{server.url}/healthz")
    finally:
        await server.stop()
