"""One pod on a node: init containers in order, then all others, restarted as its policy says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from reconciler.dev.clock import Pace, Timer
from reconciler.model.world import Manifest

from .runtime import Event, Exited, Process, PullFailed, Running, Runtime, Work
from .status import ContainerState, Json, PodState

LONGEST_BACKOFF = 30
"""Times the first pause."""
MAX_DOUBLINGS = 5


@dataclass(frozen=True, slots=True)
class Addresses:
    pod: str
    host: str


class PodRun:
    """Starts containers and keeps their states; `changed` is called whenever the status may differ."""

    def __init__(self, pod: Manifest, addresses: Addresses, pace: Pace, changed: Callable[[], None]) -> None:
        self.pod = pod
        self._pace = pace
        self._changed = changed
        self._processes: dict[str, Process] = {}
        self._timers: dict[str, Timer] = {}
        self._pulls: dict[str, int] = {}
        self._stopped = False
        self._runtimes: Callable[[str], Runtime] = _no_runtime
        self._files: Mapping[str, str] = {}
        self._began = False
        spec = pod["spec"]
        states = [
            ContainerState(each["name"], each["image"], pod["metadata"]["uid"], init)
            for init, group in ((True, "initContainers"), (False, "containers"))
            for each in spec.get(group) or []
        ]
        for main in states:
            if not main.init and spec.get("initContainers"):
                main.waiting = "PodInitializing"
        self.state = PodState(states, addresses.pod, addresses.host, pace.now())

    def begin(self, runtimes: Callable[[str], Runtime], files: Mapping[str, str]) -> None:
        """Starts it; `runtimes` gives the runtime for an image, `files` what ConfigMaps mount."""
        self._runtimes, self._files, self._began = runtimes, files, True
        self._advance()

    def hold(self, message: str) -> None:
        """Says what it waits for before anything is started."""
        for each in self.state.containers:
            each.message = message
        self._changed()

    @property
    def began(self) -> bool:
        return self._began

    def _advance(self) -> None:
        """Starts what is next: one init container, or all main ones."""
        for each in self._next():
            if each.name not in self._processes:
                self._start(each)

    def _next(self) -> list[ContainerState]:
        waiting = [each for each in self.state.inits if not each.succeeded]
        if not waiting:
            return self.state.mains
        return waiting[:1] if not waiting[0].final else []

    def _start(self, state: ContainerState) -> None:
        self._timers.pop(state.name, None)
        if self._stopped:
            return
        group = "initContainers" if state.init else "containers"
        container = next(each for each in self.pod["spec"][group] if each["name"] == state.name)
        work = Work(self.pod, container, state.init, self._files)
        process = self._runtimes(state.image).start(work, partial(self._heed, state))
        self._processes[state.name] = process
        self._changed()

    def _heed(self, state: ContainerState, event: Event) -> None:
        match event:
            case Running(ready):
                self._pulls.pop(state.name, None)
                state.begin(self._pace.now(), ready)
            case PullFailed(message):
                self._await_image(state, message)
            case Exited(code, reason, message):
                state.end(code, reason, message, self._pace.now())
                self._after_exit(state, code)
        self._changed()

    def _await_image(self, state: ContainerState, message: str) -> None:
        tries = self._pulls[state.name] = self._pulls.get(state.name, 0) + 1
        state.waiting = "ErrImagePull" if tries == 1 else "ImagePullBackOff"
        state.message = message
        self._again(state, tries)

    def _after_exit(self, state: ContainerState, code: int) -> None:
        policy = self.pod["spec"].get("restartPolicy", "Always")
        if state.init:
            state.final = code == 0 or policy == "Never"
        else:
            state.final = policy == "Never" or (policy == "OnFailure" and code == 0)
        if self._stopped or state.final:
            state.final = True
            if state.init and code == 0 and not self._stopped:
                self._pace.clock.after(0, self._advance)
            return
        state.waiting = "CrashLoopBackOff"
        state.message = f"back-off restarting failed container {state.name}"
        self._again(state, state.starts)

    def _again(self, state: ContainerState, tries: int) -> None:
        if self._stopped:
            return
        factor = min(2 ** min(tries - 1, MAX_DOUBLINGS), LONGEST_BACKOFF)
        seconds = self._pace.speed.backoff_seconds * factor
        self._timers[state.name] = self._pace.clock.after(seconds, partial(self._start, state))

    def stop(self) -> None:
        """Ends every container; nothing is started any more."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        grace = float(self.pod["spec"].get("terminationGracePeriodSeconds", 30))
        for process in self._processes.values():
            process.stop(grace)

    @property
    def ended(self) -> bool:
        """Stopped, and no container is running any more."""
        return self._stopped and all(each.since is None for each in self.state.containers)

    def status(self) -> Json:
        return self.state.render(self._pace.now())

    def logs(self, container: str) -> str:
        name = container or self.pod["spec"]["containers"][0]["name"]
        process = self._processes.get(name)
        return process.logs() if process else ""


def _no_runtime(image: str) -> Runtime:
    raise RuntimeError(f"{image} is started before the pod began")
