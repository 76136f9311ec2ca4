"""A world whose images `shell` and `program` run as local processes."""

import sys
from pathlib import Path

import pytest
import yaml
from plugins.world import Bench

from reconciler.dev.clock import INSTANT
from reconciler.dev.serve import Options, serve

PROGRAM = Path(__file__).with_name("program.py")
TABLE = [
    {"image": "shell", "command": ["sh", "-c"], "args": ["echo from the image"]},
    {
        "image": "program:*",
        "python": "current",
        "command": ["python", str(PROGRAM)],
        "env": {"GREETING": "from the image"},
        "hostArgument": "--host",
    },
    {"image": "nowhere", "python": "/no/such/environment", "command": ["python"]},
]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "images.yaml"
    path.write_text(yaml.safe_dump(TABLE))
    return path


@pytest.fixture
async def local(tmp_path, table):
    """A bench with one node."""
    assert sys.platform == "linux"
    world = await serve(tmp_path / "world", Options(speed=INSTANT, images=table))
    bench = Bench(world)
    await bench.add_node("n")
    yield bench
    await world.stop()
