"""Containers without processes: stages instead of work, and failures on request.

The annotation `dev.reconciler.dev/fail` on a pod makes its main containers fail:
`ImagePullBackOff`, `CrashLoopBackOff`, `OOMKilled` or `Error:<exit code>`. It is read at every start, so
taking it away heals the pod.
"""

from collections import deque
from collections.abc import Sequence

from reconciler.dev.clock import Pace, Timer

from .runtime import Exited, PullFailed, Report, Running, Runtime, Work
from .stages import Stage, StageTable, stages_of
from .tuning import result

FAIL = "dev.reconciler.dev/fail"
STOPPED = Exited(0, "Completed")


class SimulatedRuntime(Runtime):
    """Runs by the stage table; a container no row selects starts, is ready and stays."""

    def __init__(self, pace: Pace, table: Sequence[StageTable]) -> None:
        self._pace = pace
        self._table = table

    def start(self, work: Work, report: Report) -> "Simulation":
        simulation = Simulation(work, stages_of(work, self._table), report, self._pace)
        simulation.step()
        return simulation


class Simulation:
    """One container on its way through its stages."""

    def __init__(self, work: Work, stages: Sequence[Stage], report: Report, pace: Pace) -> None:
        self._work = work
        self._left = deque(stages)
        self._report = report
        self._pace = pace
        self._timer: Timer | None = None
        self._ended = False
        self._lines: list[str] = []
        self._failure = "" if work.init else work.annotation(FAIL)

    def step(self) -> None:
        """Sets out for the next stage; stages without a delay happen at once."""
        while self._left and not self._ended:
            stage = self._left[0]
            seconds = stage.seconds(self._pace.chance) * self._pace.speed.stage_factor
            if seconds > 0:
                self._timer = self._pace.clock.after(seconds, self._arrive)
                return
            self._enter(self._left.popleft())

    def _arrive(self) -> None:
        self._enter(self._left.popleft())
        self.step()

    def _enter(self, stage: Stage) -> None:
        unlucky = stage.failure_rate > 0 and self._pace.chance.random() < stage.failure_rate
        match stage.to:
            case "running":
                self._run(unlucky)
            case "ready":
                self._be_ready(unlucky)
            case "completed":
                self._complete(unlucky)

    def _run(self, unlucky: bool) -> None:
        image = self._work.container["image"]
        if unlucky or self._failure == "ImagePullBackOff":
            self._end(PullFailed(f'failed to pull image "{image}": not found (simulated)'))
            return
        self._say(f"started from {image}")
        self._report(Running())

    def _be_ready(self, unlucky: bool) -> None:
        if failed := self._failed(unlucky):
            self._end(failed)
        else:
            self._say("ready")
            self._report(Running(ready=True))

    def _complete(self, unlucky: bool) -> None:
        self._end(self._failed(unlucky) or Exited(0, "Completed", result(self._work)))

    def _failed(self, unlucky: bool) -> Exited | None:
        match self._failure.partition(":"):
            case ("OOMKilled", _, _):
                return Exited(137, "OOMKilled")
            case ("Error", _, code):
                return Exited(int(code or 1), "Error", f"failed as asked, exit {code or 1} (simulated)")
            case ("CrashLoopBackOff", _, _):
                return Exited(1, "Error", "crashed as asked (simulated)")
        return Exited(1, "Error", "bad luck (simulated)") if unlucky else None

    def _end(self, event: PullFailed | Exited) -> None:
        if self._ended:
            return
        self._ended = True
        if self._timer:
            self._timer.cancel()
        self._say(f"ended: {event}")
        self._report(event)

    def _say(self, line: str) -> None:
        self._lines.append(f"{self._pace.stamp()} {self._work.container['name']}: {line}")

    def stop(self, grace_seconds: float) -> None:
        self._end(STOPPED)

    def logs(self) -> str:
        return "".join(line + "\n" for line in self._lines)
