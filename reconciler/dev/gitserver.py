"""A Git server over HTTP for the demo and the tests: bare repositories in a folder, by `git http-backend`.

Needs the `git` program. Faults can be set to see how a client lives with a bad server.
"""

import base64
import hmac
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Self

CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Faults:
    """What the server does wrong to every request until told otherwise."""

    status: int | None = None
    """Answer this status and nothing else."""
    delay: float = 0.0
    """Seconds to wait before answering; ends early when the server stops."""
    cut_after: int | None = None
    """Close the connection after this many bytes of a pack have been sent."""
    drip: float = 0.0
    """Seconds to wait before each KiB of a pack."""


class GitServer:
    """Serves `<root>/<name>.git` on a loopback port; with a token, only to those who know it."""

    def __init__(self, root: Path, *, token: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.root = root
        self.token = token
        self.user: str | None = None
        """Whose password the token is; None: anybody's."""
        self.ways = ("basic", "bearer")
        """How the token may be sent."""
        self.faults = Faults()
        self.logins = 0
        """Requests that came with credentials, right or wrong."""
        self._tls = tls
        self._http: _Listener | None = None
        self._thread: threading.Thread | None = None

    def start(self, port: int = 0) -> None:
        """Raises RuntimeError where there is no `git`."""
        git_program()
        self.root.mkdir(parents=True, exist_ok=True)
        self._http = _Listener(self, port)
        if self._tls is not None:  # shaking hands in the connection's own thread
            self._http.socket = self._tls.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._http is None or self._thread is None:
            return
        self._http.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._http = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url_of(self, name: str) -> str:
        if self._http is None:
            raise RuntimeError("the Git server is not running")
        scheme = "https" if self._tls is not None else "http"
        return f"{scheme}://127.0.0.1:{self._http.server_address[1]}/{name}.git"

    def create(self, name: str) -> Path:
        """An empty bare repository with the branch `main`; an existing one is kept."""
        path = self.root / f"{name}.git"
        if not path.exists():
            run_git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
            run_git("-C", str(path), "config", "http.receivepack", "true")
        return path


def git_program() -> str:
    program = shutil.which("git")
    if program is None:
        raise RuntimeError("the development Git server needs the program `git`; install it")
    return program


def clean_environment() -> dict[str, str]:
    """An environment for `git` in which nobody's own configuration counts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}


def run_git(*arguments: str, env: dict[str, str] | None = None) -> str:
    """Its standard output; raises RuntimeError with what git said where it fails."""
    done = subprocess.run(
        [git_program(), *arguments], env=clean_environment() | (env or {}), capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace")


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: GitServer, port: int) -> None:
        self.owner = owner
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", port), _Exchange)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is its own business."""


class _Exchange(BaseHTTPRequestHandler):
    """One connection of one client."""

    server: _Listener
    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the client's side is what a developer looks at."""

    def _answer(self) -> None:
        with tempfile.SpooledTemporaryFile(max_size=1 << 20) as body:
            for piece in self._received():
                body.write(piece)
            body.seek(0)
            faults = self.server.owner.faults
            if faults.delay and self.server.stopping.wait(faults.delay):
                self.close_connection = True
            elif faults.status is not None:
                self._refuse(faults.status)
            elif not self._may_enter():
                self._refuse(401)
            else:
                self._run(body)

    def _received(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        elif length := int(self.headers.get("Content-Length") or 0):
            yield self.rfile.read(length)

    def _may_enter(self) -> bool:
        owner, given = self.server.owner, self.headers.get("Authorization", "")
        owner.logins += bool(given)
        if owner.token is None:
            return True
        kind, _, value = given.partition(" ")
        if kind.lower() not in owner.ways:
            return False
        if kind.lower() == "bearer":
            return hmac.compare_digest(value, owner.token)
        user, _, password = base64.b64decode(value + "==").decode(errors="replace").partition(":")
        return owner.user in (None, user) and hmac.compare_digest(password.encode(), owner.token.encode())

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _run(self, body: "tempfile.SpooledTemporaryFile[bytes]") -> None:
        body.rollover()  # a child process needs a real file
        with subprocess.Popen(
            [git_program(), "http-backend"],
            stdin=body.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment() | self._gateway_variables(),
        ) as backend:
            assert backend.stdout is not None
            try:
                self._forward(backend.stdout)
            finally:
                backend.kill()

    def _gateway_variables(self) -> dict[str, str]:
        path, _, query = self.path.partition("?")
        return {
            "GIT_PROJECT_ROOT": str(self.server.owner.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": self.client_address[0],
            "REMOTE_USER": "developer",
        }

    def _forward(self, output: IO[bytes]) -> None:
        headers = _gateway_headers(output)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        faults = self.server.owner.faults if "-result" in headers.get("Content-Type", "") else Faults()
        sent = 0
        while piece := output.read1(1024 if faults.drip else CHUNK):  # type: ignore[attr-defined]
            if faults.drip and self.server.stopping.wait(faults.drip):
                break
            if faults.cut_after is not None and sent + len(piece) > faults.cut_after:
                self.wfile.write(b"%x\r\n%b" % (len(piece), piece[: faults.cut_after - sent]))
                break
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            sent += len(piece)
        else:
            self.wfile.write(b"0\r\n\r\n")
            return
        self.close_connection = True


def _gateway_headers(output: IO[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    while line := output.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name] = value.strip()
    return headers
