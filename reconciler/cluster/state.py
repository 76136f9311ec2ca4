"""The few things that must outlive the process: one ConfigMap of JSON values."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
import structlog

from reconciler.errors import Conflict, NotFound
from reconciler.model import names
from reconciler.model.names import ObjectKey

from .client import Client

_log = structlog.get_logger(__name__)


class StateStore:
    """Values by key in the daemon's own namespace. Keys are letters, digits, '-', '_' and '.'."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._key = ObjectKey("ConfigMap", namespace, names.STATE_CONFIGMAP)

    async def load(self) -> dict[str, Any]:
        """Empty where nothing was saved yet. An entry that is no JSON is logged and left out."""
        found = await self._client.get(self._key)
        values: dict[str, Any] = {}
        for key, text in ((found or {}).get("data") or {}).items():
            try:
                values[key] = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                _log.warning(
                    "saved state is unreadable", entry=key, configmap=str(self._key), error=str(error)
                )
        return values

    async def save(self, changes: Mapping[str, Any | None]) -> None:
        """Writes these entries and leaves the others; None removes one."""
        data = {k: None if v is None else orjson.dumps(v).decode() for k, v in changes.items()}
        try:
            await self._client.merge_patch(self._key, {"data": data})
        except NotFound:
            await self._create({k: v for k, v in data.items() if v is not None})

    async def _create(self, data: dict[str, str]) -> None:
        if not data:
            return
        await ensure_namespace(self._client, self._key.namespace)
        metadata = {"name": self._key.name, "namespace": self._key.namespace}
        try:
            await self._client.create(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
            )
        except Conflict:
            await self._client.merge_patch(self._key, {"data": data})


async def ensure_namespace(client: Client, name: str) -> None:
    """Creates the namespace where it is missing."""
    if await client.get(ObjectKey("Namespace", "", name)) is not None:
        return
    with suppress(Conflict):
        await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
