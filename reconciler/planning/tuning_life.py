"""The end of a tuning: its artifact is known, its pool is let go, it never runs twice."""

import json
import math
from collections.abc import Iterator, Mapping

from ..model.plan import DeletePool, Hold, Step
from ..model.world import Artifact, DesiredWorkspace, ObservedWorkspace
from . import operator, reruns
from .case import Case
from .compare import compare
from .readiness import job_finished

_LONGEST_NAME = 100
REPORT_WITHIN = 30.0
"""Seconds after a Job's end in which its pod's last status may still be on its way."""


def artifact_of(want: DesiredWorkspace, seen: ObservedWorkspace) -> Artifact | None:
    """The verified artifact of exactly this content; None while there is none.

    Known from the finished Job's pod, later from the status of the Workspace object, so neither
    the Job nor its pod must stay.
    """
    if want.workload is None:
        return operator.artifact(want, seen)
    if is_recorded(want, seen):
        recorded = _recorded(seen)
        return _artifact(want, recorded, recorded.get("metrics"))
    live = seen.objects.get(want.workload.key)
    if live is None or not reruns.makes_the_same(want.workload, live):
        return None
    if job_finished(live.manifest) != "Complete":
        return None
    report = _report(seen)
    reported = report.get("artifact")
    if not isinstance(reported, dict) or not reported.get("digest"):
        return None
    return _artifact(want, reported, report.get("metrics"))


def is_recorded(want: DesiredWorkspace, seen: ObservedWorkspace) -> bool:
    """Whether the Workspace object's status holds the artifact, so that the pod may go."""
    recorded = _recorded(seen)
    same = recorded.get("contentKey") == want.content_key and recorded.get("image") == want.output_image
    return same and bool(recorded.get("digest"))


def _artifact(want: DesiredWorkspace, found: Mapping[str, object], metrics: object) -> Artifact:
    measured = metrics.items() if isinstance(metrics, dict) else ()
    size = found.get("size")
    return Artifact(
        want.output_image,
        str(found["digest"]),
        want.content_key,
        simulated=bool(found.get("simulated")),
        stand_in=str(found.get("standIn") or "")[:_LONGEST_NAME],
        size=size if isinstance(size, int) else 0,
        metrics={str(k): v for k, v in measured if isinstance(v, int | float) and math.isfinite(v)},
    )


def _report(seen: ObservedWorkspace) -> Mapping[str, object]:
    """The tuning pod's termination message that tells of an artifact."""
    for pod in seen.pods:
        try:
            found = json.loads(pod.termination_message or "null")
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("artifact"), dict):
            return found
    return {}


def _recorded(seen: ObservedWorkspace) -> Mapping[str, object]:
    status = seen.mirror.manifest.get("status", {}) if seen.mirror else {}
    found = status.get("artifact") or {}
    return found if isinstance(found, dict) else {}


def outcome(case: Case) -> str:
    """`succeeded` (verified or not), `failed`, or empty while it is still to be run or running."""
    if artifact_of(case.want, case.seen):
        return "succeeded"
    live, want = case.live_workload, case.want.workload
    if live is None or want is None or reruns.why_again(want, live, case.seen.pods):
        return ""
    return {"Complete": "succeeded", "Failed": "failed"}.get(job_finished(live.manifest), "")


def is_over(case: Case) -> bool:
    return bool(outcome(case))


def aftermath(case: Case) -> Iterator[Step | Hold]:
    """Keeps the record, releases the GPUs."""
    end = outcome(case)
    for wanted in case.want.objects:
        live = case.seen.objects.get(wanted.key)
        if live is not None and (wanted.key.kind != "Job" or reruns.makes_the_same(wanted, live)):
            yield from compare(case, wanted, live)
    unverified = end == "succeeded" and not _verified(case)
    waited = case.now - case.seen.since.get("succeeded", case.now)
    if unverified and waited < REPORT_WITHIN:
        why = "the tuning job has finished; its pod's report is awaited"
        yield case.wait("Verifying", why, recheck_after=REPORT_WITHIN - waited)
        return
    yield from _release(case, end)
    if unverified:
        why = f"the tuning job completed without reporting the digest of {case.want.output_image}"
        yield case.hold("ArtifactUnverified", why)
    elif end == "failed":
        pod = next((p for p in case.seen.pods if p.reason), None)
        said = f": {pod.reason} {pod.message}".rstrip() if pod else ""
        yield case.hold("TuningFailed", f"the tuning job failed{said}")


def _verified(case: Case) -> bool:
    """A result on a volume has no digest to verify."""
    return not case.want.output_image or artifact_of(case.want, case.seen) is not None


def _release(case: Case, end: str) -> Iterator[Step | Hold]:
    timing, good = case.policy.timing, end == "succeeded" and _verified(case)
    keep = timing.release_after_success_seconds if good else timing.release_after_failure_seconds
    left = case.seen.since.get(end, case.now) + keep - case.now
    known = artifact_of(case.want, case.seen) is not None
    if known and left <= 0 and not is_recorded(case.want, case.seen):
        left += REPORT_WITHIN  # the pod is the only witness until the status is written
    for pool in sorted(case.seen.pools, key=lambda p: p.name):
        if pool.state == "deleting":
            continue
        if case.cloud_unseen():
            yield case.wait(
                "Unavailable", f"{pool.driver} cannot be read; pool {pool.name} is released later", 5.0
            )
        elif left > 0:
            yield case.wait(
                "Releasing", f"pool {pool.name} is released {keep:.0f} s after it {end}", recheck_after=left
            )
        else:
            yield Step(case.id, DeletePool(pool.name, pool.driver), f"the tuning has {end}", "release")
