"""Label and field selectors, parsed once per request into predicates over records."""

import re
from collections.abc import Callable, Mapping

from reconciler.dev.api.errors import ApiError
from reconciler.dev.api.kinds import Resource
from reconciler.dev.api.store import Record

Predicate = Callable[[Record], bool]
LabelTest = Callable[[Mapping[str, str]], bool]

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s=!]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s=!]*)$")
_EXISTS = re.compile(r"^(?P<not>!?)\s*(?P<key>[^\s=!()]+)$")
_COMMA = re.compile(r",(?![^()]*\))")

FIELDS: Mapping[str, str] = {
    "pods": "spec.nodeName spec.restartPolicy spec.serviceAccountName status.phase status.podIP",
    "events": "reason type source involvedObject.kind involvedObject.namespace involvedObject.name "
    "involvedObject.uid involvedObject.apiVersion involvedObject.fieldPath",
    "secrets": "type",
    "namespaces": "status.phase",
    "nodes": "spec.unschedulable",
    "jobs": "status.successful",
    "services": "spec.clusterIP spec.type",
    "replicasets": "status.replicas",
}
"""What a built-in kind can be selected by, beside its name and namespace."""


def selection(resource: Resource, params: Mapping[str, str]) -> Predicate | None:
    """What `labelSelector` and `fieldSelector` let through; None when that is everything. Raises 400."""
    labels = [_label_test(term) for term in _terms(params.get("labelSelector", ""))]
    fields = [_field_test(resource, term) for term in _terms(params.get("fieldSelector", ""))]
    if not labels and not fields:
        return None
    if len(labels) == 1 and not fields:  # the usual one, half as dear this way
        (only,) = labels
        return lambda record: only(record.labels)
    return lambda record: all(t(record.labels) for t in labels) and all(t(record) for t in fields)


def _terms(text: str) -> list[str]:
    return [term.strip() for term in _COMMA.split(text) if term.strip()]


def _label_test(term: str) -> LabelTest:
    if match := _SET.match(term):
        key, values = match["key"], {value.strip() for value in match["values"].split(",")}
        if match["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUAL.match(term):
        key, value = match["key"], match["value"]
        if match["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _EXISTS.match(term):
        key = match["key"]
        if match["not"]:
            return lambda labels: key not in labels
        return lambda labels: key in labels
    raise ApiError(400, f"unable to parse requirement: {term}")


def _field_test(resource: Resource, term: str) -> Predicate:
    match = _EQUAL.match(term)
    if not match:
        raise ApiError(400, f"invalid field selector: {term}")
    path, wanted, equal = match["key"], match["value"], match["op"] != "!="
    known = "" if resource.custom else FIELDS.get(resource.plural, "")
    if path not in ("metadata.name", "metadata.namespace", *known.split()):
        raise ApiError(400, f'field label not supported: "{path}"')
    return lambda record: (_text_at(record, path) == wanted) == equal


def _text_at(record: Record, path: str) -> str:
    if path in ("metadata.namespace", "metadata.name"):
        return record.key[path == "metadata.name"]
    value: object = record.copy()
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return "false" if path == "spec.unschedulable" else ""
    return str(value).lower() if isinstance(value, bool) else str(value)
