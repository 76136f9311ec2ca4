"""What nobody wants any more goes in order, and only when it is certain that nobody wants it."""

from dataclasses import replace

import pytest
from builders import (
    context,
    declared,
    desired,
    everything,
    live,
    mirror_of,
    observed,
    policy,
    summary,
    wanted,
    workspace_yaml,
    ws,
)

from reconciler.model import names
from reconciler.model.world import Footprint, ObservedPod, ObservedWorkspace
from reconciler.planning.diff import make_plan
from reconciler.planning.prune import leaving
from reconciler.planning.resolve import resolve

GONE = wanted(workspace_yaml("gone"))
POOLS = everything(GONE).pools
OTHER = workspace_yaml("other")
UNPARSEABLE = "a: [1"
DELETIONS = ["DeleteObject Service", "DeleteObject Deployment", "DeleteObject ConfigMap", "hold Deleting"]


def said(seen, files, *, remembered=None, **world):
    """What is planned where `files` is all that is declared."""
    found = resolve(declared(files, remembered=remembered or {}), context())
    return summary(make_plan(found, observed(seen, **world), policy()))


def at(path):
    """The workspace as last declared in that file."""
    mirror = mirror_of(GONE)
    mirror.manifest["metadata"]["annotations"][names.PATH] = path
    return everything(GONE, mirror=mirror)


def deleting(live_object):
    live_object.manifest["metadata"]["deletionTimestamp"] = "now"
    return live_object


STAGES = {
    "children first, what serves before what configures": (everything(GONE), DELETIONS),
    "children are still going": (
        everything(GONE, objects={o.key: deleting(live(o)) for o in GONE.objects}),
        ["hold Deleting"],
    ),
    "pods are still going": (
        everything(GONE, objects={}, pods=(ObservedPod("p", "Running", True),)),
        ["hold Deleting"],
    ),
    "then the pool": (everything(GONE, objects={}), ["DeletePool", "hold Deleting"]),
    "the pool is still going": (
        everything(GONE, objects={}, pools=(replace(POOLS[0], state="deleting"),)),
        ["hold Deleting"],
    ),
    "the Workspace object last": (everything(GONE, objects={}, pools=()), ["DeleteObject Workspace"]),
    "the Workspace object is going": (
        ObservedWorkspace(GONE.id, mirror=deleting(mirror_of(GONE))),
        ["hold Deleting"],
    ),
    "a pool whose Workspace object is lost": (
        ObservedWorkspace(GONE.id, pools=POOLS),
        ["DeletePool", "hold Deleting"],
    ),
    "nothing is left": (ObservedWorkspace(GONE.id), []),
}


@pytest.mark.parametrize(("seen", "expected"), STAGES.values(), ids=STAGES)
def test_order_of_deletion(seen, expected):
    assert said(seen, {"other.yaml": OTHER}) == expected


KEPT = {
    "its file no longer parses, and is remembered": (
        at("gone.yaml"),
        {"gone.yaml": UNPARSEABLE},
        {"gone.yaml": frozenset({GONE.id})},
        {},
        "hold InvalidSpec",
    ),
    "its file no longer parses, and only its live object remembers": (
        at("gone.yaml"),
        {"gone.yaml": UNPARSEABLE},
        {},
        {},
        "hold InvalidSpec",
    ),
    "its file was moved and broken in one commit, then the daemon restarted": (
        at("old.yaml"),
        {"new.yaml": UNPARSEABLE},
        {},
        {},
        "hold UnreadableSpec",
    ),
    "another file, of which nobody knows what it declares, is broken": (
        at("gone.yaml"),
        {"other.yaml": OTHER, "mystery.yaml": UNPARSEABLE},
        {},
        {},
        "hold UnreadableSpec",
    ),
    "its file has a wrong field": (
        at("gone.yaml"),
        {"gone.yaml": workspace_yaml("gone", count=0)},
        {},
        {},
        "hold InvalidSpec",
    ),
    "the cluster cannot be read": (
        at("gone.yaml"),
        {"other.yaml": OTHER},
        {},
        {"unseen": frozenset({"cluster"})},
        "hold Unavailable",
    ),
    "its cloud cannot be read": (
        at("gone.yaml"),
        {"other.yaml": OTHER},
        {},
        {"unseen": frozenset({"simulated"})},
        "hold Unavailable",
    ),
}


@pytest.mark.parametrize(("seen", "files", "remembered", "world", "expected"), KEPT.values(), ids=KEPT)
def test_what_is_kept(seen, files, remembered, world, expected):
    assert said(seen, files, remembered=remembered, **world) == [expected]


GOES = {
    "the broken file is known to declare others": (
        {"other.yaml": UNPARSEABLE},
        {"other.yaml": frozenset({ws("other")})},
        {},
    ),
    "the broken file is named by another live object": (
        {"other.yaml": UNPARSEABLE},
        {},
        {ws("other"): Footprint(path="other.yaml")},
    ),
    "a cloud it has no pool in cannot be read": ({"other.yaml": OTHER}, {}, {}),
}


@pytest.mark.parametrize(("files", "remembered", "others"), GOES.values(), ids=GOES)
def test_what_goes_all_the_same(files, remembered, others):
    seen = at("gone.yaml")
    fleet = {**observed(seen).fleet, **others}
    assert said(seen, files, remembered=remembered, fleet=fleet, unseen=frozenset({"aks"})) == DELETIONS


def test_a_rename_of_the_file_deletes_nothing():
    seen = at("old.yaml")
    assert said(seen, {"new.yaml": workspace_yaml("gone")}) == ["ApplyObject Workspace"]


def test_two_files_with_one_identity_keep_what_runs():
    found = said(at("a.yaml"), {"a.yaml": workspace_yaml("gone"), "b.yaml": workspace_yaml("gone")})
    assert found == ["hold InvalidSpec"]


def test_guards_count_every_workspace_that_leaves_also_outside_the_cycle():
    fleet = {ws("a"): Footprint(), ws("b"): Footprint(), ws("other"): Footprint()}
    assert leaving(desired(OTHER), observed(fleet=fleet)) == {ws("a"), ws("b")}


def test_a_file_that_cannot_be_read_keeps_its_workspaces_out_of_the_count():
    fleet = {ws("a"): Footprint(path="x.yaml"), ws("b"): Footprint(path="other.yaml")}
    found = resolve(declared({"x.yaml": UNPARSEABLE, "other.yaml": OTHER}), context())
    assert leaving(found, observed(fleet=fleet)) == {ws("b")}
