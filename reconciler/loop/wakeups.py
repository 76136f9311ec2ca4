"""Which workspaces to look at next. A wake-up carries no other data."""

import asyncio
from collections.abc import Iterable
from typing import Literal

from ..model.names import WorkspaceId

Scope = Literal["marked", "differing", "all"]


class Wakeups:
    def __init__(self) -> None:
        self._marked: set[WorkspaceId] = set()
        self._scope: Scope = "marked"
        self._event = asyncio.Event()

    def mark(self, ids: Iterable[WorkspaceId]) -> None:
        new = set(ids)
        if new:
            self._marked |= new
            self._event.set()

    def mark_all(self) -> None:
        """Something that concerns every workspace changed."""
        self._scope = "all"
        self._event.set()

    def resync(self) -> None:
        """Nothing is known to have changed; see whether that is so."""
        if self._scope == "marked":
            self._scope = "differing"
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    def take(self) -> tuple[frozenset[WorkspaceId], Scope]:
        """What was marked since the last take, and what to look at besides."""
        marked, scope = frozenset(self._marked), self._scope
        self._marked, self._scope = set(), "marked"
        self._event.clear()
        return marked, scope
