"""Kubernetes Events: what `kubectl describe` shows below an object."""

import hashlib
import time
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

import structlog

from reconciler.errors import Conflict, ReconcilerError
from reconciler.model import names
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .client import Client
from .kinds import key_of

QUIET_SECONDS = 600.0
"""An event with the same reason and message is not repeated for this long."""

_MESSAGE_LIMIT = 1024
_log = structlog.get_logger(__name__)
_told: WeakKeyDictionary[Client, dict[str, float]] = WeakKeyDictionary()


async def record(client: Client, about: Manifest, reason: str, message: str, type: str = "Normal") -> None:
    """`type` is Normal or Warning. An event that cannot be written is logged: it must not stop any work."""
    key, uid = key_of(about), str(about["metadata"].get("uid", ""))
    digest = hashlib.sha256("\n".join((str(key), uid, reason, message)).encode()).hexdigest()[:16]
    if not _is_news(client, digest):
        return
    event = _event(about, reason, message[:_MESSAGE_LIMIT], type)
    event["metadata"] = {
        "name": f"{key.name[:200]}.{digest}.{int(time.time() // QUIET_SECONDS)}",
        "namespace": key.namespace or "default",
    }
    try:
        await client.create(event)
    except Conflict:
        return  # told before this process started
    except ReconcilerError as error:
        _log.warning("event not recorded", object=str(key), reason=reason, error=str(error))


def _is_news(client: Client, digest: str) -> bool:
    now = time.monotonic()
    told = _told.setdefault(client, {})
    if now - told.get(digest, -QUIET_SECONDS) < QUIET_SECONDS:
        return False
    for old in [each for each, at in told.items() if now - at >= QUIET_SECONDS]:
        del told[old]
    told[digest] = now
    return True


def _event(about: Manifest, reason: str, message: str, type: str) -> Manifest:
    key, metadata = key_of(about), about["metadata"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": _reference(about, key, metadata),
        "reason": reason,
        "message": message,
        "type": type,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "source": {"component": names.MANAGER},
        "reportingComponent": names.MANAGER,
        "reportingInstance": names.MANAGER,
    }


def _reference(about: Manifest, key: ObjectKey, metadata: Manifest) -> dict[str, str]:
    given = {
        "apiVersion": about.get("apiVersion"),
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
        "uid": metadata.get("uid"),
        "resourceVersion": metadata.get("resourceVersion"),
    }
    return {name: str(value) for name, value in given.items() if value}
