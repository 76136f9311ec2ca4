"""Two of Debian's `docker-registry`, one with a login, for all tests here; no waiting between attempts."""

import re

import pytest
from artifacts import Credentials, registry

from .servers import Front, docker_config, docker_registry


@pytest.fixture(scope="session")
def debian(tmp_path_factory):
    with docker_registry(tmp_path_factory.mktemp("debian")) as host:
        yield host


@pytest.fixture(scope="session")
def open_debian(tmp_path_factory):
    with docker_registry(tmp_path_factory.mktemp("open"), login=False) as host:
        yield host


@pytest.fixture
def front(open_debian):
    with Front(open_debian).serving() as front:
        yield front


@pytest.fixture
def credentials(debian, tmp_path):
    return Credentials.from_files([docker_config(tmp_path / "secret.json", debian)])


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(registry, "FIRST_WAIT_S", 0.01)


@pytest.fixture
def repository(request):
    """A name of its own for each test."""
    return "test/" + re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
