"""The files of the status ref. Only named fields get there, without secrets and of bounded size."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ..model.names import WorkspaceId
from ..model.status import Condition, WorkspaceStatus, timestamp
from ..model.world import Artifact
from ..telemetry import redacted

INDEX = "index.json"
SUMMARY = "SUMMARY.md"
FOLDER = "status"

_TEXT = 2000
_ITEMS = 20
_LIGHT = frozenset({"since", "line", "commit"})
"""Fields whose change alone is no news."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """What index and summary say of one workspace."""

    phase: str
    reason: str = ""
    message: str = ""
    instance_type: str = ""
    gpus: int = 0


def path_of(id: WorkspaceId) -> str:
    """256 folders, so that a commit rewrites a small one. A namespace holds no dot, so no two paths meet."""
    return f"{FOLDER}/{hashlib.sha256(str(id).encode()).hexdigest()[:2]}/{id.namespace}.{id.name}.json"


def document(status: WorkspaceStatus) -> Document:
    return {
        "namespace": status.id.namespace,
        "name": status.id.name,
        "phase": status.phase,
        "reason": status.reason,
        "message": _text(status.message),
        "since": timestamp(status.since),
        "conditions": [_condition(c) for c in status.conditions],
        "holds": [
            {"reason": reason, "why": _text(why), "group": group}
            for reason, why, group in status.holds[:_ITEMS]
        ],
        "steps": [_text(step) for step in status.steps[:_ITEMS]],
        "commit": status.commit,
        "path": _text(status.path),
        "line": status.line,
        "instanceType": status.instance_type,
        "pool": status.pool,
        "nodes": list(status.nodes),
        "gpus": status.gpus,
        "endpoint": status.endpoint,
        "artifact": _artifact(status.artifact),
    }


def _condition(condition: Condition) -> Document:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": _text(condition.message),
        "since": timestamp(condition.since),
    }


def _artifact(artifact: Artifact | None) -> Document | None:
    if artifact is None:
        return None
    return {
        "image": _text(artifact.image),
        "digest": artifact.digest,
        "contentKey": artifact.content_key,
        "simulated": artifact.simulated,
        "standIn": _text(artifact.stand_in),
        "size": artifact.size,
        "metrics": dict(artifact.metrics),
    }


def _text(text: str) -> str:
    clean = redacted(text).encode(errors="replace").decode()
    return clean if len(clean) <= _TEXT else clean[: _TEXT - 1] + "…"


def meaning(found: Document) -> Document:
    """What must differ for a change to be news."""
    kept = {name: value for name, value in found.items() if name not in _LIGHT}
    if "conditions" in found:
        kept["conditions"] = [meaning(c) for c in _conditions(found)]
    return kept


def with_times_of(old: Document, new: Document) -> Document:
    """`new`, where what did not change keeps its time: a restarted daemon does not know it."""
    same = old.get("phase") == new["phase"] and "since" in old
    times = {(c.get("type"), c.get("status")): c.get("since") for c in _conditions(old)}
    conditions = [
        {**c, "since": times.get((c["type"], c["status"])) or c["since"]} for c in new["conditions"]
    ]
    return {**new, "conditions": conditions, "since": old["since"] if same else new["since"]}


def _conditions(found: Document) -> list[Document]:
    listed = found.get("conditions")
    return [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) else []


def line_of(found: Document) -> Line:
    return Line(
        phase=str(found.get("phase", "")),
        reason=str(found.get("reason", "")),
        message=str(found.get("message", ""))[:200],
        instance_type=str(found.get("instanceType", "")),
        gpus=int(found.get("gpus") or 0),
    )


def index(
    cluster: tuple[str, str], settled: Iterable[str], lines: Mapping[str, Line], since: float
) -> Document:
    """`cluster` is its name and id. `revision` is the newest that is settled, `since` when history begins."""
    through = list(settled)
    return {
        "cluster": cluster[0],
        "clusterId": cluster[1],
        "since": timestamp(since),
        "revision": through[0] if through else "",
        "settled": through,
        "counts": counts(lines),
        "workspaces": {id: line.phase for id, line in lines.items()},
    }


def counts(lines: Mapping[str, Line]) -> dict[str, int]:
    return dict(Counter(line.phase for line in lines.values()))


def encoded(found: Document) -> bytes:
    """Canonical: equal content, equal bytes."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(found, option=options)


def decoded(content: bytes | None) -> Document | None:
    """None where it is no JSON object: somebody else's file."""
    try:
        found = orjson.loads(content or b"")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
