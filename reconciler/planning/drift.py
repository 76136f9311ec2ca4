"""What differs between an object we declare and the one that lives, and who made it so."""

from ..model import names
from ..model.fields import MISSING, Difference, differences, other_manager
from ..model.plan import Change
from ..model.world import DesiredObject, Manifest, ObservedObject

ABSENT = "(absent)"
_SHOWN = 120
"""Characters of a value worth showing."""
_INFORMATION = (names.COMMIT, names.SPEC)
"""Annotations that tell where a thing came from; a stale one is no reason to write."""


def changes(want: DesiredObject, live: ObservedObject) -> tuple[Change, ...]:
    """Declared fields whose live value differs; not those this server drops, nor an autoscaler's."""
    found = differences(_compared(want.manifest), live.manifest)
    managed = live.manifest.get("metadata", {}).get("managedFields") or []
    return tuple(
        change
        for difference in found
        if difference.field not in live.dropped and (change := _change(difference, managed)) is not None
    )


def restarts_pods(found: tuple[Change, ...]) -> bool:
    """Whether the pod template changes: in a declared field, or by one that is declared no more."""
    return any(c.field.startswith("spec.template") or _another_template(c) for c in found)


def _another_template(change: Change) -> bool:
    marks = (text.partition(".")[2] for text in (change.was, change.wanted))
    return change.field.endswith(names.RENDER) and len(set(marks)) > 1


def _compared(manifest: Manifest) -> Manifest:
    metadata = manifest.get("metadata", {})
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in _INFORMATION}
    rest = {k: v for k, v in manifest.items() if k not in ("apiVersion", "kind", "status")}
    return {**rest, "metadata": {**metadata, "annotations": annotations}}


def _change(difference: Difference, managed: list[Manifest]) -> Change | None:
    manager, subresource = other_manager(difference.path, managed, names.MANAGER)
    if subresource == "scale":
        return None
    return Change(difference.field, _shown(difference.live), _shown(difference.declared), manager)


def _shown(value: object) -> str:
    if value is MISSING:
        return ABSENT
    text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
