"""Job: pods until enough of them have succeeded, or too many failed, or time is up.

Finished pods are counted while they exist; a pod that is deleted before it finished counts neither way and is
replaced. Indexed completion, success policies and pod failure policies are not modelled.
"""

from typing import Any

from reconciler.dev.clock import Pace, epoch
from reconciler.dev.objects import deleting, holds, phase, ready
from reconciler.dev.view import View
from reconciler.dev.workqueue import WorkQueue
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .pods import new_pod, standing, suffixed

LONGEST_RETRY_FACTOR = 36


class Jobs:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self._pace = pace
        self.queue: WorkQueue[ObjectKey] = WorkQueue(self._reconcile, pace)
        view.feed("Job", self.queue, owned=("Pod",))

    async def _reconcile(self, key: ObjectKey) -> None:
        job = self._view.get(key)
        if job is None or deleting(job):
            return
        if holds(job, "Complete") or holds(job, "Failed"):
            await self._expire(job)
            return
        pods = self._view.controlled(job, "Pod")
        status = self._tally(job, pods)
        verdict = self._verdict(job, status)
        if verdict or job["spec"].get("suspend"):
            await self._end(standing(pods), status)
        else:
            await self._fill(job, standing(pods), status, pods)
        await self._report(job, status, verdict)

    def _tally(self, job: Manifest, pods: list[Manifest]) -> dict[str, Any]:
        before = job.get("status", {})
        alive = standing(pods)
        return {
            "startTime": before.get("startTime")
            or (None if job["spec"].get("suspend") else self._pace.stamp()),
            "active": len(alive),
            "ready": sum(map(ready, alive)),
            "succeeded": max(_count(pods, "Succeeded"), before.get("succeeded", 0)),
            "failed": max(_count(pods, "Failed"), before.get("failed", 0)),
        }

    def _verdict(self, job: Manifest, status: dict[str, Any]) -> tuple[str, str, str] | None:
        """Type, reason and message of the final condition, once there is one."""
        spec = job["spec"]
        if status["succeeded"] >= _completions(job):
            return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
        if status["failed"] > int(spec.get("backoffLimit", 6)):
            return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        deadline = spec.get("activeDeadlineSeconds")
        if deadline is not None and status["startTime"]:
            left = epoch(status["startTime"]) + deadline - self._pace.now()
            if left <= 0:
                return "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
            self.queue.add_after(_key(job), left)
        return None

    async def _end(self, alive: list[Manifest], status: dict[str, Any]) -> None:
        for pod in alive:
            await self._view.delete(pod)
        status["active"] = status["ready"] = 0

    async def _fill(
        self, job: Manifest, alive: list[Manifest], status: dict[str, Any], pods: list[Manifest]
    ) -> None:
        left = _completions(job) - status["succeeded"]
        lacking = min(int(job["spec"].get("parallelism", 1)), left) - len(alive)
        if lacking <= 0 or any(deleting(pod) for pod in pods):
            return
        if wait := self._pause(status["failed"], pods):
            self.queue.add_after(_key(job), wait)
            return
        for _ in range(lacking):
            await self._view.create(_pod(job))
        status["active"] += lacking

    def _pause(self, failed: int, pods: list[Manifest]) -> float:
        """Seconds until the next pod may be made; counted from the last failure."""
        ends = [end for pod in pods if phase(pod) == "Failed" for end in _ends(pod)]
        if not failed or not ends:
            return 0.0
        unit = self._pace.speed.backoff_seconds
        pause = unit * min(1 << (failed - 1), LONGEST_RETRY_FACTOR)
        return max(0.0, max(ends) + pause - self._pace.now())

    async def _report(
        self, job: Manifest, status: dict[str, Any], verdict: tuple[str, str, str] | None
    ) -> None:
        if verdict:
            kind, reason, message = verdict
            at = self._pace.stamp()
            condition = {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": message,
                "lastProbeTime": at,
                "lastTransitionTime": at,
            }
            status["conditions"] = [condition]
            if kind == "Complete":
                status["completionTime"] = at
        await self._view.set_status(job, {name: value for name, value in status.items() if value is not None})
        if verdict:
            await self._expire(job | {"status": status})

    async def _expire(self, job: Manifest) -> None:
        after = job["spec"].get("ttlSecondsAfterFinished")
        if after is None:
            return
        left = epoch(job["status"]["conditions"][0]["lastTransitionTime"]) + after - self._pace.now()
        if left > 0:
            self.queue.add_after(_key(job), left)
        else:
            await self._view.delete(job)


def _pod(job: Manifest) -> Manifest:
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    labels = {
        "batch.kubernetes.io/job-name": name,
        "job-name": name,
        "batch.kubernetes.io/controller-uid": uid,
        "controller-uid": uid,
    }
    return new_pod(job, suffixed(name), labels)


def _key(job: Manifest) -> ObjectKey:
    return ObjectKey("Job", job["metadata"]["namespace"], job["metadata"]["name"])


def _count(pods: list[Manifest], wanted: str) -> int:
    return sum(phase(pod) == wanted for pod in pods)


def _completions(job: Manifest) -> int:
    return int(job["spec"].get("completions") or 1)


def _ends(pod: Manifest) -> list[float]:
    states = [each["state"].get("terminated") for each in pod["status"].get("containerStatuses") or []]
    return [epoch(state["finishedAt"]) for state in states if state]
