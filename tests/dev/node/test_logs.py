"""What containers say, read as people do."""

import asyncio
import re

import pytest
from plugins.kubectl import kubectl_for
from plugins.pods import held_up, main, removed, said, shell, spoken
from plugins.world import pod


@pytest.fixture
def kubectl(local, tmp_path):
    return kubectl_for(local.world.kubeconfig, tmp_path)


async def test_both_streams_in_order_and_only_the_end_if_asked(local, kubectl):
    await said(local, "echo one; echo two >&2; printf three")
    assert (await kubectl("logs", "p")).out == "one\ntwo\nthree\n"
    assert (await kubectl("logs", "p", "--tail=2")).out == "two\nthree\n"
    assert (await kubectl("logs", "p", "--tail=0")).out == ""
    assert (await kubectl("logs", "p", "--since=1h")).out == "one\ntwo\nthree\n"
    assert (await kubectl("logs", "p", "--since-time=2099-01-01T00:00:00Z")).out == ""
    stamped = (await kubectl("logs", "p", "--timestamps")).out.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z (one|two|three)$", line) for line in stamped)


async def test_each_container_has_its_own(local, kubectl):
    spec = {
        "initContainers": [shell("echo first", "init")],
        "containers": [shell("echo a; exec sleep 300", "a"), shell("echo b; exec sleep 300", "b")],
    }
    await local.client.create(pod("p", spec))
    await spoken(local, "p")
    assert (await kubectl("logs", "p", "-c", "init")).out == "first\n"
    assert (await kubectl("logs", "p", "-c", "b")).out == "b\n"


async def test_the_previous_run(local, kubectl):
    await local.client.create(pod("p", {"containers": [shell("echo run; sleep 0.1; exit 1")]}))
    await local.until("Pod", "p", lambda p: main(p).get("restartCount", 0) > 0)
    assert (await kubectl("logs", "p", "--previous")).out == "run\n"


async def test_following_ends_with_the_container(local, kubectl):
    await local.client.create(
        pod("p", {"containers": [shell("echo up; sleep 1; echo down; exec sleep 300")]})
    )
    await spoken(local, "p")
    following = asyncio.create_task(kubectl("logs", "-f", "p"))
    await spoken(local, "p", lines=2)
    assert not following.done()
    await removed(local, "p")
    assert (await following).out == "up\ndown\n"


async def test_what_has_no_log_says_so(local, kubectl):
    await local.client.create(pod("p", {"containers": [{"name": "main", "image": "nowhere"}]}))
    await held_up(local, "p")
    assert "is waiting to start" in (await kubectl("logs", "p")).err
    await said(local, "true", name="q")
    assert "previous terminated container" in (await kubectl("logs", "q", "--previous")).err
