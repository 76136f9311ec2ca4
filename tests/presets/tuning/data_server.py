"""A server of data sets that can be told to break off, refuse, change its mind or send others elsewhere."""

import contextlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PARQUET = b"PAR1" + bytes(range(256)) * 2000 + b"PAR1"


@dataclass
class Resource:
    content: bytes = PARQUET
    etag: str = '"v1"'
    declared: bool = True
    """Whether its length is told."""
    status: int = 200
    headers: dict = field(default_factory=dict)
    drops: list = field(default_factory=list)
    """After so many bytes the first connection breaks off, the second, …"""
    answers: list = field(default_factory=list)
    """Resources that are served first, once each."""


@dataclass
class Request:
    path: str
    headers: dict
    sent: int = 0
    """Bytes of content."""


class DataServer:
    """`resources` by path without query; `requests` as they came."""

    def __init__(self, tls=None):
        self.resources, self.requests = {}, []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._scheme = "https" if tls else "http"
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)

    @property
    def port(self):
        return self._http.server_address[1]

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def put(self, path, content=PARQUET, **options):
        """Its URL."""
        self.resources[path] = Resource(content, **options)
        return self.url(path)

    def url(self, path, host="127.0.0.1"):
        return f"{self._scheme}://{host}:{self.port}{path}"

    def ranges(self):
        """What of the content each request asked for."""
        return [request.headers.get("Range", "") for request in self.requests]

    def sent(self):
        return [request.sent for request in self.requests]

    @contextlib.contextmanager
    def serving(self):
        thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            thread.join()
            self._http.server_close()

    def _handler(server):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                asked = Request(self.path, dict(self.headers))
                server.requests.append(asked)
                resource = server.resources.get(self.path.partition("?")[0], Resource(b"gone", status=404))
                if resource.answers:
                    resource = resource.answers.pop(0)
                _answer(self, resource, asked)

            def log_message(self, *_):
                pass

        return Handler


def _answer(handler, resource, asked):
    content, start, status = resource.content, 0, resource.status
    found = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("Range", ""))
    if status == 200 and found and asked.headers.get("If-Range") == resource.etag:
        start = int(found[1])
        status = 206 if start < len(content) else 416
    handler.send_response(status)
    if status == 206:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if status == 416:
        handler.send_header("Content-Range", f"bytes */{len(content)}")
    for name, value in {"ETag": resource.etag, **resource.headers}.items():
        if value:
            handler.send_header(name, value)
    if resource.declared:
        handler.send_header("Content-Length", str(len(content) - start))
    handler.send_header("Connection", "close")
    handler.end_headers()
    end = start + resource.drops.pop(0) if resource.drops else len(content)
    with contextlib.suppress(ConnectionError):
        for at in range(start, min(end, len(content)), 8192):
            piece = content[at : min(at + 8192, end)]
            handler.wfile.write(piece)
            asked.sent += len(piece)
