"""A tuning runs once: its artifact is kept, its pool is let go, whatever becomes of the Job."""

import json
from dataclasses import replace

import pytest
from builders import (
    NOW,
    desired,
    everything,
    finished,
    live,
    mirror_of,
    observed,
    policy,
    pool_of,
    reporting_pod,
    summary,
    tuning_yaml,
    wanted,
    workspace_yaml,
)

from reconciler.model import names
from reconciler.model.world import ObservedPod, ObservedWorkspace
from reconciler.planning.diff import make_plan
from reconciler.planning.tuning_life import artifact_of

TEXT = tuning_yaml("tune")
WANT = wanted(TEXT)
DIGEST = "sha256:" + "a" * 64
FAILED = finished(WANT.workload, "Failed")
SILENT = ObservedPod("tune-x", "Succeeded", False)
VOLUME = tuning_yaml("tune").replace(
    "    image: registry.example.com/adapters/tune:1\n    imagePushSecret: push\n",
    "    volumeSource: {persistentVolumeClaim: {claimName: results}}\n",
)


def recorded(**changes):
    """The Workspace object whose status tells of the artifact."""
    artifact = {"contentKey": WANT.content_key, "image": WANT.output_image, "digest": DIGEST, **changes}
    mirror = mirror_of(WANT)
    mirror.manifest["status"] = {"artifact": artifact}
    return mirror


def said(seen, text=TEXT, **world):
    return summary(make_plan(desired(text), observed(seen, **world), policy()))


def ended(what, seconds, **changes):
    return everything(WANT, since={what: NOW - seconds}, **changes)


CASES = {
    "nothing ran yet": (ObservedWorkspace(WANT.id), ["ApplyObject Workspace", "CreatePool"]),
    "the job runs": (everything(WANT, Job=live(WANT.workload), pods=()), ["hold WorkloadNotReady"]),
    "just succeeded: the pool stays a while": (ended("succeeded", 299), ["hold Releasing"]),
    "succeeded five minutes ago: the pool goes": (ended("succeeded", 300, mirror=recorded()), ["DeletePool"]),
    "succeeded five minutes ago, and nobody wrote it down yet": (ended("succeeded", 300), ["hold Releasing"]),
    "the pod's report may still be on its way": (ended("succeeded", 1, pods=()), ["hold Verifying"]),
    "just failed": (ended("failed", 1799, Job=FAILED), ["hold Releasing", "hold TuningFailed"]),
    "failed half an hour ago": (ended("failed", 1800, Job=FAILED), ["DeletePool", "hold TuningFailed"]),
    "the pool is being deleted": (
        ended("succeeded", 301, pools=(pool_of(WANT, state="deleting"),)),
        [],
    ),
    "the pool is gone": (ended("succeeded", 900, pools=(), nodes=()), []),
    "the pool and a failed tuning's nodes are gone": (
        ended("failed", 9000, Job=FAILED, pools=(), nodes=()),
        ["hold TuningFailed"],
    ),
    "completed, but no digest was reported": (
        ended("succeeded", 900, pods=(SILENT,)),
        ["hold Releasing", "hold ArtifactUnverified"],
    ),
    "completed without a digest half an hour ago": (
        ended("succeeded", 1800, pods=()),
        ["DeletePool", "hold ArtifactUnverified"],
    ),
    "the job and its pod were deleted, the status remembers": (
        everything(WANT, objects={}, pods=(), pools=(), nodes=(), mirror=recorded()),
        [],
    ),
    "somebody wants it anew: the failed job was deleted": (
        everything(WANT, Job=None, pods=(), pools=(), nodes=()),
        ["CreatePool"],
    ),
    "the status remembers another content": (
        everything(WANT, objects={}, pods=(), pools=(), nodes=(), mirror=recorded(contentKey="other")),
        ["CreatePool"],
    ),
    "the status remembers another image": (
        everything(WANT, objects={}, pods=(), pools=(), nodes=(), mirror=recorded(image="other")),
        ["CreatePool"],
    ),
    "the job that made the artifact was of an older spec": (
        everything(
            WANT,
            mirror=recorded(),
            pools=(),
            nodes=(),
            Job=finished(WANT.workload, metadata__annotations={names.SPEC: "old"}),
        ),
        [],
    ),
}


@pytest.mark.parametrize(("seen", "expected"), CASES.values(), ids=CASES)
def test_tuning_life(seen, expected):
    assert said(seen) == expected


def test_the_cloud_cannot_be_read_when_the_pool_is_due():
    assert said(ended("succeeded", 900), unseen=frozenset({"simulated"})) == ["hold Unavailable"]


def test_a_result_on_a_volume_needs_no_digest():
    want = wanted(VOLUME)
    assert said(everything(want, pods=(), since={"succeeded": NOW - 300}), VOLUME) == ["DeletePool"]


