"""Job: pods until enough of them have succeeded, or too many failed, or time is up.

Finished pods are counted while they exist; a pod that is deleted before it finished counts neither way and is
replaced. A Job with indexed completion or a success policy gets a Warning Event and no pods.
"""

from collections import Counter
from typing import Any

from reconciler.dev.clock import Pace, epoch
from reconciler.dev.objects import Words, condition, deleting, holds, key_of, phase, ready, stated
from reconciler.dev.view import View
from reconciler.model.world import Manifest

from . import podfailures
from .pods import new_pod, standing, suffixed

LONGEST_RETRY_FACTOR = 36
NAME = "job-controller"


class Jobs:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self._pace = pace
        self.queue = view.controller("Job", self._reconcile, pace, owned=("Pod",))

    async def _reconcile(self, job: Manifest) -> None:
        if holds(job, "Complete") or holds(job, "Failed"):
            await self._expire(job)
            return
        if unknown := _unknown(job):
            if "active" not in job.get("status", {}):
                why = f"this cluster ignores Jobs with {unknown}"
                await self._view.tell(job, "NotModelled", why, NAME, "Warning")
                await self._view.set_status(job, {"active": 0})
            return
        pods = self._view.controlled(job, "Pod")
        alive, status = standing(pods), self._tally(job, pods)
        verdict = self._verdict(job, pods, status)
        if verdict or job["spec"].get("suspend"):
            for pod in alive:
                await self._view.delete(pod)
            status["active"] = status["ready"] = 0
        else:
            await self._fill(job, pods, status)
        await self._report(job, status, verdict)

    def _tally(self, job: Manifest, pods: list[Manifest]) -> dict[str, Any]:
        before, alive = job.get("status", {}), standing(pods)
        phases = Counter(phase(p) for p in pods if podfailures.action(job, p)[0] != podfailures.IGNORE)
        since = before.get("startTime") or self._pace.stamp()
        return {
            "startTime": None if job["spec"].get("suspend") else since,
            "active": len(alive),
            "ready": sum(map(ready, alive)),
            "succeeded": max(phases["Succeeded"], before.get("succeeded", 0)),
            "failed": max(phases["Failed"], before.get("failed", 0)),
        }

    def _verdict(self, job: Manifest, pods: list[Manifest], status: dict[str, Any]) -> Words | None:
        spec, limit = job["spec"], int(job["spec"].get("backoffLimit", 6))
        if _left(job, status) == 0 and not (spec.get("completions") is None and status["active"]):
            return "Complete", "True", "CompletionsReached", "Reached expected number of succeeded pods"
        for pod in pods:
            rule, why = podfailures.action(job, pod)
            if phase(pod) == "Failed" and rule == podfailures.FAIL_JOB:
                return "Failed", "True", "PodFailurePolicy", why
        restarts = sum(map(_restarts, pods))
        if status["failed"] > limit or restarts > limit or 0 < limit == restarts:
            return "Failed", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        deadline = spec.get("activeDeadlineSeconds")
        if deadline is not None and status["startTime"]:
            left = epoch(status["startTime"]) + deadline - self._pace.now()
            if left <= 0:
                return "Failed", "True", "DeadlineExceeded", "Job was active longer than specified deadline"
            self.queue.add_after(key_of(job), left)
        return None

    async def _fill(self, job: Manifest, pods: list[Manifest], status: dict[str, Any]) -> None:
        lacking = min(int(job["spec"].get("parallelism", 1)), _left(job, status)) - status["active"]
        for pod in standing(pods)[: max(-lacking, 0)] if _left(job, status) else ():
            await self._view.delete(pod)
        if lacking <= 0 or any(deleting(pod) for pod in pods):
            return
        if wait := self._pause(status["failed"], pods):
            self.queue.add_after(key_of(job), wait)
            return
        for _ in range(lacking):
            pod = await self._view.create(_pod(job))
            await self._view.tell(job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}", NAME)
        status["active"] += lacking

    def _pause(self, failed: int, pods: list[Manifest]) -> float:
        """Seconds until the next pod may be made; counted from the last failure, ignored ones too."""
        failed = max(failed, sum(phase(pod) == "Failed" for pod in pods))
        ends = [end for pod in pods if phase(pod) == "Failed" for end in _ends(pod)]
        if not failed or not ends:
            return 0.0
        pause = self._pace.speed.backoff_seconds * min(1 << (failed - 1), LONGEST_RETRY_FACTOR)
        return max(0.0, max(ends) + pause - self._pace.now())

    async def _report(self, job: Manifest, status: dict[str, Any], verdict: Words | None) -> None:
        at = self._pace.stamp()
        words = [each for each in (_suspended(job), verdict) if each]
        if words:
            status["conditions"] = [stated(job, each, at) for each in words]
        if verdict and verdict[0] == "Complete":
            status["completionTime"] = at
        await self._view.set_status(job, status)
        if verdict:
            kind = "Normal" if verdict[0] == "Complete" else "Warning"
            reason = "Completed" if verdict[0] == "Complete" else verdict[2]
            await self._view.tell(job, reason, verdict[3], NAME, kind)

    async def _expire(self, job: Manifest) -> None:
        after = job["spec"].get("ttlSecondsAfterFinished")
        if after is None:
            return
        left = epoch(job["status"]["conditions"][-1]["lastTransitionTime"]) + after - self._pace.now()
        if left > 0:
            self.queue.add_after(key_of(job), left)
        else:
            await self._view.delete(job)


def _unknown(job: Manifest) -> str:
    spec = job["spec"]
    if spec.get("completionMode", "NonIndexed") != "NonIndexed":
        return f"completionMode {spec['completionMode']}"
    return "successPolicy" if spec.get("successPolicy") else ""


def _suspended(job: Manifest) -> Words | None:
    """Said once it was suspended, and ever after."""
    if job["spec"].get("suspend"):
        return "Suspended", "True", "JobSuspended", "Job suspended"
    return ("Suspended", "False", "JobResumed", "Job resumed") if condition(job, "Suspended") else None


def _pod(job: Manifest) -> Manifest:
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    own = {"job-name": name, "controller-uid": uid}
    return new_pod(job, suffixed(name), own | {f"batch.kubernetes.io/{key}": own[key] for key in own})


def _left(job: Manifest, status: dict[str, Any]) -> int:
    """Completions still to come; with a number of none, the first success is the last thing begun."""
    wanted = job["spec"].get("completions")
    if wanted is not None:
        return max(int(wanted) - int(status["succeeded"]), 0)
    return 0 if status["succeeded"] else int(job["spec"].get("parallelism", 1))


def _restarts(pod: Manifest) -> int:
    """Failures that a pod with restart policy OnFailure kept to itself."""
    if pod["spec"].get("restartPolicy") != "OnFailure":
        return 0
    return sum(each.get("restartCount", 0) for each in pod.get("status", {}).get("containerStatuses") or [])


def _ends(pod: Manifest) -> list[float]:
    states = [each["state"].get("terminated") for each in pod["status"].get("containerStatuses") or []]
    return [epoch(state["finishedAt"]) for state in states if state]
