"""The command line in this process, beside whatever servers a test runs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
import yaml

from reconciler.cli import main
from reconciler.cluster.client import Client
from reconciler.model.settings import ClusterSettings


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Cli = Callable[..., Awaitable[Outcome]]


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path) -> Cli:
    """Runs a command in a thread of its own, as the test's event loop runs the servers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))

    async def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = await asyncio.to_thread(main, [str(each) for each in arguments])
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err)

    yield run
    structlog.reset_defaults()


@pytest.fixture
def settings(tmp_path) -> Callable[..., Path]:
    """Writes a settings file: the least that is needed, and what the test adds."""

    def write(**more: object) -> Path:
        least = {
            "cluster": "test",
            "engine": "native",
            "mode": "full",
            "source": {"url": str(tmp_path / "nowhere")},
            "provisioner": {"driver": "simulated", "url": "http://127.0.0.1:9"},
            "kubernetes": {"kubeconfig": str(tmp_path / "kubeconfig")},
        }
        path = tmp_path / "reconciler.yaml"
        path.write_text(yaml.safe_dump({**least, **more}))
        return path

    return write


@pytest.fixture
async def client(kubeconfig):
    client = await Client.connect(ClusterSettings(kubeconfig=kubeconfig))
    yield client
    await client.close()
