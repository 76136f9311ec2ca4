"""Whether one object must be written, and why: Git changed, this release renders it otherwise, or drift."""

from collections.abc import Iterator

from ..model import names
from ..model.names import ObjectKey
from ..model.plan import ApplyObject, Change, DeleteObject, Hold, Step
from ..model.world import Correction, DesiredObject, ObservedObject
from . import drift, reruns
from .case import Case
from .contests import CONTESTED

_BOOKKEEPING = (names.PATH, names.POOL, names.OWNER)
"""Annotations we keep up to date ourselves: a moved file, another pool or a ConfigMap's next owner
is no drift."""
_IMMUTABLE = ("template", "podFailurePolicy")
"""Parts of a Job's spec."""
WORKLOADS = ("Deployment", "StatefulSet", "Job")
"""What has pods, which come and go with it."""


def compare(case: Case, want: DesiredObject, live: ObservedObject | None) -> Iterator[Step | Hold]:
    if live is None:
        yield from _create(case, want)
    elif live.deleting:
        yield case.wait("Deleting", f"{want.key} is being deleted and will be created anew")
    elif want.key.kind == "Job":
        yield from _compare_job(case, want, live)
    else:
        yield from _compare(case, want, live)


def _create(case: Case, want: DesiredObject) -> Iterator[Step | Hold]:
    occupant = case.world.occupants.get(want.key)
    ours = names.owner_mark(case.policy.cluster_id, case.id)
    if occupant is not None and occupant.owner != ours and not case.want.workspace.wants(names.ADOPT):
        yield _not_ours(case, want.key)
        return
    adopted = occupant is not None and occupant.owner != ours
    why = f"{want.key} exists and is adopted" if adopted else f"{want.key} does not exist"
    yield Step(case.id, ApplyObject(want, creates=True), why)


def _not_ours(case: Case, key: ObjectKey) -> Hold:
    occupant = case.world.occupants[key]
    if occupant.marks:
        return case.hold(
            "DeliveredElsewhere", f"{key} is delivered by another tool ({occupant.marks[0]})", 30.0
        )
    who = ", ".join(occupant.managers) or "somebody"
    remedy = f'remove it, rename the workspace, or annotate {names.ADOPT}: "true"'
    return case.hold("NotOurs", f"{key} exists and belongs to {who}; {remedy}", recheck_after=30.0)


def _compare_job(case: Case, want: DesiredObject, live: ObservedObject) -> Iterator[Step | Hold]:
    """A Job is run again for another result, never because this release renders it otherwise."""
    if why := reruns.why_again(want, live, case.seen.pods):
        yield Step(case.id, DeleteObject(want.key, live.uid), why)
        return
    settled = _settled(want, live)
    yield from _correct(case, settled, live, drift.changes(settled, live))


def _settled(want: DesiredObject, live: ObservedObject) -> DesiredObject:
    """The Job as this release would have it, around the parts it was created with: they cannot change."""
    metadata = want.manifest["metadata"]
    annotations = {**metadata["annotations"], names.RENDER: live.render}
    spec = {k: v for k, v in want.manifest["spec"].items() if k not in _IMMUTABLE}
    spec |= {k: v for k, v in live.manifest["spec"].items() if k in _IMMUTABLE}
    manifest = {**want.manifest, "metadata": {**metadata, "annotations": annotations}, "spec": spec}
    return DesiredObject(want.key, live.spec, live.render, manifest)


def _compare(case: Case, want: DesiredObject, live: ObservedObject) -> Iterator[Step | Hold]:
    found = drift.changes(want, live)
    spec_changed = live.spec != want.spec and want.key.kind in (*WORKLOADS, "Workspace")
    if live.render == want.render and not spec_changed:
        yield from _correct(case, want, live, found)
    elif live.spec != want.spec:
        yield Step(case.id, ApplyObject(want, found), f"the spec of {want.key} changed in Git")
    else:
        why = f"this release renders {want.key} differently"
        yield Step(case.id, ApplyObject(want, found), why, "render")


def _correct(
    case: Case, want: DesiredObject, live: ObservedObject, found: tuple[Change, ...]
) -> Iterator[Step | Hold]:
    if not found:
        return
    if all(_is_record(c) for c in found):
        why = "; ".join(f"{c.field.rpartition('/')[2]} is now {c.wanted}" for c in found)
        yield Step(case.id, ApplyObject(want, found), why, "record")
        return
    if (contested := _contested(case, want, live, found)) is not None:
        yield contested
        return
    fields = ", ".join(c.field for c in found)
    by = next((f" by {c.manager}" for c in found if c.manager), "")
    if case.want.drift == "report":
        yield case.hold("Drifted", f"{want.key}: {fields} changed{by}; reported only")
        return
    yield Step(case.id, ApplyObject(want, found), f"{want.key}: {fields} changed{by}", "drift")


def _is_record(change: Change) -> bool:
    """Whether only we have moved on; an annotation that somebody took away or owns has drifted."""
    return change.field.endswith(_BOOKKEEPING) and not change.manager and change.was != drift.ABSENT


def _contested(
    case: Case, want: DesiredObject, live: ObservedObject, found: tuple[Change, ...]
) -> Hold | None:
    for change in found:
        past = _past(case, live.key, change.field)
        if past is None or past.spec != want.spec or past.count < case.policy.timing.contested_after:
            continue
        who = change.manager or past.manager or "somebody"
        why = f"{want.key}: {change.field} was put back {past.count} times and {who} changed it again"
        return case.hold(CONTESTED, why)
    return None


def _past(case: Case, key: ObjectKey, field: str) -> Correction | None:
    return next((c for c in case.seen.corrections.get(key, ()) if c.field == field), None)
