"""What happens to an object between a request and the store: names, pruning, defaults, checks, ownership."""

import random
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from reconciler.dev.api import builtins, crds
from reconciler.dev.api.apply import Entry, Writer, after_update, entries_of, rendered
from reconciler.dev.api.errors import ApiError, Cause, cause, invalid
from reconciler.dev.api.kinds import Resource
from reconciler.dev.api.schema import ANY
from reconciler.dev.api.store import Object
from reconciler.dev.api.validation import defaulted, mistyped, pruned, rule_violations, violations

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
SERVER_SET = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


@dataclass(frozen=True)
class Call:
    """One request on one resource."""

    resource: Resource
    namespace: str
    name: str
    subresource: str
    params: Mapping[str, str]
    agent: str

    @property
    def subject(self) -> tuple[str, str, str]:
        return self.resource.group, self.resource.plural, self.name

    @property
    def dry_run(self) -> bool:
        value = self.params.get("dryRun", "")
        if value not in ("", "All"):
            why = f'Unsupported value: "{value}": supported values: "All"'
            raise invalid("meta.k8s.io", "Options", "", [cause("FieldValueNotSupported", "dryRun", why)])
        return value == "All"

    def writer(self, operation: str) -> Writer:
        manager = self.params.get("fieldManager") or self.agent.partition("/")[0] or "unknown"
        return Writer(manager, operation, self.resource.api_version, self.subresource, now())


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def decoded(call: Call, body: Any) -> tuple[Object, list[str]]:
    """The body as an object of the call's kind, and warnings for its unknown fields. Raises 400."""
    if call.subresource == "status" and isinstance(body, dict):
        body = {name: body[name] for name in ("apiVersion", "kind", "metadata", "status") if name in body}
    obj, unknown = _known(call.resource, body)
    mode = call.params.get("fieldValidation", "Warn")
    complaints = [f'unknown field "{path}"' for path in unknown]
    if complaints and mode == "Strict":
        text = ", ".join(complaints)
        raise ApiError(400, f"{_unhandled(call.resource)}: strict decoding error: {text}")
    return obj, complaints if mode == "Warn" else []


def declared(call: Call, body: Any) -> Object:
    """The body of an apply. What its schema has no place for is a 500 without a reason, as on a real one."""
    _check_kind(call.resource, body)
    why = next(mistyped(body, call.resource.type, keyed=True), "")
    if why:
        place = f"{call.namespace}/{call.name}; {call.resource.api_version}, Kind={call.resource.kind}"
        raise ApiError(500, f"failed to create typed patch object ({place}): {why}", reason="")
    body.setdefault("metadata", {})
    return body  # type: ignore[no-any-return]


def _known(resource: Resource, body: Any) -> tuple[Object, list[str]]:
    """The body without the fields that its schema does not know, and their paths."""
    _check_kind(resource, body)
    unknown: list[str] = []
    obj = pruned(body, resource.type, "", unknown, typed=not resource.custom)
    metadata = obj.setdefault("metadata", {})
    for why in mistyped({"metadata": metadata} if resource.custom else obj, resource.type):
        raise ApiError(400, f"{_unhandled(resource)}: {why}")
    return obj, unknown


def _check_kind(resource: Resource, body: Any) -> None:
    if not isinstance(body, dict):
        raise ApiError(400, "the body is not an object")
    body.setdefault("apiVersion", resource.api_version)
    body.setdefault("kind", resource.kind)
    if (body["apiVersion"], body["kind"]) != (resource.api_version, resource.kind):
        wanted = f"{resource.api_version}, Kind={resource.kind}"
        message = (
            f"the object provided is unrecognized: {body['apiVersion']}, Kind={body['kind']} is not {wanted}"
        )
        raise ApiError(400, message)


def _unhandled(resource: Resource) -> str:
    return f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'


