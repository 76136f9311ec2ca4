"""Acknowledgements that `reconciler ack` left in the state ConfigMap, taken by whoever leads."""

import asyncio
from collections.abc import AsyncIterator

from ..cluster.cache import Cache, Selection
from ..cluster.client import Client
from ..cluster.state import StateStore
from ..model import names
from ..model.names import ObjectKey


class Asked:
    """Entries `ack.<fingerprint>`: `{"by": who, "at": epoch seconds}`, seen by a watch of that one object."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._key = ObjectKey("ConfigMap", namespace, names.STATE_CONFIGMAP)
        self._store = StateStore(client, namespace)
        self._changed = asyncio.Event()
        one = Selection("ConfigMap", namespace=namespace, name=names.STATE_CONFIGMAP)
        self._cache = Cache(client, [one], lambda *_: self._changed.set())

    async def start(self) -> None:
        await self._cache.start()

    async def close(self) -> None:
        await self._cache.close()

    def look(self) -> None:
        """Yield again what is there, as when this process begins to lead."""
        self._changed.set()

    async def fingerprints(self) -> AsyncIterator[list[str]]:
        """What is asked for, each time the ConfigMap changed and anything is."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            data = (self._cache.get(self._key) or {}).get("data") or {}
            asked = sorted(
                key.removeprefix(names.ACK_ENTRY) for key in data if key.startswith(names.ACK_ENTRY)
            )
            if asked:
                yield asked

    async def taken(self, fingerprints: list[str]) -> None:
        """Removes the entries, so that none is taken twice."""
        await self._store.save({names.ACK_ENTRY + fingerprint: None for fingerprint in fingerprints})
