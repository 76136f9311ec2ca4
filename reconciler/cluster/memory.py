"""What one selection of objects is known to contain, from lists, watch events and our own writes.

They arrive in any order. Resource versions decide: newer wins, older is ignored, and what the watch
has already passed cannot be learnt from the late answer to a write.
"""

from collections.abc import Callable
from itertools import islice

from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .kinds import key_of
from .sharing import Sharing
from .trim import trimmed

OnChange = Callable[[ObjectKey, Manifest | None, Manifest | None], None]
"""Told of a change that has been made: key, old content, new content; None for absent."""

_REMEMBERED_UIDS = 10_000


class Memory:
    """Objects by key, trimmed unless `whole`. `version` is the progress of list and watch."""

    def __init__(self, on_change: OnChange, *, whole: bool = False) -> None:
        self.objects: dict[ObjectKey, Manifest] = {}
        self.version = 0
        self._versions: dict[ObjectKey, int] = {}
        self._gone: dict[str, None] = {}
        self._on_change = on_change
        sharing = Sharing()
        self._kept = (lambda m: m) if whole else (lambda m: sharing.manifest(trimmed(m)))

    def begin(self, version: str) -> None:
        """A list as of `version` follows. One from the past means that the server's data was restored."""
        if number(version) < self.version:
            self._versions = dict.fromkeys(self._versions, 0)
        self.version = number(version)

    def see(self, manifest: Manifest) -> None:
        """An object of a list, or an ADDED or MODIFIED event."""
        metadata = manifest["metadata"]
        if metadata.get("uid") not in self._gone:
            self._store(key_of(manifest), number(metadata["resourceVersion"]), manifest)

    def settle(self, listed: set[ObjectKey]) -> None:
        """The list is complete: what it lacks and nothing newer mentions does not exist."""
        for key in [
            k for k, version in self._versions.items() if version <= self.version and k not in listed
        ]:
            self._remove(key)

    def progress(self, version: str) -> None:
        """Everything up to `version` has been seen."""
        self.version = max(self.version, number(version))

    def drop(self, manifest: Manifest) -> None:
        """A DELETED event."""
        key, metadata = key_of(manifest), manifest["metadata"]
        self._gone.pop(metadata.get("uid", ""), None)
        if key in self.objects and self._versions[key] <= number(metadata["resourceVersion"]):
            self._remove(key)

    def note(self, manifest: Manifest) -> None:
        """The answer to a write of our own, perhaps after the watch told of what came later."""
        key, metadata = key_of(manifest), manifest["metadata"]
        version = number(metadata["resourceVersion"])
        if metadata.get("uid") not in self._gone and (key in self.objects or version > self.version):
            self._store(key, version, manifest)

    def forget(self, key: ObjectKey, uid: str) -> None:
        """The object is confirmed gone; events of its last moments are ignored from now on."""
        found = self.objects.get(key)
        if found is None or found["metadata"].get("uid") != uid:
            return
        self._gone[uid] = None
        for oldest in list(islice(self._gone, max(0, len(self._gone) - _REMEMBERED_UIDS))):
            del self._gone[oldest]
        self._remove(key)

    def _store(self, key: ObjectKey, version: int, manifest: Manifest) -> None:
        if version <= self._versions.get(key, -1):
            return
        old, new = self.objects.get(key), self._kept(manifest)
        self.objects[key], self._versions[key] = new, version
        if old is None or not _same(old, new):
            self._on_change(key, old, new)

    def _remove(self, key: ObjectKey) -> None:
        del self._versions[key]
        self._on_change(key, self.objects.pop(key), None)


def number(version: str) -> int:
    """Resource versions grow: promised from Kubernetes 1.35, true of every server before."""
    return int(version) if version.isdigit() else 0


def _same(old: Manifest, new: Manifest) -> bool:
    """Equal but for the resource version, as after a node's heartbeat."""
    version = {"resourceVersion": ""}
    return {**old, "metadata": {**old["metadata"], **version}} == {
        **new,
        "metadata": {**new["metadata"], **version},
    }
