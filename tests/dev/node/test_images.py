"""The table of images that run as local processes."""

import aiohttp
import pytest
from plugins.pods import shell, spoken
from plugins.world import pod

from reconciler.dev.node.images import Image
from reconciler.dev.objects import ready
from reconciler.dev.process import WorldProcess
from reconciler.dev.rows import load
from reconciler.errors import InvalidSpec, Unavailable

ROW = "- {image: a, command: [a]}\n"
BAD = {
    "unknown key": (
        "- {image: b, command: [b], comand: [c]}",
        "row 2: comand: Extra inputs are not permitted",
    ),
    "no command": ("- {image: b}", "row 2: command: Field required"),
    "wrong type": ("- {image: b, command: b}", "row 2: command: Input should be a valid tuple"),
    "no YAML": ("- {image: b", "cannot be read"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_a_bad_table_is_refused_by_row_and_key(tmp_path, case):
    text, message = case
    path = tmp_path / "images.yaml"
    path.write_text(ROW + text)
    with pytest.raises(InvalidSpec) as refused:
        load(path, Image)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


async def test_a_world_with_a_bad_table_does_not_start(tmp_path):
    path = tmp_path / "images.yaml"
    path.write_text("- {image: a}")
    process = WorldProcess(tmp_path / "world", ["--images", str(path)])
    with pytest.raises(Unavailable, match="row 1: command: Field required"):
        await process.start()


async def test_an_image_brings_environment_variables_and_python(local):
    await local.client.create(pod("p", {"containers": [{"name": "main", "image": "program:1"}]}))
    [line] = await spoken(local, "p")
    found = await local.until("Pod", "p", ready)
    address = found["status"]["podIP"]
    assert line == f"listening on {address}:5000"
    async with aiohttp.request("GET", f"http://{address}:5000/") as answer:
        assert await answer.text() == "from the image"


async def test_other_images_are_simulated(local):
    containers = [shell("exec sleep 300", "real"), {"name": "other", "image": "elsewhere/app:1"}]
    await local.client.create(pod("p", {"containers": containers}))
    found = await local.until("Pod", "p", ready)
    assert [each["ready"] for each in found["status"]["containerStatuses"]] == [True, True]