def test_a_failure_says_what_the_pod_said():
    pod = ObservedPod("tune-x", "Failed", False, reason="OOMKilled", message="out of memory")
    plan = make_plan(desired(TEXT), observed(ended("failed", 1, Job=FAILED, pods=(pod,))), policy())
    assert plan.holds[-1].why == "the tuning job failed: OOMKilled out of memory"


def report(text):
    return replace(reporting_pod(WANT), termination_message=text)


REPORTS = {
    "a digest": (json.dumps({"artifact": {"digest": DIGEST}}), DIGEST, False),
    "a simulated digest": (json.dumps({"artifact": {"digest": DIGEST, "simulated": True}}), DIGEST, True),
    "nothing": ("", None, None),
    "no JSON": ("Traceback (most recent call last)", None, None),
    "no object": ("[1]", None, None),
    "no artifact": ("{}", None, None),
    "an artifact that is no object": ('{"artifact": "x"}', None, None),
    "no digest": ('{"artifact": {}}', None, None),
}


@pytest.mark.parametrize(("text", "digest", "simulated"), REPORTS.values(), ids=REPORTS)
def test_what_a_pod_reports(text, digest, simulated):
    found = artifact_of(WANT, everything(WANT, pods=(report(text),)))
    assert (found and found.digest, found and found.simulated) == (digest, simulated)
    assert found is None or (found.image, found.content_key) == (WANT.output_image, WANT.content_key)


def test_an_artifact_keeps_what_the_tuner_measured():
    artifact = {"digest": DIGEST, "size": 9, "standIn": "tiny"}
    told = {"artifact": artifact, "metrics": {"trainLoss": 1.5, "evalLoss": None, "note": "x"}}
    found = artifact_of(WANT, everything(WANT, pods=(report(json.dumps(told)),)))
    assert (found.size, found.stand_in, found.metrics) == (9, "tiny", {"trainLoss": 1.5})
    assert str(found).endswith("(of the stand-in tiny)")


KEYS = {
    "another dataset": tuning_yaml("tune", input={"urls": ["https://example.com/other.parquet"]}),
    "another method": tuning_yaml("tune", method="lora"),
    "another base": tuning_yaml("tune", preset="phi-3-mini-128k-instruct"),
}


@pytest.mark.parametrize("text", KEYS.values(), ids=KEYS)
def test_another_content_key(text):
    assert wanted(text).content_key != WANT.content_key


def test_the_content_key_ignores_machines_labels_and_the_output():
    other = tuning_yaml(
        "tune", instance_type="Standard_NC6s_v3", labels={"a": "b"}, output="registry.example.com/x:1"
    )
    assert wanted(other).content_key == WANT.content_key


def test_a_finished_tuning_that_served_in_between_serves_no_more():
    serving_once = wanted(workspace_yaml("tune"))
    leftovers = {o.key: live(o) for o in (serving_once.workload, *serving_once.services)}
    seen = everything(WANT, objects=leftovers, pods=(), mirror=recorded(), pools=(), nodes=())
    assert said(seen) == ["DeleteObject Deployment", "DeleteObject Service"]


# --- edits -----------------------------------------------------------------------------------------

RUNNING = {"Job": live(WANT.workload), "pods": (ObservedPod("tune-x", "Running", True),)}
PENDING = {"Job": live(WANT.workload), "pods": (ObservedPod("tune-x", "Pending", False),)}
FINISHED = {"pods": (reporting_pod(WANT),)}
GAVE_UP = {"Job": FAILED, "pods": (ObservedPod("tune-x", "Failed", False),)}

HARMLESS = {
    "the method in capitals": tuning_yaml("tune", method="QLoRA"),
    "a count of one, written out": TEXT.replace("resource:\n", "resource:\n  count: 1\n"),
    "preferred nodes": TEXT.replace("resource:\n", "resource:\n  preferredNodes: [gpu-1]\n"),
    "another push secret": TEXT.replace("imagePushSecret: push", "imagePushSecret: other"),
    "an annotation of Kaito's": tuning_yaml("tune", annotations={"kaito.sh/node-image-family": "azurelinux"}),
}
OTHER_RESULTS = {
    "other data": TEXT.replace("data.parquet", "other.parquet"),
    "another output": TEXT.replace("adapters/tune:1", "adapters/tune:2"),
}


def reruns(text, state):
    before = everything(WANT, **state)
    return "DeleteObject Job" in summary(make_plan(desired(text), observed(before), policy()))


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("state", [RUNNING, FINISHED], ids=["running", "finished"])
def test_an_edit_that_changes_no_result_costs_no_gpu_hours(text, state):
    assert not reruns(text, state)


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("state", [PENDING, GAVE_UP], ids=["pending", "failed"])
def test_an_edit_may_be_the_cure_of_a_job_that_has_made_nothing(text, state):
    assert reruns(text, state)


@pytest.mark.parametrize("text", OTHER_RESULTS.values(), ids=OTHER_RESULTS)
@pytest.mark.parametrize("state", [RUNNING, PENDING, GAVE_UP], ids=["running", "pending", "failed"])
def test_another_result_is_another_run(text, state):
    assert reruns(text, state)
