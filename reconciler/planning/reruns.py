"""Whether a tuning's Job runs again: GPU hours are spent for another result, not for another wording."""

from collections.abc import Collection

from ..model import names
from ..model.world import DesiredObject, ObservedObject, ObservedPod
from .readiness import job_finished


def fingerprint(result: object, wording: str) -> str:
    """A Job's spec mark: what its result depends on, then everything its user wrote."""
    return f"{names.fingerprint(result)}.{wording}"


def makes_the_same(want: DesiredObject, live: ObservedObject) -> bool:
    """Whether the Job that lives makes what is wanted now."""
    return want.spec.partition(".")[0] == live.spec.partition(".")[0]


def why_again(want: DesiredObject, live: ObservedObject, pods: Collection[ObservedPod]) -> str:
    """Empty where it is left to run, or has run.

    Another wording with the same result (a pull secret, `preferredNodes`, a default written out) counts
    only while nothing is lost by it, and where the run could not go on.
    """
    if not makes_the_same(want, live):
        return "its base, data, configuration or output changed: the tuning runs again"
    if want.spec == live.spec or job_finished(live.manifest) == "Complete":
        return ""
    if job_finished(live.manifest) == "Failed":
        return "its spec changed after it had failed: the tuning runs again"
    if all(pod.phase == "Pending" for pod in pods):
        return "its spec changed before it started"
    if _place(want.manifest) != _place(live.manifest):
        return "it is to run on other nodes: the tuning runs again"
    return ""


def _place(job: dict[str, object]) -> object:
    spec = job["spec"]
    assert isinstance(spec, dict)
    return spec["template"]["spec"].get("nodeSelector")
