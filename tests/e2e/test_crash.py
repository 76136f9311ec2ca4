"""Killed with SIGKILL right after a write, again and again, then left alone: the same end as without."""

import pytest
from e2e.bed import NAMESPACE, inference, tuning

SCENARIO = {"chat.yaml": inference("chat"), "tune.yaml": tuning("tune")}
ALL = {f"{NAMESPACE}/chat": "Ready", f"{NAMESPACE}/tune": "Succeeded"}
WITHOUT_CHAT = {f"{NAMESPACE}/tune": "Succeeded"}

pytestmark = pytest.mark.timeout(600)


async def _settled(bed, phases, pools):
    live = {f"{NAMESPACE}/{name}": await bed.phase(name) for name in await bed.names("Workspace")}
    return bed.index().get("workspaces") == phases == live and len(bed.pools()) == pools


async def _outcome(bed):
    """Everything that should be the same however often the daemon died on the way."""
    jobs, _ = await bed.client.list("Job")
    kinds = ("Workspace", "Deployment", "Service", "ConfigMap")
    return {
        "pools": [(p["key"], p["count"], p["state"]) for p in bed.pools()],
        "objects": {kind: await bed.names(kind) for kind in kinds},
        "jobs": [
            (j["metadata"]["name"], j["metadata"].get("generation"), j["status"]["succeeded"]) for j in jobs
        ],
    }


async def _transitions(bed):
    """How often the status ref told of each transition."""
    told = [line for line in bed.status_bodies().splitlines() if " -> " in line]
    return {line: told.count(line) for line in told}


async def _calm(bed):
    await bed.run()
    bed.push(SCENARIO)
    await bed.until(lambda: _settled(bed, ALL, pools=1), "the calm run to finish")
    full = await _outcome(bed)
    bed.push({"chat.yaml": None})
    await bed.until(lambda: _settled(bed, WITHOUT_CHAT, pools=0), "the calm deletion")
    return full, await _outcome(bed)


async def _killed_until(bed, phases, pools, stride):
    """Runs the daemon again and again, each time killed after its `stride`-th write; returns the deaths."""
    deaths = 0
    while deaths < 100:
        bed.kill_after = len(bed.writes) + stride
        await bed.launch()
        lone = bed.daemon

        async def over(lone=lone):
            return lone.returncode is not None or await _settled(bed, phases, pools)

        await bed.until(over, "a death or the end", seconds=60)
        if lone.returncode is None:
            bed.kill_after = None
            await bed.kill()
            return deaths
        deaths += 1
    raise AssertionError("it makes no progress")


@pytest.mark.dev_only("every death costs a lease's time; there, every third write stands for all")
async def test_the_same_end_though_killed_after_every_write(new_bed):
    await _ends_the_same(new_bed, stride=1)


async def test_the_same_end_though_killed_after_every_third_write(new_bed):
    await _ends_the_same(new_bed, stride=3)


async def _ends_the_same(new_bed, stride):
    full, without_chat = await _calm(await new_bed("calm"))
    bed = await new_bed("crash")
    bed.push(SCENARIO)
    deaths = await _killed_until(bed, ALL, 1, stride)
    assert await _outcome(bed) == full
    bed.push({"chat.yaml": None})
    deaths += await _killed_until(bed, WITHOUT_CHAT, 0, stride)
    assert await _outcome(bed) == without_chat
    assert deaths >= 12 // stride
    twice = {line: times for line, times in (await _transitions(bed)).items() if times > 1}
    assert not [line for line in twice if line.endswith(("Ready", "Succeeded"))], twice
