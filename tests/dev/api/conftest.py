import pytest

from .client import CRDS, Client, definition


@pytest.fixture
async def api(apiserver):
    async with Client(apiserver) as client:
        yield client


@pytest.fixture
async def kaito(api):
    """The client, once the Workspace kind is served."""
    code, _ = await api.create(CRDS, definition())
    assert code == 201
    return api
