"""Reasons not to touch a workspace at all, in order; each returns its Hold or None."""

from collections.abc import Callable, Iterator
from typing import Any

from ..model import names
from ..model.plan import Hold
from ..model.policy import Policy
from ..model.workspace import DEFAULT_INSTANCE_TYPE
from ..model.world import Manifest, Observed, ObservedWorkspace
from .case import Case


def first(case: Case) -> Hold | None:
    return next((hold for blocker in BLOCKERS if (hold := blocker(case)) is not None), None)


def cluster_unseen(case: Case) -> Hold | None:
    if "cluster" not in case.world.unseen:
        return None
    return case.wait("Unavailable", "the cluster cannot be read", recheck_after=5.0)


def foreign_operator(case: Case) -> Hold | None:
    return engine_conflict(case.seen, case.world, case.policy)


def engine_conflict(seen: ObservedWorkspace, world: Observed, policy: Policy) -> Hold | None:
    """Two operators on one Workspace would fight; upstream's leaves its finalizer and hash on it."""
    if policy.engine != "native":
        return None
    why = world.engine_conflict or (operator_marks(seen.mirror.manifest) if seen.mirror else "")
    remedy = "remove the other operator, or set `engine: kaito`"
    return Hold(seen.id, "EngineConflict", f"{why}; {remedy}") if why else None


def operator_marks(workspace: Manifest) -> str:
    """What a Kaito operator left on a Workspace object; empty where none did."""
    metadata = workspace["metadata"]
    name = f"{metadata.get('namespace', '')}/{metadata['name']}"
    if names.FOREIGN_FINALIZER in (metadata.get("finalizers") or []):
        return f"{name} carries the finalizer {names.FOREIGN_FINALIZER} of a Kaito operator"
    if names.FOREIGN_HASH in (metadata.get("annotations") or {}):
        return f"{name} carries the annotation {names.FOREIGN_HASH} of a Kaito operator"
    return ""


def crd_missing(case: Case) -> Hold | None:
    if case.world.crd_served or case.policy.mode == "observe":
        return None
    missing = f"this cluster serves no {names.CRD_NAME}"
    if case.policy.engine == "kaito":
        return case.hold("CrdMissing", f"{missing}; install the Kaito operator, which brings it")
    return case.wait("CrdMissing", f"{missing} yet", recheck_after=2.0)


def refused(case: Case) -> Hold | None:
    return case.hold("NotPermitted", case.want.refused) if case.want.refused else None


def immutable_field(case: Case) -> Hold | None:
    """Kaito's immutable fields: an edit is refused, unless the workspace allows a replacement."""
    live = case.seen.mirror
    if case.want.workspace.replaces:
        return None
    if live is not None and live.spec != case.want.mirror.spec:
        for name, read in IMMUTABLE:
            was, wanted = read(live.manifest), read(case.want.mirror.manifest)
            if not _same(was, wanted):
                return _immutable(case, name, was, wanted)
    return _wrong_pool(case)


def _wrong_pool(case: Case) -> Hold | None:
    if case.want.pool is None or case.cloud_unseen():
        return None
    kinds = {p.instance_type for p in case.seen.pools if p.state != "deleting"}
    if not kinds or case.want.pool.instance_type.lower() in {k.lower() for k in kinds}:
        return None
    return _immutable(case, "resource.instanceType", sorted(kinds)[0], case.want.pool.instance_type)


def _immutable(case: Case, field: str, was: Any, wanted: Any) -> Hold:
    remedy = f"revert it, or annotate {names.ON_IMMUTABLE_CHANGE}: replace"
    return case.hold("ImmutableField", f"{field} cannot change from {was!r} to {wanted!r}; {remedy}")


def _at(*path: str) -> Callable[[dict[str, Any]], Any]:
    def read(manifest: Any) -> Any:
        for name in path:
            manifest = (manifest or {}).get(name)
        return manifest

    return read


def _selected(manifest: dict[str, Any]) -> dict[str, str]:
    """The selector as plain labels, however it is written."""
    selector = _at("resource", "labelSelector")(manifest) or {}
    said = {e.get("key"): (e.get("values") or [""])[0] for e in selector.get("matchExpressions") or ()}
    return {**(selector.get("matchLabels") or {}), **said}


def _present(*path: str) -> Callable[[dict[str, Any]], str]:
    return lambda manifest: "present" if _at(*path)(manifest) else "absent"


def _given(*path: str) -> Callable[[dict[str, Any]], Any]:
    return lambda manifest: _at(*path)(manifest) or None


def _preset(kind: str) -> Iterator[tuple[str, Callable[[dict[str, Any]], Any]]]:
    """All of a preset: Kaito compares it whole."""
    at = (kind, "preset")
    yield f"{kind}.preset.name", _at(*at, "name")
    yield f"{kind}.preset.accessMode", lambda m: _at(*at, "accessMode")(m) or "public"
    for name in ("image", "imagePullSecrets", "modelAccessSecret"):
        yield f"{kind}.preset.presetOptions.{name}", _given(*at, "presetOptions", name)


def _same(was: Any, wanted: Any) -> bool:
    """Names of machines, presets and methods are read without regard to case."""
    if isinstance(was, str) and isinstance(wanted, str):
        return was.lower() == wanted.lower()
    return bool(was == wanted)


IMMUTABLE: tuple[tuple[str, Callable[[dict[str, Any]], Any]], ...] = (
    ("resource.instanceType", lambda m: _at("resource", "instanceType")(m) or DEFAULT_INSTANCE_TYPE),
    ("resource.count", lambda m: _at("resource", "count")(m) or 1),
    ("resource.labelSelector", _selected),
    ("inference", _present("inference")),
    ("tuning", _present("tuning")),
    ("inference.template", _present("inference", "template")),
    *_preset("inference"),
    *_preset("tuning"),
    ("tuning.method", _at("tuning", "method")),
    ("tuning.input.name", _at("tuning", "input", "name")),
)
"""Source: the update rules of Kaito's Workspace validation (v0.3.2 to v0.12)."""

BLOCKERS: tuple[Callable[[Case], Hold | None], ...] = (
    cluster_unseen,
    foreign_operator,
    crd_missing,
    refused,
    immutable_field,
)
