"""A scripted server for what a good API server does not do on demand: errors, silence, nonsense."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from reconciler.cluster.client import Client
from reconciler.cluster.wire import Patience
from reconciler.model.settings import ClusterSettings

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

QUICK = Patience(connect=1.0, read=0.5, total=1.0, watch=2.0)


def write_kubeconfig(path: Path, server: str, user: dict | None = None, **cluster) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "test", "user": user or {"token": "secret"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def status(code: int, message: str = "", **more) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "code": code,
        **more,
    }
    return web.json_response(body, status=code)


class Script:
    """Answers each request with the next answer of `answers`, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reply(self, *answers: Answer | web.Response) -> None:
        self.answers = [_answer(each) for each in answers]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


def _answer(each: Answer | web.Response) -> Answer:
    if not isinstance(each, web.Response):
        return each

    async def same(_: web.Request) -> web.StreamResponse:
        return web.Response(body=each.body, status=each.status, headers=each.headers)

    return same


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    script = Script()
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", script.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    script.port = runner.addresses[0][1]
    yield script
    await runner.cleanup()


@pytest.fixture
async def scripted(script: Script, tmp_path: Path) -> AsyncIterator[Client]:
    """A hasty client of the scripted server."""
    settings = ClusterSettings(kubeconfig=write_kubeconfig(tmp_path / "config", script.url), concurrency=4)
    client = await Client.connect(settings, patience=QUICK)
    yield client
    await client.close()


@pytest.fixture
async def patient(script: Script, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of the scripted server that waits as the daemon does."""
    settings = ClusterSettings(kubeconfig=write_kubeconfig(tmp_path / "config", script.url))
    client = await Client.connect(settings)
    yield client
    await client.close()


@pytest.fixture
async def client(kubeconfig: Path) -> AsyncIterator[Client]:
    """A client of the development API server."""
    client = await Client.connect(ClusterSettings(kubeconfig=kubeconfig))
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ai"}})
    yield client
    await client.close()
