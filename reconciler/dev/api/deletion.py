"""What a delete asks for, and whether an object may go at once or must wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.dev.api import errors
from reconciler.dev.api.admission import Call
from reconciler.dev.api.errors import ApiError
from reconciler.dev.api.kinds import Resource
from reconciler.dev.api.store import Object, Record

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
POLICIES = ("Background", "Foreground", "Orphan")


@dataclass(frozen=True)
class Deletion:
    """`grace` in seconds, None for the object's own."""

    policy: str = "Background"
    grace: int | None = None
    uid: str = ""
    version: str = ""
    dry_run: bool = False

    @classmethod
    def of(cls, params: Mapping[str, str], body: Mapping[str, Any]) -> "Deletion":
        """From query and DeleteOptions; the body wins. Raises 400 and 422."""
        if not isinstance(body, Mapping):
            raise ApiError(400, "the body is no DeleteOptions")
        grace = body.get("gracePeriodSeconds", params.get("gracePeriodSeconds"))
        preconditions = body.get("preconditions") or {}
        policy = body.get("propagationPolicy") or params.get("propagationPolicy")
        if body.get("orphanDependents"):
            policy = "Orphan"
        if policy and policy not in POLICIES:
            raise ApiError(422, f'invalid propagationPolicy "{policy}": supported are {", ".join(POLICIES)}')
        return cls(
            policy=policy or "Background",
            grace=None if grace is None else _seconds(grace),
            uid=preconditions.get("uid") or "",
            version=preconditions.get("resourceVersion") or "",
            dry_run=bool(body.get("dryRun")),
        )

    def check(self, call: Call, record: Record) -> None:
        """Raises 409 where a precondition does not hold."""
        for word, wanted, found in (
            ("UID", self.uid, record.uid),
            ("ResourceVersion", self.version, str(record.version)),
        ):
            if wanted and wanted != found:
                why = f"Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {found}"
                raise errors.conflict(*call.subject, why)


def _seconds(value: str | int) -> int:
    try:
        return max(0, int(value))
    except ValueError as error:
        raise ApiError(400, f"gracePeriodSeconds: {value} is not a number") from error


def marked(resource: Resource, obj: Object, options: Deletion) -> None:
    """Write the deletion into `obj`, in place; a grace period only ever shrinks."""
    metadata = obj["metadata"]
    grace = _grace(resource, obj, options)
    if "deletionTimestamp" not in metadata:
        gone_by = datetime.now(UTC) + timedelta(seconds=grace)
        metadata["deletionTimestamp"] = gone_by.strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata["deletionGracePeriodSeconds"] = grace
        if "generation" in metadata:
            metadata["generation"] += 1
    metadata["deletionGracePeriodSeconds"] = min(grace, metadata["deletionGracePeriodSeconds"])
    finalizer = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(options.policy)
    if finalizer and finalizer not in metadata.setdefault("finalizers", []):
        metadata["finalizers"].append(finalizer)
    if resource.key == ("", "namespaces"):
        obj["status"]["phase"] = "Terminating"


def _grace(resource: Resource, obj: Object, options: Deletion) -> int:
    """Only a pod on a node has one: its node agent stops it and deletes it with 0."""
    if resource.key != ("", "pods") or not obj["spec"].get("nodeName"):
        return 0
    if obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    own: int = obj["spec"].get("terminationGracePeriodSeconds", 30)
    return own if options.grace is None else options.grace


def must_wait(resource: Resource, obj: Object) -> bool:
    metadata = obj["metadata"]
    if metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds"):
        return True
    return resource.key == ("", "namespaces") and bool(obj.get("spec", {}).get("finalizers"))
