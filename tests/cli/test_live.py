"""Commands beside a running daemon: plans of the live cluster, acknowledgements, waiting."""

import asyncio
import json

from e2e.bed import inference

from reconciler.model import names
from reconciler.model.names import ObjectKey


def config(bed):
    return bed.root / "reconciler.yaml"


async def test_the_daemon_says_where_its_metrics_are_and_ends_with_status_0(bed):
    await bed.run()
    assert await bed.end() == 0
    log = (bed.root / "daemon.log").read_text()
    assert f"test: metrics and probes at http://127.0.0.1:{bed.port}\n" in log


async def test_plan_tells_what_a_change_would_do_and_writes_nothing(bed, cli):
    await bed.run()
    bed.push({"a.yaml": inference("a"), "b.yaml": inference("b")})
    await bed.until(lambda: is_ready(bed, "a", "b"), "both to be ready")
    assert (await cli("plan", "--config", config(bed))).code == 0

    await bed.end()
    (bed.clone / "workspaces" / "b.yaml").unlink()
    (bed.clone / "workspaces" / "c.yaml").write_text(inference("c", count=2))
    before = list(bed.writes)
    outcome = await cli("plan", bed.clone, "--config", config(bed), "-o", "json")
    assert outcome.code == 2, outcome.err
    steps = json.loads(outcome.out)["steps"]
    assert {(s["workspace"], s["verb"]) for s in steps} == {("ai/b", "delete"), ("ai/c", "create")}
    assert bed.writes == before


async def is_ready(bed, *workspaces):
    return all([await bed.phase(name) == "Ready" for name in workspaces])


async def test_an_acknowledgement_lets_a_held_deletion_through_at_once(bed, cli):
    annotations = {names.PROTECT: "true"}
    await bed.run()
    bed.push({"a.yaml": inference("a", annotations=annotations), "b.yaml": inference("b")})
    await bed.until(lambda: is_ready(bed, "a", "b"), "both to be ready")
    bed.push({"a.yaml": None})
    await bed.until(lambda: is_held(bed), "the deletion to be held")

    listed = json.loads((await cli("ack", "--config", config(bed), "-o", "json")).out)
    assert [(hold["reason"], hold["members"]) for hold in listed] == [("Protected", ["delete ai/a"])]
    outcome = await cli("ack", listed[0]["fingerprint"], "--config", config(bed))
    assert outcome.code == 0, outcome.err
    await bed.until(lambda: is_gone(bed), "the workspace to be deleted")
    state = await bed.client.get(ObjectKey("ConfigMap", "reconciler-system", names.STATE_CONFIGMAP))
    assert not [key for key in state["data"] if key.startswith(names.ACK_ENTRY)]


async def is_held(bed):
    return await bed.phase("a") == "Held"


async def is_gone(bed):
    return await bed.get("Workspace", "a") is None


async def test_a_suspended_workspace_is_left_alone_until_it_is_resumed(bed, cli):
    await bed.run()
    bed.push({"a.yaml": inference("a")})
    await bed.until(lambda: is_ready(bed, "a"), "it to be ready")
    outcome = await cli("suspend", "a", "--for", "1h", "--why", "repair", "--who", "ada", "-c", config(bed))
    assert outcome.code == 0, outcome.err
    await bed.until(lambda: is_suspended(bed), "the suspension to be seen")
    await bed.client.delete(ObjectKey("Service", "ai", "a"))
    commit = bed.push({"b.yaml": inference("b")})
    assert (await cli("wait", "--commit", commit, "--for", "ready", "-c", config(bed))).code == 0
    assert await bed.get("Service", "a") is None

    assert (await cli("resume", "a", "-c", config(bed))).code == 0
    await bed.until(lambda: is_there(bed), "the service to come back")


async def is_suspended(bed):
    return await bed.phase("a") == "Suspended"


async def is_there(bed):
    return await bed.get("Service", "a") is not None


async def test_wait_reports_an_invalid_commit(bed, cli):
    await bed.run()
    commit = bed.push({"bad.yaml": inference("bad").replace("phi-3-mini-4k-instruct", "phi-9")})
    outcome = await cli("wait", "--commit", commit, "--timeout", "60s", "--interval", "1s", "-c", config(bed))
    assert outcome.code == 1
    assert "ai/bad: Invalid: InvalidSpec" in outcome.err and "phi-9" in outcome.err


async def test_why_follows_a_workspace_that_is_not_ready(bed, cli):
    await bed.run()
    bed.push(
        {"bad.yaml": inference("bad").replace("phi-3-mini-4k-instruct", "phi-9"), "a.yaml": inference("a")}
    )
    await bed.until(lambda: is_ready(bed, "a"), "it to be ready")
    ref = ("--status-url", bed.remote, "--ref", "reconciler-status/test")

    async def told():
        return "workspaces/bad.yaml:1" in (await cli("why", *ref)).out

    async with asyncio.timeout(30):
        while not await told():
            await asyncio.sleep(0.2)
