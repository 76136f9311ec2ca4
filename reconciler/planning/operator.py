"""What the Kaito operator says of a Workspace, in the conditions of any of its releases.

`observedGeneration` tells nothing: the operator leaves it as it was where no word of a condition changes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ..model.plan import Hold
from ..model.status import Condition
from ..model.world import Artifact, DesiredWorkspace, ObservedObject, ObservedWorkspace
from .case import Case

_FINAL = ("WorkspaceSucceeded", "WorkspaceReady")
"""Kaito's final condition: the second until v0.3.0, the first since."""
_CAUSES = (
    "MachineReady",
    "NodeClaimReady",
    "NodesReady",
    "ResourceReady",
    "ModelMirrorReady",
    "InferenceReady",
    "JobStarted",
    "BenchmarkCompleted",
    *_FINAL,
)
"""In the order in which one leads to the next: the first that failed says why."""
_TROUBLE = ("fail", "error", "insufficient", "backoff", "oom", "evicted", "pressure", "unschedulable")
"""Parts of the reasons that do not pass by themselves; all others are stages on the way."""


def report(case: Case) -> Iterator[Hold]:
    """Nothing where the operator is content, else one hold with its own reason and message."""
    live = case.seen.mirror
    if live is None:
        return
    said = _said(live)
    final = _final(said)
    if final.get("status") == "True":
        return
    bad = next((said[t] for t in _CAUSES if t in said and _failed(said[t])), None)
    if bad is not None:
        yield case.hold(_reason(bad), str(bad.get("message", "")))
    elif not final:
        yield case.wait("OperatorPending", _latest(said) or "the Kaito operator has not reported on it yet")
    else:
        yield case.wait("OperatorPending", _latest(said) or str(final.get("message", "")))


def succeeded(seen: ObservedWorkspace) -> bool:
    return seen.mirror is not None and _final(_said(seen.mirror)).get("status") == "True"


def artifact(want: DesiredWorkspace, seen: ObservedWorkspace) -> Artifact | None:
    """The output of a tuning that the operator calls finished; it tells no digest."""
    return Artifact(want.output_image, "", "") if want.output_image and succeeded(seen) else None


def conditions(seen: ObservedWorkspace) -> tuple[Condition, ...]:
    """As the operator wrote them, but for the final one, which has two names."""
    said = _said(seen.mirror) if seen.mirror is not None else {}
    return tuple(_condition(c) for type, c in said.items() if type not in _FINAL)


def is_true(seen: ObservedWorkspace, type: str) -> bool:
    return seen.mirror is not None and _said(seen.mirror).get(type, {}).get("status") == "True"


def nodes(seen: ObservedWorkspace) -> tuple[str, ...]:
    """Names of the nodes it took for the workspace."""
    status = seen.mirror.manifest.get("status") or {} if seen.mirror is not None else {}
    return tuple(sorted(map(str, status.get("workerNodes") or ())))


def _said(live: ObservedObject) -> Mapping[str, dict[str, Any]]:
    found = (live.manifest.get("status") or {}).get("conditions") or []
    return {str(c.get("type")): c for c in found}


def _final(said: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return next((said[t] for t in _FINAL if t in said), {})


def _failed(condition: dict[str, Any]) -> bool:
    reason = str(condition.get("reason", "")).lower()
    return condition.get("status") == "False" and any(part in reason for part in _TROUBLE)


def _reason(condition: dict[str, Any]) -> str:
    """Reasons of the seed era begin with a small letter."""
    reason = str(condition["reason"])
    return reason[:1].upper() + reason[1:]


def _latest(said: Mapping[str, dict[str, Any]]) -> str:
    """The message of the first stage that is not over."""
    open_stages = (said[t] for t in _CAUSES if t in said and said[t].get("status") != "True")
    return next((str(c["message"]) for c in open_stages if c.get("message")), "")


def _condition(found: dict[str, Any]) -> Condition:
    status = found.get("status")
    return Condition(
        str(found.get("type")),
        status if status in ("True", "False") else "Unknown",
        str(found.get("reason", "")),
        str(found.get("message", "")),
    )
