"""Objects as `kubectl get` shows them: tables with columns per kind, and metadata alone."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

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
        shape = "name" if name == "Name" else ""
        self.definition = {
            "name": name,
            "type": kind,
            "format": shape,
            "description": name,
            "priority": priority,
        }


def columns_of(resource: Resource) -> list[Column]:
    name = Column("Name", lambda obj: obj["metadata"]["name"])
    age = Column("Age", lambda obj: since(obj["metadata"].get("creationTimestamp")))
    if resource.custom:
        declared = [_declared(column) for column in resource.columns]
        return [name, *(declared or [age])]
    chosen = COLUMNS.get(resource.plural, ())
    if resource.plural == "events":
        return list(chosen)
    if resource.plural != "customresourcedefinitions":
        narrow = [column for column in chosen if not column.definition["priority"]]
        chosen = (*narrow, age, *(column for column in chosen if column.definition["priority"]))
    return [name, *chosen]


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


def since(timestamp: str | None) -> str:
    """The age of a timestamp in kubectl's short form: 45s, 5m30s, 3h, 2d4h."""
    if not timestamp:
        return "<unknown>"
    then = datetime.fromisoformat(timestamp)
    return duration(max(0, int((datetime.now(UTC) - then).total_seconds())))


def duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    return _two(days, "d", hours % 24, "h") if days < 8 else f"{days}d"


def _two(big: int, unit: str, small: int, small_unit: str) -> str:
    return f"{big}{unit}{small}{small_unit}" if small else f"{big}{unit}"


def _at(path: str, otherwise: Any = "<none>") -> Cell:
    def cell(obj: Object) -> Any:
        found = find(obj, path)
        return found[0] if found else otherwise

    return cell


def _count(path: str) -> Cell:
    def cell(obj: Object) -> int:
        found = find(obj, path)
        return len(found[0]) if found else 0

    return cell


def _ratio(ready: str, wanted: str) -> Cell:
    return lambda obj: f"{_at(ready, 0)(obj)}/{_at(wanted, 0)(obj)}"


def _pod_ready(obj: Object) -> str:
    states = obj.get("status", {}).get("containerStatuses", ())
    return f"{sum(bool(s.get('ready')) for s in states)}/{len(obj['spec'].get('containers', ()))}"


def _pod_status(obj: Object) -> str:
    status = obj.get("status", {})
    reason: str = status.get("reason") or status.get("phase", "Unknown")
    for state in status.get("containerStatuses", ()):
        for phase in ("waiting", "terminated"):
            reason = state.get("state", {}).get(phase, {}).get("reason") or reason
    return "Terminating" if "deletionTimestamp" in obj["metadata"] else reason


def _restarts(obj: Object) -> str:
    states = obj.get("status", {}).get("containerStatuses", ())
    return str(sum(state.get("restartCount", 0) for state in states))


def _ports(obj: Object) -> str:
    ports = obj["spec"].get("ports", ())
    return ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


def _node_status(obj: Object) -> str:
    ready = find(obj, '.status.conditions[?(@.type=="Ready")].status')
    text = {"True": "Ready", "False": "NotReady"}.get(ready[0] if ready else "", "Unknown")
    return text + (",SchedulingDisabled" if obj["spec"].get("unschedulable") else "")


def _roles(obj: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = obj["metadata"].get("labels", {})
    return ",".join(sorted(k.removeprefix(prefix) for k in labels if k.startswith(prefix))) or "<none>"


def _job_status(obj: Object) -> str:
    held = {c["type"] for c in obj.get("status", {}).get("conditions", ()) if c.get("status") == "True"}
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    return next((name for name in ("Complete", "Failed", "Suspended") if name in held), "Running")


def _job_duration(obj: Object) -> str:
    status = obj.get("status", {})
    if "startTime" not in status:
        return ""
    if "completionTime" not in status:
        return since(status["startTime"])
    start, end = (datetime.fromisoformat(status[k]) for k in ("startTime", "completionTime"))
    return duration(int((end - start).total_seconds()))


def _event_object(obj: Object) -> str:
    involved = obj.get("involvedObject", {})
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _event_seen(obj: Object) -> str:
    return since(obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"].get("creationTimestamp"))


def _storage(obj: Object) -> str:
    return ",".join(re.sub(r"[a-z]", "", mode) for mode in obj["spec"].get("accessModes", ()))


COLUMNS: dict[str, tuple[Column, ...]] = {
    "namespaces": (Column("Status", _at(".status.phase")),),
    "configmaps": (Column("Data", _count(".data"), "integer"),),
    "secrets": (Column("Type", _at(".type")), Column("Data", _count(".data"), "integer")),
    "serviceaccounts": (Column("Secrets", _count(".secrets"), "integer"),),
    "services": (
        Column("Type", _at(".spec.type")),
        Column("Cluster-IP", _at(".spec.clusterIP")),
        Column("External-IP", _at(".status.loadBalancer.ingress[0].ip")),
        Column("Port(s)", _ports),
    ),
    "nodes": (
        Column("Status", _node_status),
        Column("Roles", _roles),
        Column("Version", _at(".status.nodeInfo.kubeletVersion", "")),
    ),
    "pods": (
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
        Column("IP", _at(".status.podIP"), priority=1),
        Column("Node", _at(".spec.nodeName"), priority=1),
    ),
    "events": (
        Column("Last Seen", _event_seen),
        Column("Type", _at(".type", "")),
        Column("Reason", _at(".reason", "")),
        Column("Object", _event_object),
        Column("Message", _at(".message", "")),
    ),
    "leases": (Column("Holder", _at(".spec.holderIdentity", "")),),
    "deployments": (
        Column("Ready", _ratio(".status.readyReplicas", ".spec.replicas")),
        Column("Up-to-date", _at(".status.updatedReplicas", 0), "integer"),
        Column("Available", _at(".status.availableReplicas", 0), "integer"),
    ),
    "replicasets": (
        Column("Desired", _at(".spec.replicas", 0), "integer"),
        Column("Current", _at(".status.replicas", 0), "integer"),
        Column("Ready", _at(".status.readyReplicas", 0), "integer"),
    ),
    "statefulsets": (Column("Ready", _ratio(".status.readyReplicas", ".spec.replicas")),),
    "jobs": (
        Column("Status", _job_status),
        Column("Completions", _ratio(".status.succeeded", ".spec.completions")),
        Column("Duration", _job_duration),
    ),
    "persistentvolumeclaims": (
        Column("Status", _at(".status.phase")),
        Column("Volume", _at(".spec.volumeName", "")),
        Column("Capacity", _at(".status.capacity.storage", "")),
        Column("Access Modes", _storage),
        Column("StorageClass", _at(".spec.storageClassName", "")),
    ),
    "customresourcedefinitions": (Column("Created At", _at(".metadata.creationTimestamp")),),
}
