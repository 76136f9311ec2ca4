"""OCI registries to hold a client against: the development cluster's and Debian's `docker-registry`."""

import asyncio
import base64
import shutil
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import httpx
import pytest
import yaml

from reconciler.dev.registry.access import Basic, Token
from reconciler.dev.registry.server import Registry

USER, PASSWORD = "user", "correct horse"
LOGIN = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}


@dataclass
class Served:
    """`kind` is which registry it is, `url` where it answers, `auth` empty, `basic` or `token`."""

    kind: str
    url: str
    auth: str

    @property
    def host(self):
        return self.url.removeprefix("http://")


@asynccontextmanager
async def development(folder: Path, auth: str = ""):
    login = Basic({USER: PASSWORD})
    registry = Registry(folder, {"": None, "basic": login, "token": Token(login)}[auth])
    await registry.start()
    yield Served("development", registry.url, auth)
    await registry.stop()


@asynccontextmanager
async def debian(folder: Path, auth: str = ""):
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed: apt-get install docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "config.yml"
    config.write_text(yaml.safe_dump(_configuration(folder, address, auth)))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, "serve", str(config), stdout=log, stderr=log)
    try:
        await _answers(f"http://{address}/v2/", process, folder / "log")
        yield Served("debian", f"http://{address}", auth)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _configuration(folder: Path, address: str, auth: str) -> dict:
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "content")}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    if auth:
        passwords = folder / "htpasswd"
        passwords.write_bytes(USER.encode() + b":" + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)))
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(passwords)}}
    return config


async def _answers(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient(verify=False) as http:
        while process.returncode is None:
            try:
                await http.get(url)
                return
            except httpx.TransportError:
                await asyncio.sleep(0.02)
    pytest.fail(f"docker-registry ended:\n{log.read_text()}")


@pytest.fixture
async def registry(request, tmp_path):
    """Made for a parameter such as `debian` or `development-token`."""
    kind, _, auth = request.param.partition("-")
    async with {"development": development, "debian": debian}[kind](tmp_path, auth) as served:
        yield served


@pytest.fixture
async def http(registry):
    async with httpx.AsyncClient(base_url=registry.url) as client:
        yield client
