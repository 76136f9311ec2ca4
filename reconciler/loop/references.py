"""Who names which ConfigMap as its configuration, in Git or on a live Workspace object."""

from collections.abc import Mapping
from typing import Literal

from ..model.names import ObjectKey, WorkspaceId

Where = Literal["git", "live"]


class References:
    def __init__(self) -> None:
        self._named: dict[tuple[Where, WorkspaceId], ObjectKey] = {}
        self._users: dict[ObjectKey, frozenset[WorkspaceId]] = {}

    @property
    def users(self) -> Mapping[ObjectKey, frozenset[WorkspaceId]]:
        """A live view."""
        return self._users

    def note(self, where: Where, id: WorkspaceId, key: ObjectKey | None) -> frozenset[WorkspaceId]:
        """`id` now names `key` there, or nothing. Returns the other workspaces to whom that matters."""
        before = self._named.get((where, id))
        if before == key:
            return frozenset()
        if key is None:
            del self._named[where, id]
        else:
            self._named[where, id] = key
        touched = [k for k in (before, key) if k is not None]
        for each in touched:
            self._count(each, id)
        return frozenset(user for each in touched for user in self._users.get(each, ())) - {id}

    def _count(self, key: ObjectKey, id: WorkspaceId) -> None:
        places: tuple[Where, ...] = ("git", "live")
        others = self._users.get(key, frozenset()) - {id}
        names_it = any(self._named.get((where, id)) == key for where in places)
        users = others | {id} if names_it else others
        if users:
            self._users[key] = users
        else:
            self._users.pop(key, None)
