"""`reconciler dev …` as a person uses it: commands, their output and their exit status."""

import asyncio
import os
import signal
import sys

import aiohttp
import pytest

from reconciler.cluster.client import Client
from reconciler.dev.home import holder, running
from reconciler.dev.process import end
from reconciler.errors import Conflict
from reconciler.model.names import ObjectKey
from reconciler.model.settings import ClusterSettings

POOL = {"key": "ai/phi", "instanceType": "Standard_NC", "count": 1, "gpusPerNode": 1}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [{"name": "main", "image": "app:1"}],
                "tolerations": [{"operator": "Exists"}],
            },
        },
    },
}


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "dev"
    end(tmp_path / "dev")


async def dev(command, folder, *more):
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reconciler", "dev", command, "--dir", str(folder), *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    return child.returncode, out.decode(), err.decode()


async def connected(folder):
    return await Client.connect(ClusterSettings(kubeconfig=folder / "kubeconfig"))


async def eventually(check):
    async with asyncio.timeout(30):
        while not (found := await check()):
            await asyncio.sleep(0.05)
    return found


async def serves(client):
    """The version of the Deployment once its pod is available."""

    async def available():
        found = await client.get(ObjectKey("Deployment", "default", "web"))
        ready = found and found.get("status", {}).get("availableReplicas") == 1
        return found if ready else None

    return await eventually(available)


async def test_it_comes_up_says_what_is_there_and_goes_down(folder):
    assert await dev("status", folder) == (3, f"down: no development cluster runs in {folder}\n", "")
    code, out, err = await dev("up", folder, "--fast", "--tls")
    assert (code, out) == (0, f"export KUBECONFIG={folder}/kubeconfig\n"), err
    pid = holder(folder)
    assert running(folder).apiserver.startswith("https://127.0.0.1:")
    client = await connected(folder)
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ai"}})
    await client.close()
    assert (await dev("up", folder))[:2] == (0, out)
    assert holder(folder) == pid
    code, said, _ = await dev("status", folder)
    assert code == 0
    assert f"up (pid {pid})" in said
    assert "nodes" in said and str(folder / "kubeconfig") in said
    assert (await dev("down", folder))[0] == 0
    assert holder(folder) == 0


async def test_what_is_kept_survives_being_killed(folder):
    code, out, err = await dev("up", folder, "--fast", "--persist")
    assert code == 0, err
    before = running(folder)
    async with aiohttp.ClientSession(before.cloud) as cloud:
        await cloud.put("/pools/rabc", json=POOL)
    client = await connected(folder)
    await client.create(WEB)
    last = await serves(client)
    os.kill(before.pid, signal.SIGKILL)
    await eventually(lambda: asyncio.to_thread(lambda: holder(folder) == 0))
    code, _, why = await dev("status", folder)
    assert (code, "it was killed or crashed" in why) == (3, True)
    assert (await dev("up", folder, "--fast", "--persist"))[:2] == (0, out)
    after = running(folder)
    assert (after.apiserver, after.cloud, after.git) == (before.apiserver, before.cloud, before.git)
    assert after.pid != before.pid
    found = await serves(client)  # the same client, with the same address and token
    assert found["metadata"]["uid"] == last["metadata"]["uid"]
    made = await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}})
    assert int(made["metadata"]["resourceVersion"]) > int(last["metadata"]["resourceVersion"])
    async with aiohttp.ClientSession(after.cloud) as cloud, cloud.get("/pools") as answer:
        assert [pool["state"] for pool in (await answer.json())["pools"]] == ["ready"]
    pods, _ = await client.list("Pod", "default")
    assert [pod["status"]["phase"] for pod in pods] == ["Running"]
    await client.close()


async def test_a_service_of_a_local_process_answers_on_this_machine(folder, tmp_path):
    images = tmp_path / "images.yaml"
    images.write_text(
        "- {image: app*, python: current, command: [python, -m, http.server, '8000'], hostArgument: --bind}"
    )
    assert (await dev("up", folder, "--fast", "--images", str(images)))[0] == 0
    async with aiohttp.ClientSession(running(folder).cloud) as cloud:
        await cloud.put("/pools/rabc", json=POOL)
    client = await connected(folder)
    service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]}
    metadata = {"name": "web", "namespace": "default"}
    await client.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
    await client.create(WEB)
    await serves(client)
    await client.close()
    proxy = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reconciler", "dev", "proxy", "default/web:80", "--dir", str(folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert proxy.stdout is not None
    address = (await proxy.stdout.readline()).decode().strip()

    async def answered():
        """The program may be up before it listens."""
        try:
            async with aiohttp.ClientSession() as http, http.get(f"http://{address}/") as answer:
                return "Directory listing" in await answer.text()
        except aiohttp.ClientError:
            return False

    await eventually(answered)
    proxy.send_signal(signal.SIGINT)
    assert await proxy.wait() == 0
    await proxy.communicate()


async def test_a_port_that_is_taken_is_named_with_the_remedy(folder):
    await dev("up", folder, "--fast", "--persist")
    port = int(running(folder).apiserver.rpartition(":")[2])
    await dev("down", folder)
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    code, out, err = await dev("up", folder, "--persist")
    taken.close()
    assert (code, out) == (1, "")
    assert f"port {port}, where the apiserver of this cluster was before, is taken" in err
    assert "identity.json" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [("api: [{action: '500', colour: red}]", "colour"), ("cloud: [{kind: gremlins}]", "gremlins")],
)
async def test_faults_that_are_none_are_refused(folder, tmp_path, text, said):
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    code, _, err = await dev("up", folder, "--faults", str(path))
    assert code == 1
    assert str(path) in err and said in err


async def test_faults_are_in_force_from_the_start(folder, tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text("api: [{action: '409', verb: create, resource: configmaps}]\ncloud: [{kind: quota}]\n")
    assert (await dev("up", folder, "--fast", "--faults", str(path)))[0] == 0
    client = await connected(folder)
    with pytest.raises(Conflict, match="injected fault 409"):
        await client.create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
        )
    await client.close()
    at = running(folder).cloud
    async with aiohttp.ClientSession(at) as cloud, cloud.put("/pools/rabc", json=POOL) as answer:
        assert answer.status == 403
