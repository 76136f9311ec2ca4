"""How long a sender of webhooks waits, idle and while the daemon plans all of its workspaces.

`make bench` runs it. The sender is a process of its own; a commit that changes every workspace keeps the
daemon planning and applying meanwhile. Times are printed, never asserted; that all are taken is asserted.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from e2e.bed import inference
from plugins.forges import TOKEN, webhook

NUMBER = int(os.environ.get("WORKSPACES", "1000"))
DELIVERIES, AT_ONCE = 1000, 4

pytestmark = pytest.mark.timeout(1800)


def everything(strength):
    return {f"w{n:05d}.yaml": inference(f"w{n:05d}", strength=strength) for n in range(NUMBER)}


@pytest.fixture
async def hooked(bed):
    bed.settings["web"]["webhooks"] = [{**webhook(bed.root), "perSecond": 10_000, "burst": 10_000}]
    bed.settings["status"] = {"ref": "off"}
    bed.settings["kubernetes"]["leaseSeconds"] = 60
    bed.push(everything("0.1"))
    await bed.run()
    return bed


async def burst(bed):
    """Milliseconds, sorted."""
    script, url = Path(__file__).with_name("burst.py"), f"http://127.0.0.1:{bed.port}/hooks/github"
    command = (sys.executable, script, url, TOKEN, str(DELIVERIES), str(AT_ONCE))
    sender = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await sender.communicate()
    found = sorted(1000 * float(line) for line in told.decode().split())
    assert len(found) == DELIVERIES
    return found


async def ready(bed):
    found = await bed.metrics()
    return found.get('workspace_reconciler_workspaces{phase="Ready"}', 0) == NUMBER


async def test_webhooks(hooked, capsys):
    bed = hooked
    first = await burst(bed)
    await bed.until(lambda: ready(bed), "all to be ready", 900.0)
    idle = await burst(bed)
    bed.push(everything("0.2"))
    planning = await burst(bed)
    with capsys.disabled():
        print(f"\n{DELIVERIES} webhooks, {AT_ONCE} at a time, {NUMBER} workspaces: p50, p99, longest in ms")
        told = {"while all are made": first, "idle": idle, "while all are changed": planning}
        for what, found in told.items():
            print(f"{what}: {_at(found, 0.5):.1f}, {_at(found, 0.99):.1f}, {found[-1]:.1f}")


def _at(found, share):
    return found[int(share * (len(found) - 1))]
