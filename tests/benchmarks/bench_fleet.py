"""The daemon on a thousand workspaces: how long things take, and what mistakes do there.

`make bench` runs it. Times are of this machine, where the development cluster shares the cores with the
daemon; they are printed, never asserted. What must hold is asserted.
"""

import asyncio
import os
import statistics
import time

import pytest
from e2e.bed import NAMESPACE, inference

from reconciler.model import names
from reconciler.model.names import ObjectKey

NUMBER = int(os.environ.get("WORKSPACES", "1000"))

pytestmark = pytest.mark.timeout(1800)


def path_of(number):
    return f"team{number // 100:02d}/w{number:04d}.yaml"


def name_of(number):
    return f"w{number:04d}"


def say(what, seconds, note=""):
    print(f"{what:<58} {seconds * 1000:>9.0f} ms  {note}", flush=True)


async def ready_count(bed):
    return (await bed.metrics()).get('workspace_reconciler_workspaces{phase="Ready"}', 0)


async def timed(bed, done, what, seconds=600.0):
    began = time.monotonic()
    await bed.until(done, what, seconds)
    return time.monotonic() - began


async def pushed(bed, files, done, what):
    """Seconds from the end of `git push` to `done`."""
    bed.push(files)
    return await timed(bed, done, what)


async def test_fleet(bed):
    bed.settings["limits"] = {"maxGpusFreed": 10 * NUMBER}
    bed.settings["status"] = {"minIntervalSeconds": 5}
    bed.settings["timing"]["fullPassSeconds"] = 15
    bed.settings["kubernetes"]["leaseSeconds"] = 15
    await bed.run()
    await first_push(bed)
    await small_changes(bed)
    await silence(bed)
    await mistakes(bed)
    await killed(bed)


async def first_push(bed):
    everything = {path_of(n): inference(name_of(n)) for n in range(NUMBER)}

    async def all_ready():
        await asyncio.sleep(0.5)
        return await ready_count(bed) == NUMBER

    took = await pushed(bed, everything, all_ready, "everything to be ready")
    say(f"{NUMBER} workspaces: push to all ready", took, "nodes and pods simulated without delay")
    with open(f"/proc/{bed.daemon.pid}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    with open(f"/proc/{bed.daemon.pid}/stat") as stat:
        used = sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    world = sum(os.times()[:2])
    print(
        f"{'':4}daemon {used:.0f} s CPU and {peak // 1024} MiB, development cluster {world:.0f} s CPU",
        flush=True,
    )


async def small_changes(bed):
    took = []
    for number in range(0, NUMBER, max(1, NUMBER // 15)):

        async def applied(number=number):
            found = await bed.get("Deployment", name_of(number))
            return "initContainers" in found["spec"]["template"]["spec"]

        change = {path_of(number): inference(name_of(number), strength="0.5")}
        took.append(await pushed(bed, change, applied, "the change"))
    note = f"worst {max(took) * 1000:.0f} ms of {len(took)}; the remote is polled every 200 ms"
    say("one changed file: push to applied, median", statistics.median(took), note)


async def silence(bed):
    async def passes():
        return (await bed.metrics()).get('workspace_reconciler_cycles_total{result="full"}', 0)

    async def settled():
        return await ready_count(bed) == NUMBER

    await bed.until(settled, "all changes to be ready", 120)
    await asyncio.sleep(6)  # the last status commit
    before, asked = await passes(), requests(bed)

    async def resynced():
        return await passes() > before

    await bed.until(resynced, "a resync", 60)
    made = requests(bed) - asked
    print(f"{'a resync with nothing changed':<58} {made:>9} API requests of the daemon", flush=True)
    assert made == 0
    assert (await bed.metrics())["workspace_reconciler_missed_changes_total"] == 0


def requests(bed):
    """Requests of the daemon so far, but for its lease."""
    seen = (r for r in bed.world.api.requests if r.agent.startswith("reconciler"))
    return sum(r.resource != "leases" for r in seen)


async def mistakes(bed):
    await broken_file(bed)
    await manual_edit(bed)
    await everything_deleted(bed)
    pods = await bed.names("Pod")
    await objects_deleted(bed)
    assert await bed.names("Pod") == pods


async def broken_file(bed):
    async def reported():
        return await bed.phase(name_of(1)) == "Invalid"

    good = inference(name_of(1))
    say("a broken file: push to reported", await pushed(bed, {path_of(1): "kind: ["}, reported, "the report"))
    assert await ready_count(bed) == NUMBER - 1
    assert len(await bed.names("Deployment")) == NUMBER

    async def mended():
        return await bed.phase(name_of(1)) == "Ready"

    say("the file mended: push to ready", await pushed(bed, {path_of(1): good}, mended, "the mended file"))


async def manual_edit(bed):
    key = ObjectKey("Deployment", NAMESPACE, name_of(2))
    await bed.client.merge_patch(key, {"spec": {"replicas": 0}})

    async def put_back():
        return (await bed.client.get(key))["spec"]["replicas"] == 1

    say("a manual edit of a Deployment: put back after", await timed(bed, put_back, "the edit"))


async def everything_deleted(bed):
    async def held():
        status = (await bed.get("Workspace", name_of(3)))["status"]
        return status["reason"] == "EmptySource" and "acknowledge" in status["message"]

    gone = {path_of(n): None for n in range(NUMBER)}
    took = await pushed(bed, gone, held, "the deletion of everything to be held")
    say("the whole specs folder deleted: push to held", took)
    assert len(await bed.names("Deployment")) == NUMBER == len(bed.pools())
    bed._git("revert", "--no-edit", "HEAD")
    bed._git("push", "-q", "origin", "HEAD:main")

    async def back():
        await asyncio.sleep(0.5)
        return await ready_count(bed) == NUMBER

    await bed.until(back, "the revert", 120)


async def objects_deleted(bed):
    uids = {w["metadata"]["uid"] for w in (await bed.client.list("Workspace"))[0]}
    began = time.monotonic()
    for name in await bed.names("Workspace"):
        await bed.client.delete(ObjectKey("Workspace", NAMESPACE, name))

    async def back():
        await asyncio.sleep(0.5)
        found = (await bed.client.list("Workspace"))[0]
        fresh = [w for w in found if w["metadata"]["uid"] not in uids]
        return len(fresh) == NUMBER and all("status" in w for w in fresh)

    await bed.until(back, "all Workspace objects to come back", 120)
    say("kubectl delete workspace --all: all back after", time.monotonic() - began)
    began = time.monotonic()
    await bed.client.delete(ObjectKey("CustomResourceDefinition", "", names.CRD_NAME))

    async def served():
        await asyncio.sleep(0.5)
        found = await bed.names("Workspace")
        return len(found) == NUMBER and await ready_count(bed) == NUMBER

    await bed.until(served, "the definition and all objects to come back", 180)
    say("the CRD deleted: all back after", time.monotonic() - began)


async def killed(bed):
    changed = {path_of(n): inference(name_of(n), strength="0.7") for n in range(100)}
    bed.push(changed)
    await bed.kill()
    began = time.monotonic()
    await bed.run()
    say("kill -9 during a push of 100 changes: restart to first plan", time.monotonic() - began)

    async def converged():
        await asyncio.sleep(0.5)
        found, _ = await bed.client.list("Deployment")
        mounted = sum("initContainers" in d["spec"]["template"]["spec"] for d in found)
        return mounted >= 100 and await ready_count(bed) == NUMBER

    await bed.until(converged, "all to be as declared", 180)
    say("the same: restart to all 100 applied and ready", time.monotonic() - began)
    assert len(bed.pools()) == NUMBER
