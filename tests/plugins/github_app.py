"""What GitHub does for an App: it checks the signed claim and gives a token of the installation."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from reconciler.model.settings import GitHubAppForGit

APP, INSTALLATION = "4711", 99


class GithubApps(ThreadingHTTPServer):
    """An App and its one installation; `key_file` is the private key's."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.granted: list[str] = []
        self.lifetime = timedelta(hours=1)
        self.status: int | None = None
        """Answered in place of what is right."""
        self.key_file = folder / "app.pem"
        self.renew_key()

    def renew_key(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        self.public = key.public_key()
        self.key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def settings(self, installation: int = INSTALLATION) -> GitHubAppForGit:
        return GitHubAppForGit(id=APP, installation_id=installation, key_file=self.key_file, url=self.url)

    def answer(self, path: str, given: str) -> tuple[int, dict[str, str]]:
        if self.status is not None:
            return self.status, {}
        try:
            claims = jwt.decode(given.removeprefix("Bearer "), self.public, algorithms=["RS256"])
        except jwt.PyJWTError:
            return 401, {}
        if claims["iss"] != APP or claims["exp"] - datetime.now(UTC).timestamp() > 600:
            return 401, {}
        if path != f"/app/installations/{INSTALLATION}/access_tokens":
            return 404, {}
        self.granted.append(f"ghs_{len(self.granted):036}")
        expires = (datetime.now(UTC) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
        return 201, {"token": self.granted[-1], "expires_at": expires}


class _Answer(BaseHTTPRequestHandler):
    server: GithubApps

    def do_POST(self) -> None:
        status, said = self.server.answer(self.path, self.headers.get("Authorization", ""))
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def github_apps(tmp_path: Path) -> Iterator[GithubApps]:
    with GithubApps(tmp_path) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
