"""The verbs on the store: get, list, create, update, patch, delete. Nothing here knows of HTTP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import yaml

from reconciler.dev.api import errors
from reconciler.dev.api.admission import (
    Call,
    changed_object,
    declared,
    decoded,
    new_object,
    with_entries,
    with_owners,
)
from reconciler.dev.api.apply import apply
from reconciler.dev.api.builtins import allocated
from reconciler.dev.api.deletion import Deletion, marked, must_wait
from reconciler.dev.api.errors import ApiError, cause, invalid
from reconciler.dev.api.kinds import Registry, Resource
from reconciler.dev.api.patches import json_patch, merge_patch, strategic_patch
from reconciler.dev.api.store import Object, Record, Store
from reconciler.dev.api.validation import pruned

NAMESPACES = ("", "namespaces")
PERMANENT = ("default", "kube-system", "kube-public")
APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")
JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class Answer:
    """One object (or Status) as JSON, the HTTP code it deserves and warnings for the client."""

    body: bytes
    code: int = 200
    warnings: list[str] = field(default_factory=list)
    record: Record | None = None


class YamlLoader(yaml.SafeLoader):
    """YAML without timestamps, which a JSON object cannot hold."""


YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parsed(body: bytes, content_type: str) -> Any:
    """Raises 400 for what is neither JSON nor (where the type says so) YAML."""
    try:
        if "yaml" in content_type and not body.lstrip().startswith(b"{"):
            return yaml.load(body, YamlLoader)
        return orjson.loads(body)
    except (ValueError, yaml.YAMLError) as error:
        raise ApiError(400, f"the body cannot be read: {error}") from error


def shown(resource: Resource, record: Record) -> bytes:
    """The record in the resource's version; versions of one resource differ in nothing else."""
    if resource.api_version == resource.stored_api_version:
        return record.raw
    head = orjson.dumps({"apiVersion": resource.stored_api_version})[:-1]
    return orjson.dumps({"apiVersion": resource.api_version})[:-1] + record.raw[len(head) :]


