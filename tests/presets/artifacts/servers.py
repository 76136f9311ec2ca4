"""Servers to hold the client against: Debian's `docker-registry`, and a proxy with tokens and faults."""

import base64
import http.client
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bcrypt
import pytest

USER, PASSWORD = "user", "correct horse"
PIECE = 1 << 14


def require(holds, told):
    """A test is skipped without it, and fails where nothing may be skipped."""
    if not holds:
        (pytest.fail if os.environ.get("RECONCILER_REQUIRE_ALL") == "1" else pytest.skip)(told)


def program(name, package=""):
    """Its path."""
    path = shutil.which(name)
    require(path, f"{name} is not installed: apt-get install {package or name}")
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def own_address():
    """One of this machine's that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return probe.getsockname()[0]


def docker_config(path, host, **login):
    """A file as a mounted Secret holds it, with `user:password` as `auth` unless said otherwise."""
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    path.write_text(json.dumps({"auths": {host: login or {"auth": auth}}}))
    return path


@contextmanager
def docker_registry(folder, login=True):
    """Its `127.0.0.1:port`, where USER alone may come in if `login`."""
    host = f"127.0.0.1:{free_port()}"
    (folder / "config.json").write_text(json.dumps(_configuration(folder, host, login)))
    command = [program("docker-registry"), "serve", str(folder / "config.json")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _await_port(host, process, folder / "log")
        yield host
    finally:
        process.terminate()
        process.wait()


def _configuration(folder, host, login):
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "content")}, "delete": {"enabled": True}},
        "http": {"addr": host, "secret": "one"},
    }
    if login:
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    return config


def _await_port(host, process, log):
    for _ in range(1500):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2]))).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    pytest.fail(f"docker-registry ended:\n{log.read_text()}")


@dataclass
class Answers:
    """An error as registries give it, for requests whose method and path are told."""

    method: str
    path: str
    status: int
    code: str = ""
    message: str = ""
    headers: dict = field(default_factory=dict)
    times: int = 1_000_000


@dataclass
class Tokens:
    """A token server, beside the registry. `azure` has Entra's endpoints and the exchange as well."""

    azure: bool = False
    elsewhere: str = ""  # a host to be named in challenges in place of this one
    logins: dict = field(default_factory=lambda: {USER: PASSWORD})
    anonymous: str = ""  # the actions that are granted without a login
    actions: str = "pull,push"
    refresh: set = field(default_factory=set)
    entra: set = field(default_factory=set)
    granted: dict = field(default_factory=dict)
    uses: int = 1_000_000  # of one token

    @property
    def realm(self):
        return "/oauth2/token" if self.azure else "/token"

    def grant(self, scope, actions):
        token = secrets.token_urlsafe(16)
        repository, asked = scope.split(":")[1:]
        allowed = ",".join(action for action in asked.split(",") if action in actions.split(","))
        self.granted[token] = [repository, allowed, self.uses]
        return token