def new_object(call: Call, obj: Object) -> Object:
    """`obj` as it is first stored, before ownership is recorded. Raises 400 and 422."""
    metadata = obj["metadata"]
    if metadata.get("resourceVersion"):
        raise ApiError(500, "resourceVersion should not be set on objects to be created", reason="")
    for name in (*SERVER_SET, "resourceVersion", "selfLink"):
        metadata.pop(name, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"][:58] + "".join(random.choices(SUFFIX, k=5))
    metadata["uid"] = str(uuid4())
    metadata["creationTimestamp"] = now()
    if call.resource.has_status and not _keeps_status(call.resource):
        obj.pop("status", None)
    if call.resource.custom or builtins.has_generation(call.resource.plural):
        metadata["generation"] = 1
    return settled(call, {}, obj)


def _keeps_status(resource: Resource) -> bool:
    return not resource.custom and resource.plural == "nodes"


def changed_object(call: Call, old: Object, new: Object) -> Object:
    """`new` as it replaces `old`, before ownership is recorded. Raises 409 and 422."""
    metadata = new["metadata"]
    for name in SERVER_SET:
        metadata.pop(name, None)
    kept = (*SERVER_SET, "resourceVersion", "name", "namespace")
    metadata.update({name: old["metadata"][name] for name in kept if name in old["metadata"]})
    if added := _new_finalizers(old, metadata):
        why = "no new finalizers can be added if the object is being deleted, found new finalizers"
        found = cause("FieldValueForbidden", "metadata.finalizers", f"Forbidden: {why} {added}")
        _refuse(call, old, [found])
    if call.subresource == "status":
        return _with_status(call, old, new)
    if call.resource.has_status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    new = settled(call, old, new)
    if "generation" in metadata and _meaning(call.resource, old) != _meaning(call.resource, new):
        new["metadata"]["generation"] = old["metadata"]["generation"] + 1
    return new


def _new_finalizers(old: Object, metadata: Object) -> list[str]:
    """Those added to an object that is being deleted."""
    if "deletionTimestamp" not in metadata:
        return []
    return sorted(set(metadata.get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ()))


def _with_status(call: Call, old: Object, new: Object) -> Object:
    """`old` with the status of `new`: the rest is neither taken nor checked again."""
    kind = call.resource.type.child("status") or ANY
    kept = {**old, "metadata": dict(old["metadata"])}
    if owners := new["metadata"].get("managedFields"):
        kept["metadata"]["managedFields"] = owners
    kept.pop("status", None)
    if "status" in new:
        kept["status"] = new["status"]
        defaulted(kept["status"], kind)
        _refuse(call, kept, list(violations(kept["status"], kind, "status")))
    return kept


def _meaning(resource: Resource, obj: Object) -> Any:
    """What a new generation means a change of."""
    if not resource.custom:
        notes = obj["metadata"].get("annotations") if resource.plural == "deployments" else None
        return obj.get("spec"), notes
    ignored = {"apiVersion", "metadata", "status"} if resource.has_status else {"apiVersion", "metadata"}
    return {k: v for k, v in obj.items() if k not in ignored}


def settled(call: Call, old: Object, obj: Object) -> Object:
    """Defaults and checks that both creates and updates pass."""
    resource = call.resource
    defaulted(obj, resource.type)
    if not resource.custom:
        builtins.complete(resource.plural, old, obj)
        if resource.plural == "customresourcedefinitions":
            crds.complete(obj)
    broken = list(violations(_without_managed_fields(obj), resource.type))
    if not resource.custom:
        broken += builtins.violations(resource.plural, old, obj)
        if resource.plural == "customresourcedefinitions":
            broken += crds.violations(old, obj)
    _refuse(call, obj, [*_metadata_violations(obj["metadata"]), *broken])
    if resource.custom and resource.type.guarded:
        _refuse(call, obj, list(rule_violations(obj, old or None, resource.type)))
    return obj


def _refuse(call: Call, obj: Object, broken: list[Cause]) -> None:
    """Raises 422 where anything is broken."""
    if broken:
        raise invalid(call.resource.group, call.resource.kind, obj["metadata"].get("name", ""), broken)


def _without_managed_fields(obj: Object) -> Object:
    """What is checked: the server wrote the rest itself."""
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}


def _metadata_violations(metadata: Object) -> list[Cause]:
    found = []
    name = metadata.get("name", "")
    if not name:
        found.append(
            cause("FieldValueRequired", "metadata.name", "Required value: name or generateName is required")
        )
    elif len(name) > 253 or not SUBDOMAIN.fullmatch(name):
        text = f'Invalid value: "{name}": a lowercase RFC 1123 subdomain is required'
        found.append(cause("FieldValueInvalid", "metadata.name", text))
    for key, value in (metadata.get("labels") or {}).items():
        if not LABEL_KEY.fullmatch(key) or not isinstance(value, str) or not LABEL_VALUE.fullmatch(value):
            text = f'Invalid value: "{value}": the label {key} has a bad key or value'
            found.append(cause("FieldValueInvalid", "metadata.labels", text))
    return found


def with_owners(call: Call, old: Object, new: Object, unowned: Collection[str] = ()) -> Object:
    """`new` with `managedFields` brought up to date for an update, create or patch."""
    given = new["metadata"].get("managedFields") and not call.subresource
    entries = entries_of(new if given else old)
    by = call.writer("Update")
    was, now_is = (o if call.subresource else _without_status(call.resource, o) for o in (old, new))
    if unowned:
        now_is = {**now_is, "spec": {k: v for k, v in new.get("spec", {}).items() if k not in unowned}}
    return with_entries(new, after_update(was, now_is, call.resource.type, entries, by))


def _without_status(resource: Resource, obj: Object) -> Object:
    return {k: v for k, v in obj.items() if k != "status"} if resource.has_status else obj


def with_entries(obj: Object, entries: list[Entry]) -> Object:
    metadata = obj["metadata"]
    metadata.pop("managedFields", None)
    if entries:
        metadata["managedFields"] = rendered(entries)
    return obj
