"""Pods of shell scripts, and what is told of them."""

import contextlib
import os
from typing import Any

from plugins.world import Bench, pod

from reconciler.errors import ReconcilerError


def shell(script: str, name: str = "main", **fields: Any) -> dict[str, Any]:
    """A container of the image `shell`. Kubernetes reads `$$` as `$`, so each is doubled."""
    return {"name": name, "image": "shell", "args": [script.replace("$$", "$$$$")]} | fields


async def ended(bench: Bench, name: str) -> dict[str, Any]:
    """The pod once it has ended for good."""
    return await bench.until("Pod", name, lambda p: p["status"]["phase"] in ("Succeeded", "Failed"))


async def run(bench: Bench, script: str, *, name: str = "p", container=None, **spec: Any) -> dict[str, Any]:
    """How a pod of one container, which runs `script` once, ended."""
    containers = [shell(script, **(container or {}))]
    await bench.client.create(pod(name, {"containers": containers, "restartPolicy": "Never"} | spec))
    return main(await ended(bench, name))["state"]["terminated"]


def main(found: dict[str, Any]) -> dict[str, Any]:
    """The status of the first container."""
    return (found["status"].get("containerStatuses") or [{"state": {}, "lastState": {}}])[0]


async def said(bench: Bench, script: str, **more: Any) -> str:
    """What a script that is run once wrote, and fails the test where it failed."""
    terminated = await run(bench, script, **more)
    text = await bench.client.logs("default", more.get("name", "p"))
    assert terminated["exitCode"] == 0, text
    return text


async def spoken(bench: Bench, name: str, lines: int = 1) -> list[str]:
    """What a running pod said, once there are so many lines."""

    async def check() -> list[str] | None:
        with contextlib.suppress(ReconcilerError):  # it has not started yet
            text = await bench.client.logs("default", name)
            return text.splitlines() if text.count("\n") >= lines else None
        return None

    return await bench.eventually(check)


async def removed(bench: Bench, name: str) -> None:
    """Deletes the pod and waits until it is gone."""
    await bench.delete("Pod", name)

    async def gone() -> bool:
        return await bench.get("Pod", name) is None

    await bench.eventually(gone)


def alive(process: int | str) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(process), 0)
        return True
    return False


async def held_up(bench: Bench, name: str) -> dict[str, str]:
    """Why the pod's first container waits, once it says so."""
    found = await bench.until("Pod", name, lambda p: main(p)["state"].get("waiting", {}).get("message"))
    return main(found)["state"]["waiting"]
