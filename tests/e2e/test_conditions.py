"""What the daemon tells of its own surroundings while its work goes on."""

import asyncio
import sys

from e2e.bed import NAMESPACE, ROOT, inference

from reconciler.model import names
from reconciler.model.names import ObjectKey


async def ready(bed, name):
    async def is_ready():
        return await bed.phase(name) == "Ready"

    await bed.until(is_ready, f"{name} to be ready")


async def becomes(bed, type, status):
    async def said():
        return (await bed.condition(type)).get("status") == status

    await bed.until(said, f"{type} to become {status}", seconds=60)


async def warning(bed, reason):
    """The one Event that warns of it."""
    warnings = []

    async def told():
        found, _ = await bed.client.list("Event", "reconciler-system")
        warnings[:] = [e for e in found if e["reason"] == reason and e["type"] == "Warning"]
        return warnings

    await bed.until(told, f"an Event about {reason}")
    (event,) = warnings
    return event


async def shown(bed):
    """What `reconciler status` prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "reconciler", "status", "--config", str(bed.root / "reconciler.yaml"),
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


def refuse_status_pushes(bed):
    hook = bed.repository / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\nif grep -q reconciler-status; then echo "GH006: protected" >&2; exit 1; fi\n')
    hook.chmod(0o755)
    return hook


async def test_a_protected_status_ref_stops_no_work_and_is_told_until_it_is_open(bed):
    hook = refuse_status_pushes(bed)
    await bed.run()
    bed.push({"a.yaml": inference("a")})
    await ready(bed, "a")
    await becomes(bed, "WriteBackBlocked", "True")
    assert "GH006: protected" in (await bed.condition("WriteBackBlocked"))["message"]
    event = await warning(bed, "WriteBackBlocked")
    assert event["involvedObject"]["name"] == names.STATE_CONFIGMAP
    bed.push({"b.yaml": inference("b")})
    await ready(bed, "b")
    last = (await shown(bed)).splitlines()[-1]
    assert last.startswith("! WriteBackBlocked since ")
    assert "allow this account" in last

    hook.unlink()
    await becomes(bed, "WriteBackBlocked", "False")
    assert bed.index()["workspaces"] == {"ai/a": "Ready", "ai/b": "Ready"}
    assert "!" not in await shown(bed)


async def test_an_unreadable_repository_is_told_while_what_runs_is_looked_after(bed):
    await bed.run()
    bed.push({"a.yaml": inference("a")})
    await ready(bed, "a")
    assert await bed.condition("SourceUnreadable") == {}
    away = bed.repository.rename(bed.repository.with_suffix(".away"))
    await becomes(bed, "SourceUnreadable", "True")
    await warning(bed, "SourceUnreadable")
    before = (await bed.get("Deployment", "a"))["metadata"]["uid"]
    await bed.client.delete(ObjectKey("Deployment", NAMESPACE, "a"))

    async def back():
        return ((await bed.get("Deployment", "a")) or {"metadata": {"uid": before}})["metadata"][
            "uid"
        ] != before

    await bed.until(back, "the Deployment to come back")
    away.rename(bed.repository)
    await becomes(bed, "SourceUnreadable", "False")


async def test_a_condition_outlives_the_process_that_told_it(bed):
    refuse_status_pushes(bed)
    await bed.run()
    bed.push({"a.yaml": inference("a")})
    await becomes(bed, "WriteBackBlocked", "True")
    since = (await bed.condition("WriteBackBlocked"))["since"]
    await bed.kill()
    await bed.run()
    bed.push({"b.yaml": inference("b")})
    await ready(bed, "b")
    found = await bed.condition("WriteBackBlocked")
    assert (found["status"], found["since"]) == ("True", since)
    await warning(bed, "WriteBackBlocked")
