"""One pod on a node: init containers in order, then all others, restarted as its policy says."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial

from reconciler.dev.clock import Pace, Timer
from reconciler.dev.logs import Log
from reconciler.dev.objects import uid_of
from reconciler.errors import NotFound
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .runtime import Exited, NotStarted, Place, Process, Running, Runtime, Work
from .status import ContainerState, Json


class PodRun:
    """Keeps its containers' states; `changed` is called whenever the status may differ or a start is due."""

    def __init__(
        self,
        pod: Manifest,
        place: Place,
        runtime_of: Callable[[str], Runtime],
        pace: Pace,
        changed: Callable[[], None],
    ) -> None:
        self.pod = pod
        self._place = place
        self._runtime_of = runtime_of
        self._pace = pace
        self._changed = changed
        self._processes: dict[str, Process] = {}
        self._logs: dict[str, list[Log]] = defaultdict(list)
        self._timers: dict[str, Timer] = {}
        self._tries: dict[str, int] = defaultdict(int)
        self._stopped = False
        self._ended = asyncio.Event()
        spec, uid = pod["spec"], uid_of(pod)
        self._inits = [ContainerState(each, uid, True) for each in spec.get("initContainers") or []]
        waiting = "PodInitializing" if self._inits else "ContainerCreating"
        self._mains = [ContainerState(each, uid, waiting=waiting) for each in spec["containers"]]
        self._states = {each.name: each for each in (*self._inits, *self._mains)}
        self._began = pace.stamp()
        self._turned: dict[str, tuple[bool, str]] = {}

    def status(self) -> Json:
        """The whole status; conditions keep the time at which they last turned."""
        phase, ip, host = self._phase(), self._place.pod_ip, self._place.host_ip
        ready = phase == "Running" and all(each.running.ready for each in self._mains)
        held = {"PodScheduled": True, "PodReadyToStartContainers": True, "ContainersReady": ready}
        held |= {"Ready": ready, "Initialized": all(each.succeeded for each in self._inits)}
        why = "PodCompleted" if phase == "Succeeded" else "ContainersNotReady"
        return {
            "phase": phase,
            "startTime": self._began,
            "conditions": [self._condition(kind, status, why) for kind, status in held.items()],
            "containerStatuses": [each.render() for each in self._mains],
            "initContainerStatuses": [each.render() for each in self._inits] or None,
        } | {"podIP": ip, "podIPs": [{"ip": ip}], "hostIP": host, "hostIPs": [{"ip": host}]}

    def _phase(self) -> str:
        if any(each.final and not each.succeeded for each in self._inits):
            return "Failed"
        if all(each.final for each in self._mains):
            return "Succeeded" if all(each.succeeded for each in self._mains) else "Failed"
        return "Running" if any(each.starts for each in self._mains) else "Pending"

    def _condition(self, kind: str, status: bool, why_not: str) -> Json:
        if self._turned.get(kind, (None, ""))[0] != status:
            self._turned[kind] = (status, self._pace.stamp())
        shown = {"type": kind, "status": str(status), "lastTransitionTime": self._turned[kind][1]}
        why_not = "ContainersNotInitialized" if kind == "Initialized" else why_not
        return shown if status else shown | {"reason": why_not}

    @property
    def due(self) -> list[ContainerState]:
        """What is to be started now: one init container, or all main ones."""
        wanted = [each for each in self._inits if not each.succeeded][:1] or self._mains
        busy = self._processes.keys() | self._timers.keys()
        return [each for each in wanted if not each.final and not self._stopped and each.name not in busy]

    def start(self, sources: Mapping[ObjectKey, Manifest | None]) -> None:
        """Starts what is due; `sources` are the ConfigMaps and Secrets that the pod refers to."""
        for state in self.due:
            work = Work(self.pod, state.container, state.init, self._place, sources)
            try:
                process = self._runtime_of(state.container["image"]).start(work, partial(self._heed, state))
            except NotStarted as why:
                self._heed(state, why)
                continue
            self._processes[state.name] = process
            logs = self._logs[state.name]
            logs.append(process.log)
            del logs[:-2]

    def _heed(self, state: ContainerState, event: NotStarted | Running | Exited) -> None:
        match event:
            case Running():
                self._tries[state.name] = 0
                state.begin(self._pace.now(), event)
            case NotStarted():
                tries = self._tries[state.name] = self._tries[state.name] + 1
                why, message = event.args
                again = tries > 1 and why == "ErrImagePull"
                self._wait(state, "ImagePullBackOff" if again else why, message, tries)
            case Exited():
                state.end(event, self._pace.now())
                policy = self.pod["spec"].get("restartPolicy", "Always")
                done = event.code == 0 and (state.init or policy == "OnFailure")
                state.final = done or policy == "Never" or self._stopped
                told = f"back-off restarting failed container {state.name}"
                self._wait(state, "CrashLoopBackOff", told, state.starts)
        self._changed()

    def _wait(self, state: ContainerState, why: str, message: str, tries: int) -> None:
        """To be tried again, after at most 30 times the first pause."""
        self._processes.pop(state.name, None)
        self._ended.set()
        state.waiting, state.message = why, message
        if not self._stopped and not state.final:
            factor = min(2 ** min(tries - 1, 5), 30)
            seconds = self._pace.speed.backoff_seconds * factor
            self._timers[state.name] = self._pace.clock.after(seconds, partial(self._due, state.name))

    def _due(self, name: str) -> None:
        del self._timers[name]
        self._changed()

    def stop(self, grace_seconds: float | None = None) -> None:
        """Ends every container, within the pod's own grace period; nothing is started any more."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        if grace_seconds is None:
            own = self.pod["spec"].get("terminationGracePeriodSeconds", 30)
            grace_seconds = float(self.pod["metadata"].get("deletionGracePeriodSeconds", own))
        for process in list(self._processes.values()):
            process.stop(grace_seconds)

    @property
    def ended(self) -> bool:
        """Stopped, and no container is running any more."""
        return self._stopped and not self._processes

    async def close(self) -> None:
        """Kills what still runs; its folders are gone after that."""
        self.stop(0)
        while self._processes:
            self._ended.clear()
            await self._ended.wait()
        for state in self._states.values():
            self._runtime_of(state.container["image"]).forget(state.pod_uid)

    def log(self, container: str, previous: bool) -> Log:
        """Raises NotFound where there is none, in the API server's words."""
        logs, pod = self._logs[container], self.pod["metadata"]["name"]
        if previous and len(logs) < 2:
            raise NotFound(f'previous terminated container "{container}" in pod "{pod}" not found')
        if not logs:
            waiting = self._states[container].waiting
            raise NotFound(f'container "{container}" in pod "{pod}" is waiting to start: {waiting}')
        return logs[-2 if previous else -1]