class Verbs:
    """Every write is one synchronous step: nothing else sees the store between its read and its commit."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry

    def live(self, call: Call) -> Record:
        record = self.store.get(call.resource.key, call.namespace, call.name)
        if record is None:
            raise errors.not_found(*call.subject)
        return record

    def get(self, call: Call) -> Answer:
        record = self.live(call)
        return Answer(shown(call.resource, record), record=record)

    def create(self, call: Call, body: Any) -> Answer:
        obj, warnings = decoded(call, body)
        self._place(call, obj)
        given = set(obj.get("spec") or ())
        new = with_owners(call, {}, new_object(call, obj), allocated(call.resource.plural) - given)
        name = new["metadata"]["name"]
        if self.store.get(call.resource.key, call.namespace, name):
            raise errors.already_exists(call.resource.group, call.resource.plural, name)
        return self._committed(call, None, new, warnings)

    def _place(self, call: Call, obj: Object) -> None:
        """Settle the namespace of a new object. Raises 400, 403 and 404."""
        metadata = obj["metadata"]
        if not call.resource.namespaced:
            metadata.pop("namespace", None)
            return
        if metadata.setdefault("namespace", call.namespace) != call.namespace:
            raise ApiError(400, "the namespace of the object does not match the namespace on the URL")
        home = self.store.get(NAMESPACES, "", call.namespace)
        if home is None:
            raise errors.not_found("", "namespaces", call.namespace)
        if home.copy()["status"]["phase"] == "Terminating":
            why = f"unable to create new content in namespace {call.namespace} because it is being terminated"
            found = cause("NamespaceTerminating", "metadata.namespace", "the namespace is being terminated")
            raise errors.forbidden((*call.resource.key, metadata.get("name", "")), why, [found])

    def update(self, call: Call, body: Any) -> Answer:
        new, warnings = decoded(call, body)
        record = self.live(call)
        if call.resource.needs_version and not new["metadata"].get("resourceVersion"):
            message = "Invalid value: 0x0: must be specified for an update"
            found = cause("FieldValueInvalid", "metadata.resourceVersion", message)
            raise invalid(call.resource.group, call.resource.kind, call.name, [found])
        return self._replace(call, record, new, warnings)

    def patch(self, call: Call, content_type: str, body: bytes) -> Answer:
        if content_type in APPLY:
            return self.apply(call, parsed(body, "yaml"))
        change = self._patch_of(call, content_type, parsed(body, content_type))
        record = self.live(call)
        changed = change(self._editable(call, record))
        try:
            patched, warnings = decoded(call, changed)
        except ApiError as error:
            found = cause("FieldValueInvalid", "patch", f"Invalid value: {error.message}")
            raise invalid("", "", "", [found]) from error
        return self._replace(call, record, patched, warnings)

    def _patch_of(self, call: Call, content_type: str, patch: Any) -> Callable[[Object], Any]:
        if content_type == STRATEGIC and not call.resource.custom:
            return lambda old: strategic_patch(old, patch, call.resource.type)
        formats: Mapping[str, Callable[[Any, Any], Any]] = {JSON: json_patch, MERGE: merge_patch}
        if content_type not in formats:
            served = [JSON, MERGE, APPLY[0], *([] if call.resource.custom else [STRATEGIC])]
            message = "the body of the request was in an unknown format - accepted media types include: "
            raise ApiError(415, message + ", ".join(served))
        return lambda old: formats[content_type](old, patch)

    def _editable(self, call: Call, record: Record) -> Object:
        return {**record.copy(), "apiVersion": call.resource.api_version}

    def _replace(self, call: Call, record: Record, new: Object, warnings: list[str]) -> Answer:
        old = self._editable(call, record)
        _check_name(call, new)
        self._check_versions(call, record, new["metadata"])
        new = changed_object(call, old, new)
        return self._committed(call, record, with_owners(call, old, new), warnings)

    def _check_versions(self, call: Call, record: Record, metadata: Mapping[str, Any]) -> None:
        given = metadata.get("resourceVersion")
        if given and given != str(record.version):
            raise errors.conflict(*call.subject, MODIFIED)
        if metadata.get("uid") and metadata["uid"] != record.uid:
            raise errors.conflict(*call.subject, _other_uid(metadata["uid"], record))

    def apply(self, call: Call, body: Any) -> Answer:
        manager = call.params.get("fieldManager")
        if not manager:
            found = cause("FieldValueRequired", "fieldManager", "Required value: is required for apply patch")
            raise invalid("meta.k8s.io", "PatchOptions", "", [found])
        config = declared(call, body)
        if config["metadata"].pop("managedFields", None):
            raise ApiError(400, "metadata.managedFields must be nil")
        _check_name(call, config)
        record = self.store.get(call.resource.key, call.namespace, call.name)
        if record is None:
            return self._apply_new(call, config)
        self._check_versions(call, record, config["metadata"])
        return self._apply_to(call, record, config)

    def _apply_new(self, call: Call, config: Object) -> Answer:
        if call.subresource:
            raise errors.not_found(*call.subject)
        if config["metadata"].get("uid"):
            why = "uid mismatch: the provided object specified a uid, and no existing object was found"
            raise errors.conflict(*call.subject, why)
        self._place(call, config)
        if call.resource.has_status:
            config.pop("status", None)
        _, entries = apply({}, config, call.resource.type, call.writer("Apply"), force=True)
        new = with_entries(new_object(call, _typed(call.resource, config)), entries)
        return self._committed(call, None, new, [])

    def _apply_to(self, call: Call, record: Record, config: Object) -> Answer:
        old = self._editable(call, record)
        for name in ("resourceVersion", "uid"):
            config["metadata"].pop(name, None)
        if call.subresource == "status":
            config = {k: config[k] for k in ("apiVersion", "kind", "metadata", "status") if k in config}
            config["metadata"] = {"name": call.name}
        elif call.resource.has_status:
            config.pop("status", None)
        force = call.params.get("force", "").lower() in ("1", "t", "true")
        merged, entries = apply(old, config, call.resource.type, call.writer("Apply"), force=force)
        new = old if merged is old else changed_object(call, old, _typed(call.resource, merged))
        new = with_entries(new, entries)
        return self._committed(call, record, new, [])

    def _committed(self, call: Call, record: Record | None, new: Object, warnings: list[str]) -> Answer:
        """Store `new` unless nothing changed; an object whose last finalizer went goes too."""
        resource = call.resource
        new["apiVersion"] = resource.stored_api_version
        if call.dry_run:
            body = orjson.dumps({**new, "apiVersion": resource.api_version})
            return Answer(body, 201 if record is None else 200, warnings)
        if record is None:
            made = self.store.commit(resource.key, new)
            return Answer(shown(resource, made), 201, warnings, made)
        if new == record.copy():
            return Answer(shown(resource, record), 200, warnings, record)
        ends = "deletionTimestamp" in new["metadata"] and not must_wait(resource, new)
        kept = (self.store.delete if ends else self.store.commit)(resource.key, new)
        return Answer(shown(resource, kept), 200, warnings, kept)

    def delete(self, call: Call, options: Deletion) -> Answer:
        record = self.live(call)
        options.check(call, record)
        if call.resource.key == NAMESPACES and call.name in PERMANENT:
            raise errors.forbidden(call.subject, "this namespace may not be deleted")
        obj = record.copy()
        marked(call.resource, obj, options)
        if call.dry_run or options.dry_run:
            return Answer(orjson.dumps(obj))
        if must_wait(call.resource, obj):
            if obj != record.copy():
                record = self.store.commit(call.resource.key, obj)
            return Answer(shown(call.resource, record), record=record)
        gone = self.store.delete(call.resource.key, obj)
        if call.resource.plural in ("pods", "services", "serviceaccounts", "persistentvolumeclaims"):
            return Answer(shown(call.resource, gone), record=gone)
        details = {"name": call.name, "kind": call.resource.plural, "uid": record.uid}
        if call.resource.group:
            details["group"] = call.resource.group
        return Answer(orjson.dumps(errors.status("Success", details=details)))


def _check_name(call: Call, obj: Object) -> None:
    name = obj["metadata"].setdefault("name", call.name)
    if name != call.name:
        why = f"the name of the object ({name}) does not match the name on the URL ({call.name})"
        raise ApiError(400, why)


def _other_uid(wanted: str, record: Record) -> str:
    return f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {record.uid}"


def _typed(resource: Resource, obj: Object) -> Object:
    """A copy as the kind's own type would hold it."""
    if not resource.custom:
        return pruned(obj, resource.type, "", [], typed=True)  # type: ignore[no-any-return]
    head = pruned(obj["metadata"], resource.type.fields["metadata"], "metadata", [], typed=True)
    return orjson.loads(orjson.dumps({**obj, "metadata": head}))  # type: ignore[no-any-return]
