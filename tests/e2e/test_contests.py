"""Somebody who keeps changing things back, and somebody who asks to be left alone for a while."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from e2e.bed import NAMESPACE, inference

from reconciler.cluster.client import Client
from reconciler.model import names
from reconciler.model.names import ObjectKey
from reconciler.model.settings import ClusterSettings

DEPLOYMENT = ObjectKey("Deployment", NAMESPACE, "a")
WORKSPACE = ObjectKey("Workspace", NAMESPACE, "a")


@pytest.fixture
async def running(bed):
    """A ready workspace `a`, looked at anew twice a second."""
    bed.settings["timing"]["fullPassSeconds"] = 0.5
    await bed.run()
    bed.push({"a.yaml": inference("a")})
    await bed.until(lambda: phase_is(bed, "Ready"), "a to be ready")
    return bed


@contextlib.asynccontextmanager
async def rival(bed):
    """Sets the replicas to 0 whenever they are not."""
    kubeconfig = Path(bed.world.kubeconfig)
    client = await Client.connect(ClusterSettings(kubeconfig=kubeconfig), manager="kubectl-edit")

    async def insist():
        while True:
            if await replicas(bed) != 0:
                await client.merge_patch(DEPLOYMENT, {"spec": {"replicas": 0}})
            await asyncio.sleep(0.02)

    task = asyncio.create_task(insist())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def phase_is(bed, phase):
    return await bed.phase("a") == phase


async def replicas(bed):
    return (await bed.client.get(DEPLOYMENT))["spec"]["replicas"]


def patches(bed):
    """Writes of the Deployment that came from the daemon."""
    return [line for line in bed.writes if line.startswith("PATCH") and line.endswith("/deployments/a")]


async def status(bed):
    return (await bed.client.get(WORKSPACE))["status"]


async def contested(bed):
    return (await status(bed))["reason"] == "Contested"


async def breakers(bed):
    state = await bed.client.get(ObjectKey("ConfigMap", "reconciler-system", names.STATE_CONFIGMAP))
    return json.loads(((state or {}).get("data") or {}).get("breakers", "[]"))


async def no_breakers(bed):
    return await breakers(bed) == []


async def looked_around(bed):
    """Leads, and has gone over everything a few times."""
    seen = await bed.metrics()
    passes = seen.get('workspace_reconciler_cycles_total{result="full"}', 0)
    return seen["workspace_reconciler_leader"] == 1 and passes >= 3


async def test_a_fight_ends_after_two_rounds_also_across_a_restart(running):
    bed = running
    async with rival(bed):
        await bed.until(lambda: contested(bed), "the contest to be told")
        message = (await status(bed))["message"]
        assert "spec.replicas" in message
        assert "kubectl-edit" in message
        assert len(patches(bed)) == 3, "one to create it, two to put it back"
        await bed.kill()
        await bed.run()
        await bed.until(lambda: looked_around(bed), "the new process to lead and look around")
        assert len(patches(bed)) == 3
        assert await contested(bed)

    fingerprint = message.split("acknowledge ")[1].split(" ")[0]
    bed.push({}, f"The script is gone\n\nReconciler-Ack: {fingerprint}")
    await bed.until(lambda: _has(bed, 1), "the field to be put back once more")
    await bed.until(lambda: no_breakers(bed), "the breaker to be closed")


async def _has(bed, wanted):
    return await replicas(bed) == wanted


async def _put_back(bed, before):
    """The server shows a write before it has told the proxy, which counts it, that it took it."""
    return len(patches(bed)) > before and await replicas(bed) == 1


async def test_a_contest_is_over_when_the_field_is_as_declared(running):
    bed = running
    async with rival(bed):
        await bed.until(lambda: contested(bed), "the contest to be told")
        (breaker,) = await breakers(bed)
        assert (breaker["workspace"], breaker["field"]) == (f"{NAMESPACE}/a", "spec.replicas")
    await bed.client.merge_patch(DEPLOYMENT, {"spec": {"replicas": 1}})
    await bed.until(lambda: no_breakers(bed), "the breaker to be closed")
    before = len(patches(bed))
    await bed.client.merge_patch(DEPLOYMENT, {"spec": {"replicas": 0}})
    await bed.until(lambda: _put_back(bed, before), "a new edit to be put back as the first one was")
    assert len(patches(bed)) == before + 1


async def test_a_contest_is_over_when_git_declares_it_otherwise(running):
    bed = running
    async with rival(bed):
        await bed.until(lambda: contested(bed), "the contest to be told")
    bed.push({"a.yaml": inference("a", strength="0.5")})
    await bed.until(lambda: _has(bed, 1), "the new spec to be applied whole")
    await bed.until(lambda: no_breakers(bed), "the breaker to be closed")


async def test_nothing_is_written_while_the_live_object_is_suspended(running):
    bed = running
    text = "2099-01-01T00:00:00Z ann debugging"
    await bed.client.merge_patch(WORKSPACE, {"metadata": {"annotations": {names.SUSPEND: text}}})
    await bed.until(lambda: phase_is(bed, "Suspended"), "the suspension to be told")
    before = [line for line in bed.writes if "git" not in line]
    await bed.client.merge_patch(DEPLOYMENT, {"spec": {"replicas": 0}})
    await bed.client.delete(ObjectKey("Service", NAMESPACE, "a"))
    bed.push({"a.yaml": inference("a", strength="0.5")})
    passes = await _full(bed)
    await bed.until(lambda: _more(bed, passes), "two looks at everything")
    written = [line for line in bed.writes if "git" not in line][len(before) :]
    assert not [line for line in written if "/status" not in line and "/events" not in line]

    await bed.client.merge_patch(WORKSPACE, {"metadata": {"annotations": {names.SUSPEND: None}}})
    await bed.until(lambda: phase_is(bed, "Ready"), "everything to be put right")
    assert await replicas(bed) == 1
    assert await bed.get("Service", "a")


async def _full(bed):
    return (await bed.metrics()).get('workspace_reconciler_cycles_total{result="full"}', 0)


async def _more(bed, passes):
    return await _full(bed) >= passes + 2
