"""`python -m tuner.download` as the init container calls it: exit codes, last line, termination message."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import artifacts
import pytest
import tuner

from .data_server import PARQUET, DataServer, Resource

SOURCES = [str(Path(package.__file__).parents[1]) for package in (artifacts, tuner)]
SECRET = "hunter2"


@pytest.fixture
def server():
    with DataServer().serving() as server:
        yield server


class Pod:
    def __init__(self, folder):
        self.folder, self.data, self.env = folder, folder / "data", {}

    def settings(self, *urls, **wanted):
        said = {
            "workspace": {"namespace": "team-a", "name": "tune"},
            "preset": "phi-2",
            "base": {"repository": "microsoft/phi-2"},
            "method": "lora",
            "contentKey": "k",
            "input": {"urls": urls, "path": str(self.data), **wanted},
            "output": {},
        }
        (self.folder / "settings.json").write_text(json.dumps(said))

    def start(self, *prefix):
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(SOURCES),
            "RECONCILER_SETTINGS": str(self.folder / "settings.json"),
            "RECONCILER_TERMINATION_LOG": str(self.folder / "end"),
            **self.env,
        }
        command = [*prefix, sys.executable, "-m", "tuner.download"]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *urls, **wanted):
        """The exit code, the log and the termination message."""
        self.settings(*urls, **wanted)
        return self.end(self.start())

    def end(self, process):
        log, _ = process.communicate(timeout=60)
        return process.returncode, log, json.loads((self.folder / "end").read_text())


@pytest.fixture
def pod(tmp_path):
    return Pod(tmp_path)


def test_done(pod, server):
    code, log, end = pod.run(server.put("/t.parquet"), allowHosts=[server.host])
    assert (code, end) == (0, {"data": {"files": 1, "size": len(PARQUET)}})
    assert log.splitlines()[-1] == f"INFO 1 files, 500.0 KiB, in {pod.data}"


def test_nothing_to_do(pod):
    assert pod.run()[0::2] == (0, {"data": {"files": 0, "size": 0}})
    assert not pod.data.exists()


@pytest.mark.parametrize(
    ("path", "code", "error_class"),
    [
        ("/absent.parquet", 2, "DownloadFailed"),
        ("/page.parquet", 2, "BadData"),
        ("/big.parquet", 2, "DownloadRefused"),
    ],
)
def test_the_last_line_tells_what_the_message_tells(pod, server, path, code, error_class):
    server.put("/page.parquet", b"<html>")
    server.put("/big.parquet")
    found, log, end = pod.run(server.url(path), allowHosts=[server.host], maxBytes=1000)
    error = end["error"]
    assert (found, error["class"]) == (code, error_class)
    assert log.splitlines()[-1] == f"ERROR {error_class}: {error['message']}; {error['remedy']}"


def test_a_stopped_pod_goes_on(pod, server):
    slow = [Resource(PARQUET, drops=[100_000])]
    url = server.put("/t.parquet", answers=[*slow, Resource(b"", status=503, headers={"Retry-After": "60"})])
    pod.settings(url, allowHosts=[server.host])
    process = pod.start()
    while len(server.requests) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    code, _, end = pod.end(process)
    assert (code, end["error"]["class"]) == (1, "Interrupted")
    assert pod.run(url, allowHosts=[server.host])[0] == 0
    assert (pod.data / "t.parquet").read_bytes() == PARQUET
    assert server.ranges() == ["", "bytes=100000-", "bytes=100000-"]


def test_secrets_are_not_told(pod, server):
    query = f"?sig={SECRET}#{SECRET}"
    server.put("/moved", b"", status=302, headers={"Location": f"/t.parquet?sig={SECRET}"})
    server.put("/t.parquet", drops=[10], answers=[Resource(b"", status=503)])
    server.put("/page.parquet", b"<html>")
    for name, location in {"away": "10.0.0.1:80", "broken": f"a:{SECRET}"}.items():
        target = f"http://u:{SECRET}@{location}/x?sig={SECRET}"
        server.put(f"/{name}", b"", status=302, headers={"Location": target})
    said = []
    for path in ("/moved", "/page.parquet", "/away", "/broken", "/absent"):
        url = server.url(path + query, host=f"u:{SECRET}@127.0.0.1")
        said.append(str(pod.run(url, allowHosts=[server.host])))
    said.append(str(pod.run(f"http://u:{SECRET}@host:port/{query}")))
    said.append(str(pod.run(f"ftp://u:{SECRET}@host/{query}")))
    said.append(str(pod.run({"url": SECRET})))
    assert SECRET not in "".join(said)
    assert [text[1] for text in said] == ["0", *"2222222"]
    assert SECRET in server.requests[0].path
    assert "Authorization" in server.requests[0].headers
    assert "redirects to a malformed address" in said[3]
    assert SECRET not in "".join(path.read_text("latin1") for path in pod.data.iterdir())


def test_settings_are_named_when_they_are_wrong(pod):
    (pod.folder / "settings.json").write_text("{}")
    code, _, end = pod.end(pod.start())
    assert (code, end["error"]["class"]) == (2, "BadConfig")
    assert end["error"]["message"] == "settings.json: workspace: Field required"
    pod.env["RECONCILER_SETTINGS"] = str(pod.folder / "absent.json")
    code, _, end = pod.end(pod.start())
    assert (code, end["error"]["message"]) == (2, "settings.json: No such file or directory")


def test_a_table_of_stand_ins(pod, server):
    known, table = "https://hub.example/a/rows.parquet", pod.folder / "stand-ins.json"
    table.write_text(json.dumps({"models": {"phi-2": "/m"}, "urls": {known: server.put("/x")}}))
    pod.env["RECONCILER_STAND_INS"] = str(table)
    code, log, _ = pod.run(known, allowHosts=[server.host])
    assert (code, [path.name for path in pod.data.glob("[!.]*")]) == (0, ["rows.parquet"])
    assert f"stand-in: {server.url('/x')}" in log
    table.write_text("[")
    code, _, end = pod.run(known)
    assert (code, end["error"]["class"]) == (2, "BadConfig")
    assert end["error"]["message"].startswith("RECONCILER_STAND_INS: content: Invalid JSON")


def test_a_folder_that_cannot_be_written(pod, server):
    pod.data.write_text("a file")
    code, _, end = pod.run(server.put("/t.parquet"), allowHosts=[server.host])
    assert (code, end["error"]["class"]) == (2, "DownloadFailed")
    assert end["error"]["message"] == f"{pod.data}: File exists"


def test_a_volume_without_room(pod, server):
    pod.settings(server.put("/t.parquet"), allowHosts=[server.host])
    code, log, end = pod.end(pod.start("prlimit", "--fsize=100000"))
    assert (code, end["error"]["class"]) == (2, "DownloadFailed")
    assert "volume" in end["error"]["remedy"]
    assert "Traceback" not in log


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a key and a certificate for `localhost`, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, made, both = folder / "key.pem", folder / "made.pem", folder / "both.pem"
    asked = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    command = ["openssl", *asked.split(), "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    both.write_text(key.read_text() + made.read_text())
    return both


@pytest.fixture
def secure(certificate):
    """A server by https, and the names it was called by."""
    context, called = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: called.append(name)
    with DataServer(context).serving() as server:
        server.called = called
        yield server


def test_a_certificate_is_checked_against_the_name(pod, secure, certificate):
    secure.put("/t.parquet")
    pod.env["SSL_CERT_FILE"] = str(certificate)
    hosts = [f"{name}:{secure.port}" for name in ("localhost", "127.0.0.1")]
    assert pod.run(secure.url("/t.parquet", host="localhost"), allowHosts=hosts)[0] == 0
    assert (secure.called, secure.requests[0].headers["Host"]) == (["localhost"], hosts[0])
    code, _, end = pod.run(secure.url("/t.parquet"), allowHosts=hosts)
    assert (code, len(secure.requests)) == (2, 1)
    assert "certificate is refused: IP address mismatch" in end["error"]["message"]


def test_an_unknown_authority_is_refused(pod, secure):
    secure.put("/t.parquet")
    code, _, end = pod.run(
        secure.url("/t.parquet", host="localhost"), allowHosts=[f"localhost:{secure.port}"]
    )
    assert (code, secure.requests) == (2, [])
    assert "certificate is refused: self-signed certificate" in end["error"]["message"]
