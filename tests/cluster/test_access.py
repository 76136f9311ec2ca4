import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

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


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A new key and its certificate for 127.0.0.1, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl, to make a certificate")
    path = tmp_path / "self-signed.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
         "-keyout", "key.pem", "-out", "certificate.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    path.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "certificate.pem").read_text())
    return path


@pytest.fixture
async def encrypted(script: Script, certificate: Path) -> AsyncIterator[str]:
    """The scripted server's answers over TLS, with a certificate of its own making."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    server = TestServer(web.Application(), scheme="https")
    server.app.router.add_route("*", "/{path:.*}", script.answer)
    await server.start_server(ssl=tls)
    yield str(server.make_url("")).rstrip("/")
    await server.close()


async def test_a_certificate_of_the_kubeconfig_is_trusted_and_no_other(
    tmp_path, script: Script, encrypted: str, certificate: Path
):
    script.reply(web.json_response(VERSION))
    trusting = write_kubeconfig(tmp_path / "config", encrypted, **{"certificate-authority": str(certificate)})
    client = await Client.connect(ClusterSettings(kubeconfig=trusting), patience=QUICK)
    assert await client.get_raw("/version") == VERSION
    await client.close()
    wary = write_kubeconfig(tmp_path / "other", encrypted)
    client = await Client.connect(ClusterSettings(kubeconfig=wary), patience=QUICK)
    with pytest.raises(Unavailable, match=r"no TLS connection.*self-signed"):
        await client.get_raw("/version")
    await client.close()
    assert len(script.requests) == 1


async def test_the_environment_names_the_kubeconfig_where_the_settings_do_not(
    tmp_path, script: Script, monkeypatch
):
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "config", script.url)))
    script.reply(web.json_response(VERSION))
    client = await Client.connect(ClusterSettings(), patience=QUICK)
    assert await client.get_raw("/version") == VERSION
    await client.close()


async def test_a_proxy_of_the_environment_is_used_but_for_its_exceptions(
    tmp_path, script: Script, monkeypatch
):
    monkeypatch.setenv("http_proxy", script.url)
    script.reply(web.json_response(VERSION))
    path = write_kubeconfig(tmp_path / "config", "http://cluster.invalid:6443")
    client = await Client.connect(ClusterSettings(kubeconfig=path), patience=QUICK)
    assert await client.get_raw("/version") == VERSION
    await client.close()
    monkeypatch.setenv("no_proxy", "cluster.invalid")
    client = await Client.connect(ClusterSettings(kubeconfig=path), patience=QUICK)
    with pytest.raises(Unavailable, match="no answer"):
        await client.get_raw("/version")
    await client.close()
