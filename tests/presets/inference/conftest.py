"""Two servers for all tests: one with two adapters, one of a model that never ends."""

from pathlib import Path

import openai
import pytest

from . import serving

HERE = Path(__file__).parent
SECONDS = 300


def pytest_collection_modifyitems(items):
    """The first test of a session waits for the model to be made, and for a server to start."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def adapters(tiny, tmp_path_factory):
    """Folders by name; the ranks differ."""
    root = tmp_path_factory.mktemp("adapters")
    return {
        "capitals": serving.teach(tiny, root / "capitals", serving.CAPITAL, rank=8),
        "rivers": serving.teach(tiny, root / "rivers", serving.RIVER, rank=4),
    }


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """Starts servers that end with the session."""
    started = []

    def start(weights, loaded=(), **settings):
        server = serving.launch(tmp_path_factory.mktemp("server"), weights, loaded, **settings)
        started.append(server)
        return serving.up(server)

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="session")
def server(serve, tiny, adapters):
    return serve(tiny, [("capitals", 1.0, adapters["capitals"]), ("rivers", 0.75, adapters["rivers"])])


@pytest.fixture(scope="session")
def endless(tiny, tmp_path_factory):
    return serving.endless(tiny, tmp_path_factory.mktemp("models") / "endless")


@pytest.fixture
def http(server):
    with server.client() as client:
        yield client


@pytest.fixture
def ai(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client
