"""Containers without processes: stages instead of work, and failures on request.

The annotation `dev.reconciler.dev/fail` on a pod makes its main containers fail:
`ImagePullBackOff`, `CrashLoopBackOff`, `OOMKilled` or `Error:<exit code>`. It is read at every start, so
taking it away heals the pod.

A container with `RECONCILER_SETTINGS`, the path of a mounted file in which `output.image` says where an
adapter goes, tunes: it reports an artifact whose digest is that of its settings.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import Field

from reconciler.dev.clock import Pace
from reconciler.dev.logs import Log
from reconciler.dev.rows import Row

from .runtime import Exited, NotStarted, Report, Running, Runtime, Work
from .sources import environment, mounted

DEFAULT_STAGES = Path(__file__).with_name("stages.yaml")
FAIL = "dev.reconciler.dev/fail"
FAILURES = {
    "OOMKilled": Exited(137, "OOMKilled"),
    "CrashLoopBackOff": Exited(1, "Error", "crashed as asked (simulated)"),
}


class Selector(Row):
    init: bool | None = None
    owner_kind: str | None = None
    image: str = "*"

    def meets(self, work: Work) -> bool:
        owners = {owner["kind"] for owner in work.pod["metadata"].get("ownerReferences") or []}
        return (
            self.init in (None, work.init)
            and (self.owner_kind is None or self.owner_kind in owners)
            and fnmatchcase(work.container["image"], self.image)
        )


class Stage(Row):
    to: Literal["running", "ready", "completed"]
    delay: float = Field(default=0.0, ge=0)
    jitter: float = Field(default=0.0, ge=0, le=1)
    failure_rate: float = Field(default=0.0, ge=0, le=1)

    def seconds(self, chance: random.Random) -> float:
        return self.delay * (1 + self.jitter * chance.uniform(-1, 1))


class StageTable(Row):
    """One row: which containers, which stages."""

    selector: Selector
    stages: tuple[Stage, ...]


class SimulatedRuntime(Runtime):
    """Runs by the stage table; a container no row selects starts, is ready and stays."""

    local = False
    note = ""

    def __init__(self, pace: Pace, table: Sequence[StageTable]) -> None:
        self._pace = pace
        self._table = table

    def start(self, work: Work, report: Report) -> "Simulation":
        stages = next((row.stages for row in self._table if row.selector.meets(work)), ())
        return Simulation(work, stages, report, self._pace)

    def forget(self, pod_uid: str) -> None:
        return


class Simulation:
    """One container on its way through its stages."""

    def __init__(self, work: Work, stages: Sequence[Stage], report: Report, pace: Pace) -> None:
        self._work = work
        self._result = Exited(0, "Completed", _artifact(work))
        self._report = report
        self._pace = pace
        self._ended = False
        self.log = Log()
        annotations = work.pod["metadata"].get("annotations") or {}
        self._failure = "" if work.init else str(annotations.get(FAIL, ""))
        self._task = asyncio.create_task(self._run(stages))

    async def _run(self, stages: Sequence[Stage]) -> None:
        for stage in stages:
            seconds = stage.seconds(self._pace.chance) * self._pace.speed.stage_factor
            if seconds > 0:
                over = asyncio.Event()
                self._pace.clock.after(seconds, over.set)
                await over.wait()
            unlucky = stage.failure_rate > 0 and self._pace.chance.random() < stage.failure_rate
            event = self._reached(stage, unlucky)
            if not isinstance(event, Running):
                self._end(event)
                return
            self._say(stage.to)
            self._report(event)

    def _reached(self, stage: Stage, unlucky: bool) -> NotStarted | Running | Exited:
        if stage.to == "running":
            if not unlucky and self._failure != "ImagePullBackOff":
                return Running()
            image = self._work.container["image"]
            return NotStarted("ErrImagePull", f'failed to pull image "{image}": not found (simulated)')
        return self._failed(unlucky) or (self._result if stage.to == "completed" else Running(ready=True))

    def _failed(self, unlucky: bool) -> Exited | None:
        asked, _, code = self._failure.partition(":")
        if asked == "Error":
            return Exited(int(code or 1), "Error", f"failed as asked, exit {code or 1} (simulated)")
        return FAILURES.get(asked) or (Exited(1, "Error", "bad luck (simulated)") if unlucky else None)

    def _end(self, event: NotStarted | Exited) -> None:
        if not self._ended:
            self._ended = True
            self._say(f"ended: {event}")
            self.log.end(self._pace.now())
            self._report(event)

    def _say(self, line: str) -> None:
        self.log.write(self._pace.now(), f"{self._work.container['name']}: {line}\n".encode())

    def stop(self, grace_seconds: float) -> None:
        self._task.cancel()
        self._end(Exited(0, "Completed"))


def _artifact(work: Work) -> str:
    """The termination message; empty for containers that tune nothing."""
    file = mounted(work).get(environment(work).get("RECONCILER_SETTINGS", ""))
    text = file.data if file else b""
    try:
        image = json.loads(text)["output"]["image"]
    except (ValueError, KeyError, TypeError):
        return ""
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    loss = round(1 + int(digest[7:9], 16) / 256, 4)
    artifact = {"image": image, "digest": digest, "simulated": True}
    return json.dumps({"artifact": artifact, "metrics": {"steps": 10, "trainLoss": loss}})
