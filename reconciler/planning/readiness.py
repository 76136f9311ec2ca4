"""Whether a workload does its job yet, and if not, what it waits for."""

from collections.abc import Iterator

from ..model.plan import Hold
from ..model.world import Manifest, ObservedPod
from .case import Case

IDLE_SPEND = 7200.0
"""Seconds an inference may be not ready before its GPUs count as idle spend."""

CRASH_LOOP = 3600.0
"""The same for one whose container keeps crashing."""

_BAD_REASONS = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "ErrImagePull",
        "Error",
        "Evicted",
        "ImagePullBackOff",
        "InvalidImageName",
        "OOMKilled",
        "RunContainerError",
        "Unschedulable",
    }
)
"""Reasons of kubelet and scheduler that do not pass by themselves, mostly."""


def of_workload(case: Case) -> Iterator[Hold]:
    """Nothing where the workload is ready, else one hold."""
    if workload_ready(case):
        return
    pod = failing_pod(case)
    patience = CRASH_LOOP if pod is not None and pod.reason == "CrashLoopBackOff" else IDLE_SPEND
    left = case.seen.since.get("notReady", case.now) + patience - case.now
    said = f"pod {pod.name} {pod.reason}: {pod.message}".rstrip(": ") if pod is not None else ""
    if case.want.kind == "inference" and left <= 0:
        paid = f"not ready for over {patience / 3600:.0f} h while {case.want.gpus} GPUs are paid for"
        yield case.hold("IdleSpend", f"{paid}; {said}" if said else paid)
    elif pod is not None:
        yield case.hold(pod.reason, said, recheck_after=max(left, 0.0) or None)
    else:
        yield case.wait("WorkloadNotReady", _progress(case), recheck_after=max(left, 0.0) or None)


def workload_ready(case: Case) -> bool:
    live = case.live_workload
    return live is not None and live_ready(live.manifest)


def live_ready(manifest: Manifest) -> bool:
    """Whether this object does its job; kinds without a job of their own always do."""
    if manifest.get("kind") == "Job":
        return job_finished(manifest) == "Complete"
    return manifest.get("kind") not in ("Deployment", "StatefulSet") or _replicas_ready(manifest)


def _replicas_ready(manifest: Manifest) -> bool:
    status, wanted = manifest.get("status", {}), manifest.get("spec", {}).get("replicas", 1)
    current = status.get("observedGeneration", 0) >= manifest.get("metadata", {}).get("generation", 0)
    updated = status.get("updatedReplicas", 0) >= wanted
    return bool(current and updated and status.get("readyReplicas", 0) >= wanted)


def job_finished(manifest: Manifest) -> str:
    """`Complete`, `Failed`, or empty while it runs."""
    for condition in manifest.get("status", {}).get("conditions") or []:
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
            return str(condition["type"])
    return ""


def failing_pod(case: Case) -> ObservedPod | None:
    return next((p for p in case.seen.pods if not p.ready and p.reason in _BAD_REASONS), None)


def _progress(case: Case) -> str:
    live = case.live_workload
    assert live is not None
    if live.key.kind == "Job":
        running = sum(p.phase == "Running" for p in case.seen.pods)
        return "the tuning job is running" if running else "the tuning job's pod has not started"
    wanted = live.manifest.get("spec", {}).get("replicas", 1)
    ready = live.manifest.get("status", {}).get("readyReplicas", 0)
    updated = live.manifest.get("status", {}).get("updatedReplicas", 0)
    if ready >= wanted:
        return f"{updated} of {wanted} replicas are of the present version"
    return f"{ready} of {wanted} replicas are ready"