@dataclass
class Front:
    """A proxy before a registry. What it did is counted; what it should do wrong is set."""

    upstream: str
    tokens: Tokens | None = None
    answers: list = field(default_factory=list)
    cut_uploads_at: list = field(default_factory=list)  # bytes of a PATCH, one for each (None: not at all)
    keeps: bool = False  # what came of a PATCH that was cut, which Debian's registry cannot go on from
    kept: dict = field(default_factory=dict)  # the upstream's location of an upload, by path
    cut_downloads_at: list = field(default_factory=list)
    corrupt: str = ""  # in a blob's digest
    wrong_digest: str = ""  # announced for manifests
    no_ranges: bool = False
    certificate: Path | None = None  # with its key; then TLS is spoken, at an address that is not loopback
    host: str = ""
    seen: Counter = field(default_factory=Counter)
    uploaded: int = 0
    downloaded: int = 0
    ranges: list = field(default_factory=list)
    logins: list = field(default_factory=list)  # the `Authorization` of each request

    @contextmanager
    def serving(self):
        address = own_address() if self.certificate else "127.0.0.1"
        server = _Server((address, 0), type("Handler", (_Handler,), {"front": self}))
        self.host = f"{address}:{server.server_address[1]}"
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients and this proxy cut connections on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: Front

    def log_message(self, *_):
        pass

    def _any(self):
        self.front.seen[self.command] += 1
        self.front.logins.append(self.headers.get("Authorization"))
        path = urllib.parse.urlsplit(self.path)
        for answer in self.front.answers:
            if answer.method == self.command and answer.path in path.path and answer.times:
                answer.times -= 1
                return self._error(answer.status, answer.code, answer.message, answer.headers)
        tokens = self.front.tokens
        if tokens and not path.path.startswith("/v2/"):
            return self._token(tokens, path)
        if tokens and not self._allowed(tokens, path.path):
            return None
        return self._forward()

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = _any

    def _json(self, status, content, headers=()):
        body = b"" if self.command == "HEAD" else json.dumps(content).encode()
        self.send_response(status)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _error(self, status, code="", message="", headers=()):
        self._json(status, {"errors": [{"code": code, "message": message}]}, headers)

    def _body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    # Tokens

    def _allowed(self, tokens, path):
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        needed = "pull" if self.command in ("GET", "HEAD") and "/uploads/" not in path else "push"
        repository, actions, uses = tokens.granted.get(token, ("", "", 0))
        if kind == "Bearer" and uses and path.startswith(f"/v2/{repository}/") and needed in actions:
            tokens.granted[token][2] -= 1
            return True
        realm = f"http://{tokens.elsewhere or self.front.host}{tokens.realm}"
        challenge = f'Bearer realm="{realm}",service="{self.front.host}"'
        if uses:
            challenge += ',error="insufficient_scope"'
        self._error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})
        return False

    def _token(self, tokens, path):
        query = dict(urllib.parse.parse_qsl(path.query))
        form = dict(urllib.parse.parse_qsl(self._body().decode()))
        self.front.seen[f"{self.command} {path.path} {form.get('grant_type', '')}".strip()] += 1
        if path.path == tokens.realm and self.command == "GET":
            return self._by_password(tokens, query)
        if path.path == tokens.realm and form.get("refresh_token") in tokens.refresh:
            return self._json(200, {"access_token": tokens.grant(form["scope"], tokens.actions)})
        if tokens.azure and path.path == "/oauth2/exchange" and form.get(form["grant_type"]) in tokens.entra:
            tokens.refresh.add(own := secrets.token_urlsafe(8))
            return self._json(200, {"refresh_token": own})
        if tokens.azure and path.path.endswith("/oauth2/v2.0/token") and form["client_assertion"] == "signed":
            tokens.entra.add(own := "a.b.c")
            return self._json(200, {"access_token": own})
        return self._error(400 if form else 404, "UNAUTHORIZED", "invalid grant")

    def _by_password(self, tokens, query):
        pair = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        user, _, password = pair.partition(":")
        if user and tokens.logins.get(user) != password:
            return self._error(401, "UNAUTHORIZED", "wrong user or password")
        return self._json(
            200, {"token": tokens.grant(query["scope"], tokens.actions if user else tokens.anonymous)}
        )

    # Forwarding

    def _forward(self):
        path, length = self.path, int(self.headers.get("Content-Length", 0))
        where, _, query = path.partition("?")
        if where in self.front.kept:
            digest = urllib.parse.parse_qs(query).get("digest", [])
            path = self.front.kept.pop(where) + "".join(f"&digest={one}" for one in digest)
        cut = (
            self.front.cut_uploads_at.pop(0)
            if self.command == "PATCH" and self.front.cut_uploads_at
            else None
        )
        upstream = http.client.HTTPConnection(self.front.upstream)
        try:
            self._send_head(upstream, path, cut if cut is not None and self.front.keeps else length)
            self._send_body(upstream, length if cut is None else cut)
            if cut is None:
                return self._relay(upstream.getresponse())
            if self.front.keeps:
                self._keep(where, upstream.getresponse())
            self.close_connection = True
            return self.connection.shutdown(socket.SHUT_RDWR)
        finally:
            upstream.close()

    def _send_head(self, upstream, path, length):
        upstream.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
        own = ("content-length", "content-range", *(["range"] if self.front.no_ranges else []))
        for key, value in self.headers.items():
            if key.lower() not in own:
                upstream.putheader(key, value)
        if "Content-Length" in self.headers:
            upstream.putheader("Content-Length", str(length))
        upstream.endheaders()

    def _send_body(self, upstream, length):
        patch = self.command == "PATCH"
        if patch:
            self.front.ranges.append(self.headers.get("Content-Range"))
        while length:
            piece = self.rfile.read(min(PIECE, length))
            upstream.send(piece)
            length -= len(piece)
            self.front.uploaded += len(piece) if patch else 0

    def _keep(self, where, response):
        response.read()
        location = urllib.parse.urlsplit(response.headers["Location"])
        self.front.kept[where] = f"{location.path}?{location.query}"

    def _relay(self, response):
        blob = self.command == "GET" and "/blobs/sha256:" in self.path
        if blob:
            self.front.ranges.append(self.headers.get("Range"))
        self.send_response(response.status)
        for key, value in response.getheaders():
            if self.front.wrong_digest and key == "Docker-Content-Digest" and "/manifests/" in self.path:
                value = self.front.wrong_digest
            self.send_header(key, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        cut = self.front.cut_downloads_at.pop(0) if blob and self.front.cut_downloads_at else None
        while piece := response.read(PIECE if cut is None else min(PIECE, cut)):
            if self.front.corrupt and self.front.corrupt in self.path:
                piece = bytes([piece[0] ^ 1]) + piece[1:]
            self.wfile.write(piece)
            self.front.downloaded += len(piece) if blob else 0
            if cut is not None:
                cut -= len(piece)
                if not cut:
                    break
