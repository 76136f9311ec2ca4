"""Custom resource definitions: completion, checks and conditions."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from reconciler.dev.api.errors import ApiError, Cause, cause
from reconciler.dev.api.schema import custom_type
from reconciler.dev.api.store import Object

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
KEY = ("apiextensions.k8s.io", "customresourcedefinitions")


def complete(crd: Object) -> None:
    """Names, the cleanup finalizer and an Established status, in place; a definition is served at once."""
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind") or ""
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List")
    spec.setdefault("conversion", {"strategy": "None"})
    if "deletionTimestamp" in crd["metadata"]:
        return
    finalizers = crd["metadata"].setdefault("finalizers", [])
    if CLEANUP not in finalizers:
        finalizers.append(CLEANUP)
    status = crd.setdefault("status", {})
    status["acceptedNames"] = dict(names)
    stored = status.setdefault("storedVersions", [])
    stored.extend(
        v["name"] for v in spec.get("versions") or () if v.get("storage") and v["name"] not in stored
    )
    status.setdefault(
        "conditions",
        [
            _condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            _condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
    )


def _condition(kind: str, reason: str, message: str) -> dict[str, Any]:
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since}


def violations(old: Object, crd: Object) -> list[Cause]:
    return list(_violations(old, crd))


def _violations(old: Object, crd: Object) -> Iterator[Cause]:
    spec = crd["spec"]
    wanted = f"{spec['names'].get('plural')}.{spec.get('group')}"
    if crd["metadata"].get("name") != wanted:
        message = f'Invalid value: "{crd["metadata"].get("name")}": must be spec.names.plural+"."+spec.group'
        yield cause("FieldValueInvalid", "metadata.name", message)
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        message = "Invalid value: must have exactly one version marked as storage version"
        yield cause("FieldValueInvalid", "spec.versions", message)
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        message = f'Unsupported value: "{spec.get("scope")}": supported values: "Cluster", "Namespaced"'
        yield cause("FieldValueNotSupported", "spec.scope", message)
    if spec["conversion"].get("strategy") != "None":
        raise ApiError(
            501, "conversion webhooks are not called by this development server: use strategy None"
        )
    for index, version in enumerate(versions):
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        where = f"spec.versions[{index}].schema.openAPIV3Schema"
        if schema is None:
            yield cause("FieldValueRequired", where, "Required value: schemas are required")
        elif schema.get("type") != "object":
            yield cause("FieldValueInvalid", f"{where}.type", "Invalid value: must be object at the root")
        else:
            yield from _rule_violations(schema, where)
    if old and old["spec"].get("scope") != spec.get("scope"):
        yield cause("FieldValueInvalid", "spec.scope", "Invalid value: field is immutable")


def _rule_violations(schema: Object, where: str) -> Iterator[Cause]:
    try:
        _ = custom_type(schema).guarded
    except ValueError as error:
        yield cause("FieldValueInvalid", f"{where}.x-kubernetes-validations", f"Invalid value: {error}")
