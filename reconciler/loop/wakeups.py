"""Which workspaces to look at next. A wake-up carries no other data."""

import asyncio
from collections.abc import Iterable

from ..model.names import WorkspaceId


class Wakeups:
    def __init__(self) -> None:
        self._marked: set[WorkspaceId] = set()
        self._all = False
        self._event = asyncio.Event()

    def mark(self, ids: Iterable[WorkspaceId]) -> None:
        new = set(ids)
        if new:
            self._marked |= new
            self._event.set()

    def mark_all(self) -> None:
        self._all = True
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    def take(self) -> tuple[frozenset[WorkspaceId], bool]:
        """What was marked since the last take, and whether everything was."""
        marked, everything = frozenset(self._marked), self._all
        self._marked, self._all = set(), False
        self._event.clear()
        return marked, everything
