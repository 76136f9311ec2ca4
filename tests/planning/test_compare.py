"""Whether one live object must be written: one row per rule, and what counts as drift at all."""

import json
from dataclasses import replace

import pytest
from builders import (
    copied,
    everything,
    live,
    observed,
    place,
    policy,
    serving,
    summary,
    tuning_yaml,
    wanted,
    workspace_yaml,
)

from reconciler.model import names
from reconciler.model.world import Correction, DesiredObject
from reconciler.planning import drift
from reconciler.planning.case import Case
from reconciler.planning.compare import compare

WANT = wanted(workspace_yaml("chat", count=2))
DEPLOYMENT, SERVICE, MIRROR = WANT.workload, WANT.services[0], WANT.mirror
TUNE = wanted(tuning_yaml("tune"))
JOB = TUNE.workload
RUNNING = live(JOB)
IMAGE = "spec__template__spec__containers__0__image"
REPLICAS = "spec.replicas"
OWNER_OF_REPLICAS = {
    "manager": "kubectl-edit",
    "operation": "Update",
    "fieldsV1": {"f:spec": {"f:replicas": {}}},
}
AUTOSCALED = {**OWNER_OF_REPLICAS, "manager": "hpa", "subresource": "scale"}


def said(want, seen, case_of=WANT, **slots):
    """(steps and holds, the first one)."""
    workspace = replace(everything(case_of), **slots)
    case = Case(case_of, workspace, observed(workspace), policy())
    found = list(compare(case, want, seen))
    return summary(found), (found or [None])[0]


def rendered(want: DesiredObject, path: str, value) -> DesiredObject:
    """The same content as another release of this program would render it."""
    manifest = copied(want.manifest)
    place(manifest, path.split("__"), value)
    template = manifest["spec"].get("template")
    render = names.fingerprint(manifest) + (f".{names.fingerprint(template)}" if template else "")
    manifest["metadata"]["annotations"][names.RENDER] = render
    return DesiredObject(want.key, want.spec, render, manifest)


def respecified(want: DesiredObject, path: str, value) -> DesiredObject:
    found = rendered(want, path, value)
    found.manifest["metadata"]["annotations"][names.SPEC] = "other"
    return replace(found, spec="other")


CASES = {
    "the object is missing": (DEPLOYMENT, None, "ApplyObject Deployment", "spec"),
    "the object is as declared": (DEPLOYMENT, serving(DEPLOYMENT), None, None),
    "Git changed": (
        respecified(DEPLOYMENT, IMAGE, "x:2"),
        serving(DEPLOYMENT),
        "ApplyObject Deployment",
        "spec",
    ),
    "Git changed in a way that shows in nothing but the fingerprint": (
        replace(DEPLOYMENT, spec="other"),
        serving(DEPLOYMENT),
        "ApplyObject Deployment",
        "spec",
    ),
    "the content changed, but not what becomes of this Service": (
        replace(SERVICE, spec="other"),
        live(SERVICE),
        None,
        None,
    ),
    "this release renders it otherwise": (
        rendered(DEPLOYMENT, IMAGE, "x:2"),
        serving(DEPLOYMENT),
        "ApplyObject Deployment",
        "render",
    ),
    "somebody changed a field": (
        DEPLOYMENT,
        serving(DEPLOYMENT, **{IMAGE: "evil"}),
        "ApplyObject Deployment",
        "drift",
    ),
    "somebody removed a field": (
        DEPLOYMENT,
        serving(DEPLOYMENT, spec__replicas=...),
        "ApplyObject Deployment",
        "drift",
    ),
    "somebody removed our owner mark's neighbour label": (
        DEPLOYMENT,
        serving(DEPLOYMENT, metadata__labels={}),
        "ApplyObject Deployment",
        "drift",
    ),
    "somebody added a field we do not declare": (
        DEPLOYMENT,
        serving(DEPLOYMENT, spec__paused=True),
        None,
        None,
    ),
    "somebody added a container": (
        DEPLOYMENT,
        serving(
            DEPLOYMENT,
            spec__template__spec__containers=[
                *DEPLOYMENT.manifest["spec"]["template"]["spec"]["containers"],
                {"name": "mesh"},
            ],
        ),
        None,
        None,
    ),
    "the object is being deleted": (
        DEPLOYMENT,
        live(DEPLOYMENT, metadata__deletionTimestamp="t"),
        "hold Deleting",
        None,
    ),
    "the path moved": (
        MIRROR,
        live(
            MIRROR,
            metadata__annotations={**MIRROR.manifest["metadata"]["annotations"], names.PATH: "old.yaml"},
        ),
        "ApplyObject Workspace",
        "record",
    ),
    "somebody took the path away": (
        MIRROR,
        live(
            MIRROR,
            metadata__annotations={
                k: v for k, v in MIRROR.manifest["metadata"]["annotations"].items() if k != names.PATH
            },
        ),
        "ApplyObject Workspace",
        "drift",
    ),
    "only the commit moved": (
        MIRROR,
        live(
            MIRROR, metadata__annotations={**MIRROR.manifest["metadata"]["annotations"], names.COMMIT: "old"}
        ),
        None,
        None,
    ),
    "a live suspension is no drift": (
        MIRROR,
        live(
            MIRROR, metadata__annotations={**MIRROR.manifest["metadata"]["annotations"], names.SUSPEND: "x"}
        ),
        None,
        None,
    ),
}


