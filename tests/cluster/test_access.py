import sys

import pytest
from aiohttp import web

from cluster.conftest import QUICK, Script, status, write_kubeconfig
from reconciler.cluster.client import Client
from reconciler.errors import NotPermitted, Unavailable
from reconciler.model.settings import ClusterSettings

VERSION = {"gitVersion": "v1.32.0"}


def plugin(code: str) -> dict:
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": ["-c", code],
            "interactiveMode": "Never",
        }
    }


def printing(token: str) -> str:
    return (
        "import json; print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1',"
        f" 'kind': 'ExecCredential', 'status': {{'token': {token}}}}}))"
    )


BROKEN = {
    "a file that is not there": (None, "cannot be used"),
    "a file that is no YAML": ("{", "cannot be used"),
    "a file with something else in it": ("- a\n- b\n", "cannot be used"),
    "a context that does not exist": (
        "{clusters: [], contexts: [], users: [], current-context: x}",
        "name x",
    ),
}


@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN.keys())
async def test_an_unusable_kubeconfig_is_one_sentence(tmp_path, content, words):
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Unavailable, match=words) as caught:
        await Client.connect(ClusterSettings(kubeconfig=path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_server_that_is_no_url_is_refused(tmp_path):
    path = write_kubeconfig(tmp_path / "config", "example.com:6443")
    with pytest.raises(Unavailable, match=r"example\.com:6443"):
        await Client.connect(ClusterSettings(kubeconfig=path))


async def test_a_failing_plugin_is_quoted(tmp_path, script: Script):
    path = write_kubeconfig(tmp_path / "config", script.url, plugin("import sys; sys.exit('log in first')"))
    with pytest.raises(NotPermitted, match="log in first"):
        await Client.connect(ClusterSettings(kubeconfig=path))


async def test_a_plugin_runs_again_when_its_token_has_expired(tmp_path, script: Script):
    count = tmp_path / "count"
    count.write_text("")
    code = f"p={str(count)!r}; open(p,'a').write('x'); " + printing("'t%d' % len(open(p).read())")
    path = write_kubeconfig(tmp_path / "config", script.url, plugin(code))

    async def only_the_second(request: web.Request) -> web.StreamResponse:
        good = request.headers["Authorization"] == "Bearer t2"
        return web.json_response(VERSION) if good else status(401, "Unauthorized")

    script.reply(only_the_second)
    client = await Client.connect(ClusterSettings(kubeconfig=path), patience=QUICK)
    assert await client.get_raw("/version") == VERSION
    await client.close()
    assert count.read_text() == "xx"


async def test_a_token_file_is_read_again(tmp_path, script: Script):
    token = tmp_path / "token"
    token.write_text("old")
    path = write_kubeconfig(tmp_path / "config", script.url, {"tokenFile": str(token)})
    client = await Client.connect(ClusterSettings(kubeconfig=path), patience=QUICK)

    async def only_new(request: web.Request) -> web.StreamResponse:
        good = request.headers["Authorization"] == "Bearer new"
        return web.json_response(VERSION) if good else status(401, "Unauthorized")

    script.reply(only_new)
    token.write_text("new")
    assert await client.get_raw("/version") == VERSION
    await client.close()


async def test_a_revoked_token_is_not_permitted(tmp_path, script: Script):
    script.reply(status(401, "Unauthorized"))
    path = write_kubeconfig(tmp_path / "config", script.url)
    client = await Client.connect(ClusterSettings(kubeconfig=path), patience=QUICK)
    with pytest.raises(NotPermitted, match="expired"):
        await client.get_raw("/version")
    await client.close()
