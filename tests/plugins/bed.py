"""The daemon against the development world, as a fixture."""

import pytest
from e2e.bed import Bed


@pytest.fixture
async def bed(tmp_path):
    made = Bed(tmp_path)
    await made.start()
    yield made
    await made.stop()