@pytest.mark.parametrize(("want", "seen", "expected", "cause"), CASES.values(), ids=CASES)
def test_compare(want, seen, expected, cause):
    found, first = said(want, seen)
    assert found == ([expected] if expected else [])
    assert getattr(first, "cause", None) == cause


JOBS = {
    "a Job is as declared": (JOB, RUNNING, []),
    "a Job of another spec runs again": (respecified(JOB, IMAGE, "x:2"), RUNNING, ["DeleteObject Job"]),
    "a Job rendered otherwise is left to run": (rendered(JOB, IMAGE, "x:2"), RUNNING, []),
    "a Job whose label was changed is put right": (JOB, live(JOB, metadata__labels={}), ["ApplyObject Job"]),
}


@pytest.mark.parametrize(("want", "seen", "expected"), JOBS.values(), ids=JOBS)
def test_compare_job(want, seen, expected):
    assert said(want, seen, TUNE)[0] == expected


def test_a_job_rendered_otherwise_is_put_right_without_touching_its_template():
    other = rendered(JOB, IMAGE, "x:2")
    _, step = said(other, live(JOB, metadata__labels={}), TUNE)
    assert step.action.object.manifest["spec"]["template"] == JOB.manifest["spec"]["template"]
    assert step.action.object.manifest["metadata"]["labels"] == JOB.manifest["metadata"]["labels"]
    assert step.action.object.render == JOB.render


# --- drift -----------------------------------------------------------------------------------------

GPU = "spec__template__spec__containers__0__resources"
NO_DRIFT = {
    "a quantity written otherwise": {
        GPU: {"limits": {"nvidia.com/gpu": 1}, "requests": {"nvidia.com/gpu": "1000m"}}
    },
    "an empty list the server left out": {"spec__template__spec__initContainers": ...},
    "fields the server defaulted": {
        "spec__revisionHistoryLimit": 10,
        "spec__template__spec__schedulerName": "x",
    },
    "an autoscaler's replicas": {"spec__replicas": 7, "metadata__managedFields": [AUTOSCALED]},
}


@pytest.mark.parametrize("changes", NO_DRIFT.values(), ids=NO_DRIFT)
def test_what_is_no_drift(changes):
    assert drift.changes(DEPLOYMENT, serving(DEPLOYMENT, **changes)) == ()


def test_a_field_this_server_drops_is_not_fought():
    image = "spec.template.spec.containers[name=chat].image"
    without = serving(DEPLOYMENT, **{IMAGE: ...})
    assert [c.field for c in drift.changes(DEPLOYMENT, without)] == [image]
    assert drift.changes(DEPLOYMENT, replace(without, dropped=frozenset({image}))) == ()


def test_drift_names_field_values_and_manager():
    seen = serving(DEPLOYMENT, spec__replicas=7, metadata__managedFields=[OWNER_OF_REPLICAS])
    _, step = said(DEPLOYMENT, seen)
    (change,) = step.action.changes
    assert (change.field, change.was, change.wanted, change.manager) == (REPLICAS, "7", "2", "kubectl-edit")
    assert step.why == "Deployment ai/chat: spec.replicas changed by kubectl-edit"


def test_a_drifted_tenant_may_ask_for_reports_only():
    reported = replace(WANT, drift="report")
    found, hold = said(DEPLOYMENT, serving(DEPLOYMENT, spec__replicas=7), reported)
    assert found == ["hold Drifted"]
    assert REPLICAS in hold.why


CONTESTS = {
    "never put back": (0, DEPLOYMENT.spec, REPLICAS, "ApplyObject Deployment"),
    "put back once": (1, DEPLOYMENT.spec, REPLICAS, "ApplyObject Deployment"),
    "put back twice": (2, DEPLOYMENT.spec, REPLICAS, "hold Contested"),
    "put back twice for another spec": (2, "other", REPLICAS, "ApplyObject Deployment"),
    "another field put back twice": (2, DEPLOYMENT.spec, "spec.paused", "ApplyObject Deployment"),
}


@pytest.mark.parametrize(("count", "spec", "field", "expected"), CONTESTS.values(), ids=CONTESTS)
def test_contested(count, spec, field, expected):
    past = {DEPLOYMENT.key: (Correction(field, "kubectl-edit", spec, count),)}
    seen = serving(DEPLOYMENT, spec__replicas=7, metadata__managedFields=[OWNER_OF_REPLICAS])
    found, first = said(DEPLOYMENT, seen, corrections=past)
    assert found == [expected]
    if expected == "hold Contested":
        assert "spec.replicas" in first.why
        assert "kubectl-edit" in first.why


def test_a_template_field_declared_no_more_restarts_pods_too():
    fewer = rendered(DEPLOYMENT, "spec__template__spec__tolerations", ...)
    _, step = said(fewer, serving(DEPLOYMENT))
    assert step.cause == "render"
    assert drift.restarts_pods(step.action.changes)


def test_a_new_label_restarts_no_pod():
    labelled = rendered(DEPLOYMENT, "metadata__labels__new", "x")
    _, step = said(labelled, serving(DEPLOYMENT))
    assert not drift.restarts_pods(step.action.changes)


def test_settings_in_a_config_map_are_compared_as_text():
    config = WANT.config[0]
    found, step = said(config, live(config, data={"settings.json": json.dumps({"preset": "other"})}))
    assert found == ["ApplyObject ConfigMap"]
    assert step.cause == "drift"
