"""Killed with SIGKILL after every single write of a scenario, then started again: the same end."""

import json

import pytest
from e2e.bed import NAMESPACE, Bed, inference, tuning

SCENARIO = {"chat.yaml": inference("chat"), "tune.yaml": tuning("tune")}


async def _finished(bed):
    index = None
    try:
        index = json.loads(bed.status_file("index.json"))
    except RuntimeError:
        return False
    told = index["workspaces"] == {f"{NAMESPACE}/chat": "Ready", f"{NAMESPACE}/tune": "Succeeded"}
    phases = (await bed.phase("chat"), await bed.phase("tune"))
    return told and phases == ("Ready", "Succeeded") and len(bed.pools()) == 1


async def _outcome(bed):
    """Everything that should be the same however often the daemon died on the way."""
    jobs, _ = await bed.client.list("Job")
    pods, _ = await bed.client.list("Pod")
    statuses = [line for line in bed.status_commits() if "Reconciler" not in line]
    return {
        "pools": [(p["key"], p["count"], p["state"]) for p in bed.pools()],
        "objects": {
            kind: await bed.names(kind) for kind in ("Workspace", "Deployment", "Service", "ConfigMap")
        },
        "jobs": [(j["metadata"]["name"], j["status"].get("succeeded")) for j in jobs],
        "tuning pods": sum("tune" in p["metadata"]["name"] for p in pods) <= 1,
        "no commit twice": len(statuses) == len(bed.status_commits()),
    }


async def test_the_same_end_after_a_kill_at_every_write(tmp_path):
    calm = Bed(tmp_path / "calm")
    await calm.start()
    try:
        await calm.run()
        calm.push(SCENARIO)
        await calm.until(lambda: _finished(calm), "the calm run to finish")
        wanted, writes = await _outcome(calm), len(calm.writes)
    finally:
        await calm.stop()
    assert writes >= 8

    bed = Bed(tmp_path / "crash")
    await bed.start()
    try:
        bed.push(SCENARIO)
        deaths = 0
        while True:
            bed.kill_after = len(bed.writes) + 1
            await bed.launch()
            done = await _dies_or_finishes(bed)
            if done:
                break
            deaths += 1
            assert deaths < 10 * writes, "it makes no progress"
        assert deaths >= writes // 2
        assert await _outcome(bed) == wanted
    finally:
        await bed.stop()


async def _dies_or_finishes(bed):
    """True once nothing is left to write."""

    async def over():
        return bed.daemon.returncode is not None or await _finished(bed)

    await bed.until(over, "a death or the end", seconds=60)
    return bed.daemon.returncode is None


@pytest.fixture(autouse=True)
def _longer(request):
    request.node.add_marker(pytest.mark.timeout(600))
