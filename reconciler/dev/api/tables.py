"""Objects as `kubectl get` shows them: tables with columns per kind, and metadata alone."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import yaml

from reconciler.dev.api.admission import Call
from reconciler.dev.api.errors import ApiError
from reconciler.dev.api.jsonpath import find
from reconciler.dev.api.kinds import Resource
from reconciler.dev.api.listing import Encoder, Page
from reconciler.dev.api.store import Object, Record

META = "meta.k8s.io/v1"
Cell = Callable[[Object], Any]


def wanted_form(accept: str) -> str:
    """Table, PartialObjectMetadata(List) or empty for plain JSON, by the first type served. Raises 406."""
    if not accept:
        return ""
    for choice in accept.split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        if media not in ("application/json", "*/*", "application/*", "application/yaml", "text/plain"):
            continue
        options = dict(part.partition("=")[::2] for part in parameters)
        form = options.get("as", "")
        if form in ("", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"):
            return form
    raise ApiError(406, "only the following media types are accepted: application/json")


def partial(record: Record) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": record.copy()["metadata"]}


def metadata_list(resource: Resource, found: Page) -> bytes:
    if not found.metadata:
        return orjson.dumps(partial(found.records[0]))
    items = [partial(record) for record in found.records]
    head = {"kind": "PartialObjectMetadataList", "apiVersion": META, "metadata": found.metadata}
    return orjson.dumps({**head, "items": items})


def table_body(call: Call, found: Page) -> bytes:
    columns = columns_of(call.resource)
    rows = [_row(call, columns, record) for record in found.records]
    metadata = found.metadata or {"resourceVersion": str(found.records[0].version)}
    return orjson.dumps(_table(columns, rows, metadata))


def _table(columns: Sequence["Column"], rows: list[Object], metadata: Object) -> Object:
    head = {"kind": "Table", "apiVersion": META, "metadata": metadata}
    return {**head, "columnDefinitions": [column.definition for column in columns], "rows": rows}


class TableEncoder(Encoder):
    """Watch events as one-row tables; only the first carries the column definitions."""

    def __init__(self, call: Call) -> None:
        super().__init__(call.resource)
        self._call = call
        self._columns = columns_of(call.resource)
        self._defined = False

    def object(self, record: Record) -> bytes:
        row = _row(self._call, self._columns, record)
        body = _table([] if self._defined else self._columns, [row], {"resourceVersion": str(record.version)})
        self._defined = True
        return orjson.dumps(body)

    def bookmark(self, version: int, *, initial: bool) -> bytes:
        metadata = orjson.loads(super().bookmark(version, initial=initial))
        return orjson.dumps(
            {**_table([], [], {"resourceVersion": str(version)}), "rows": [{"cells": [], "object": metadata}]}
        )


def _row(call: Call, columns: Sequence["Column"], record: Record) -> Object:
    obj = record.copy()
    included = call.params.get("includeObject", "Metadata")
    shown: Any = {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": obj["metadata"]}
    if included == "Object":
        shown = {**obj, "apiVersion": call.resource.api_version}
    elif included == "None":
        shown = None
    return {"cells": [column.cell(obj) for column in columns], "object": shown}


class Column:
    """One column; `priority` above 0 shows only with `-o wide`."""

    def __init__(self, name: str, cell: Cell, kind: str = "string", priority: int = 0) -> None:
        self.cell = cell
        self.definition = {
            "name": name,
            "type": kind,
            "format": "name" if name == "Name" else "",
            "description": name,
            "priority": priority,
        }


NAME = Column("Name", lambda obj: obj["metadata"]["name"])
AGE = Column("Age", lambda obj: since(obj["metadata"].get("creationTimestamp")))


@functools.cache
def columns_of(resource: Resource) -> list[Column]:
    if resource.custom:
        return [NAME, *(_declared(column) for column in resource.columns or (AGE_COLUMN,))]
    rows = _builtin_columns().get(resource.plural, ["Age"])
    columns = [AGE if row == "Age" else _builtin_column(*row) for row in rows]
    return columns if resource.plural == "events" else [NAME, *columns]


AGE_COLUMN = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


@functools.cache
def _builtin_columns() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = yaml.safe_load(Path(__file__).with_name("columns.yaml").read_text())
    return found


def _builtin_column(name: str, cell: str, kind: str = "string", priority: int = 0) -> Column:
    return Column(name, _cell(cell), kind, priority)


def _declared(column: Object) -> Column:
    path, kind = column["jsonPath"], column["type"]

    def cell(obj: Object) -> Any:
        found = find(obj, path)
        if not found:
            return None
        if kind == "date":
            return since(found[0])
        return found[0] if isinstance(found[0], str | int | float | bool) else orjson.dumps(found[0]).decode()

    return Column(column["name"], cell, kind, column.get("priority", 0))


def _cell(text: str) -> Cell:
    """A cell of columns.yaml."""
    if text.startswith("#"):
        return lambda obj: len((find(obj, text[1:]) or [()])[0])
    if text in CELLS:
        return CELLS[text]

    if whole := PLACE.fullmatch(text):
        return lambda obj: _at(obj, whole)
    return lambda obj: PLACE.sub(lambda place: str(_at(obj, place)), text)


PLACE = re.compile(r"{(?P<path>[^|}]+)(?:\|(?P<otherwise>[^}]*))?}")


def _at(obj: Object, place: re.Match[str]) -> Any:
    found, otherwise = find(obj, place["path"]), place["otherwise"]
    if found:
        return found[0]
    return "<none>" if otherwise is None else int(otherwise) if otherwise.isdigit() else otherwise


def since(timestamp: str | None) -> str:
    """The age of a timestamp in kubectl's short form: 45s, 5m30s, 3h, 2d4h."""
    if not timestamp:
        return "<unknown>"
    return duration(max(0, int((datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds())))


def duration(seconds: int) -> str:
    """As kubectl's HumanDuration."""
    for below, unit, divisor, small, small_divisor in (
        (120, "s", 1, "", 1),
        (600, "m", 60, "s", 1),
        (3 * 3600, "m", 60, "", 1),
        (8 * 3600, "h", 3600, "m", 60),
        (48 * 3600, "h", 3600, "", 1),
        (8 * 86400, "d", 86400, "h", 3600),
    ):
        if seconds < below:
            rest = seconds % divisor // small_divisor
            return f"{seconds // divisor}{unit}" + (f"{rest}{small}" if rest and small else "")
    return f"{seconds // 86400}d"


def _states(obj: Object) -> list[Object]:
    found: list[Object] = obj.get("status", {}).get("containerStatuses") or []
    return found


def _pod_status(obj: Object) -> str:
    status = obj.get("status", {})
    reason: str = status.get("reason") or status.get("phase", "Unknown")
    for state in _states(obj):
        for phase in ("waiting", "terminated"):
            reason = state.get("state", {}).get(phase, {}).get("reason") or reason
    return "Terminating" if "deletionTimestamp" in obj["metadata"] else reason


def _node_status(obj: Object) -> str:
    ready = find(obj, '.status.conditions[?(@.type=="Ready")].status')
    text = {"True": "Ready", "False": "NotReady"}.get(ready[0] if ready else "", "Unknown")
    return text + (",SchedulingDisabled" if obj["spec"].get("unschedulable") else "")


def _job_status(obj: Object) -> str:
    held = {c["type"] for c in obj.get("status", {}).get("conditions", ()) if c.get("status") == "True"}
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    return next((name for name in ("Complete", "Failed", "Suspended") if name in held), "Running")


def _job_duration(obj: Object) -> str:
    status = obj.get("status", {})
    if "completionTime" not in status:
        return since(status["startTime"]) if "startTime" in status else ""
    start, end = (datetime.fromisoformat(status[k]) for k in ("startTime", "completionTime"))
    return duration(int((end - start).total_seconds()))


def _joined(items: Iterable[str]) -> str:
    return ",".join(items) or "<none>"


def _pairs(labels: Mapping[str, str] | None) -> str:
    return _joined(f"{key}={value}" for key, value in (labels or {}).items())


ROLE = "node-role.kubernetes.io/"
CELLS: dict[str, Cell] = {
    "pod_ready": lambda o: f"{sum(bool(s.get('ready')) for s in _states(o))}/{len(o['spec']['containers'])}",
    "pod_status": _pod_status,
    "restarts": lambda o: str(sum(state.get("restartCount", 0) for state in _states(o))),
    "ports": lambda o: _joined(f"{p['port']}/{p.get('protocol', 'TCP')}" for p in o["spec"].get("ports", ())),
    "service_selector": lambda o: _pairs(o["spec"].get("selector")),
    "selector": lambda o: _pairs(o["spec"]["selector"].get("matchLabels")),
    "containers": lambda o: _joined(c["name"] for c in o["spec"]["template"]["spec"]["containers"]),
    "images": lambda o: _joined(c.get("image", "") for c in o["spec"]["template"]["spec"]["containers"]),
    "slice_ports": lambda o: _joined(str(p.get("port")) for p in o.get("ports") or ()),
    "slice_addresses": lambda o: _joined(a for e in o.get("endpoints") or () for a in e["addresses"]),
    "node_status": _node_status,
    "roles": lambda o: _joined(
        sorted(k.removeprefix(ROLE) for k in o["metadata"].get("labels") or () if k.startswith(ROLE))
    ),
    "job_status": _job_status,
    "job_duration": _job_duration,
    "involved": lambda o: "{kind}/{name}".format(**o["involvedObject"]).lower(),
    "last_seen": lambda o: since(
        o.get("lastTimestamp") or o.get("eventTime") or o["metadata"].get("creationTimestamp")
    ),
}
