"""What the status ref says, for `status`, `why` and `wait`: nothing else is asked."""

import asyncio
from dataclasses import dataclass

from ..model.names import WorkspaceId
from ..repo.writer import Branch
from .documents import FOLDER, INDEX, Document, decoded, path_of


@dataclass(frozen=True, slots=True)
class Told:
    """One commit of the ref. Workspace files that are not readable are left out."""

    commit: str
    index: Document
    workspaces: dict[WorkspaceId, Document]


class StatusReader:
    """Reads again only what changed since the last fetch."""

    def __init__(self, branch: Branch) -> None:
        self._branch = branch
        self._told: Told | None = None
        self._files: dict[str, tuple[str, Document | None]] = {}

    async def fetch(self) -> Told | None:
        """None where the ref does not exist (yet). Raises what `Branch.fetch` raises."""
        return await asyncio.to_thread(self._fetched)

    async def life(self, id: WorkspaceId, limit: int = 1000) -> list[tuple[float, Document | None]]:
        """What was told of it and when, newest first, in the last `limit` commits; None: it is gone."""
        found = await asyncio.to_thread(self._branch.history, path_of(id), limit)
        return [(when, _whole(decoded(content)) if content is not None else None) for when, content in found]

    def _fetched(self) -> Told | None:
        tip = self._branch.fetch()
        if tip is None:
            return None
        if self._told is None or self._told.commit != tip:
            self._told = self._read(tip)
        return self._told

    def _read(self, tip: str) -> Told:
        before = self._files
        self._files = {
            path: before[path]
            if path in before and before[path][0] == blob
            else (blob, _whole(decoded(self._branch.read(tip, path))))
            for path, blob in self._branch.list(tip, FOLDER).items()
        }
        workspaces = {
            WorkspaceId(found["namespace"], found["name"]): found
            for _, found in self._files.values()
            if found is not None
        }
        return Told(tip, decoded(self._branch.read(tip, INDEX)) or {}, workspaces)


def _whole(found: Document | None) -> Document | None:
    """None where it does not say which workspace it is about, and how that one is."""
    needed = ("namespace", "name", "phase")
    return found if found and all(isinstance(found.get(name), str) for name in needed) else None
