"""Specs from a Git ref: the cost follows the change.

Trees are compared, and only blobs that are new under the configured globs are read and parsed. What a
blob parses to is kept, so that a rename or a revert reads nothing.
"""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial

from ..model.declared import Declarations, ParsedFile
from ..model.settings import PathEntry, SignaturePolicy
from ..model.workspace import Problem
from ..repo.errors import TooLarge
from ..repo.mirror import Mirror
from ..repo.trees import FileChange
from ..repo.watch import ref_changes
from . import specs
from .foreign import refused
from .globs import Globs
from .memory import remembered
from .signatures import Guard
from .yaml_loader import MAX_BYTES

Tree = Mapping[str, ParsedFile]
Read = Callable[[str, int], bytes]
"""A blob's content, or TooLarge above so many bytes."""
Parse = Callable[[str, bytes, str | None], ParsedFile]
"""From path, content and the namespace of manifests that name none; never raises."""

_LOCAL_LOOK_SECONDS = 30.0
_LFS = b"version https://git-lfs.github.com/spec/"
_UNREAD = {
    "symlink": ("a symbolic link is never followed", "commit the file itself in its place"),
    "submodule": ("a submodule is never fetched", "commit its files here, or watch its repository"),
}


class GitSource:
    """The specs at one ref. `poll` is the time between looks at a remote repository, in seconds, ±10 %.

    What `policies` guard counts only where it is signed for.
    """

    def __init__(
        self,
        mirror: Mirror,
        entries: Sequence[PathEntry],
        parse: Parse = specs.parse,
        poll: float = 15.0,
        policies: Sequence[SignaturePolicy] = (),
    ) -> None:
        self.current: Declarations | None = None
        """What the last refresh that succeeded found."""
        self._mirror = mirror
        self.globs = Globs(entries)
        self.policies = policies
        self.guards = [Guard(policy, mirror, self.globs) for policy in policies]
        self._parse = parse
        self._poll = poll
        self.tree: Tree = {}
        self._parsed: dict[tuple[str, str | None], ParsedFile] = {}
        self._reading = threading.Lock()
        self._moved = asyncio.Event()

    async def refresh(self) -> Declarations:
        """Fetches and reads what changed. Raises what `Mirror.fetch` does, and keeps `current` then."""
        return await asyncio.to_thread(self._refreshed)

    async def wakeups(self) -> AsyncIterator[None]:
        """Yields when it is time to refresh: on a move of a local ref, on a timer for a remote one."""
        if self._mirror.local is None:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll * random.uniform(0.9, 1.1)):
                        await self._moved.wait()
                self._moved.clear()
                yield
        async with aclosing(ref_changes(self._mirror.local, _LOCAL_LOOK_SECONDS)) as moves:
            async for _ in moves:
                yield

    async def follow(self, told: Callable[[], None]) -> None:
        """Keeps `current` as the ref is, while nobody else does. Raises what `refresh` raises."""
        await self.refresh()
        told()
        async for _ in self.wakeups():
            await self.refresh()
            told()

    def look(self) -> None:
        """Somebody says that the ref moved."""
        self._moved.set()

    async def messages_since(self, revision: str) -> Sequence[str]:
        """Messages of the commits that came after `revision`, newest first. May fetch older history."""
        if self.current is None:
            return []
        found = await asyncio.to_thread(self._mirror.commits, self.current.revision, revision)
        return [commit.message for commit in found]

    async def before(self, revision: str, limit: int) -> Sequence[str]:
        """Commits that the ref was at before, newest first. May fetch older history."""
        return await asyncio.to_thread(self._mirror.before, revision, limit)

    def _refreshed(self) -> Declarations:
        """In a thread that a cancelled caller leaves running: what is kept changes here, all at once."""
        with self._reading:
            tree, self.current = self._read(self.current)
            self.tree = tree
            return self.current

    def _read(self, before: Declarations | None) -> tuple[Tree, Declarations]:
        revision = self._mirror.fetch()
        if before and before.revision == revision and not any(guard.changed() for guard in self.guards):
            return self.tree, before
        base = before.revision if before and self._mirror.has(before.revision) else None
        changes = self._mirror.changes(base, revision, self.globs.prefixes())
        wanted = [(change, entry) for change in changes if (entry := self.globs.entry_for(change.path))]
        if before and base and not wanted and not self.guards:
            return self.tree, replace(before, revision=revision)
        tree = self.applied(wanted, dict(self.tree) if base else {}, self._mirror.read)
        self._forget_unused(tree)
        touched = {change.path for change, _ in wanted}.union(() if base else self.tree)
        files = refused(tree)
        for guard in self.guards:
            files = guard.judged(revision, files, partial(self.once, read=self._mirror.read))
        return tree, declared(revision, files, before, touched)

    def once(self, path: str, blob: str, read: Read) -> ParsedFile:
        """What a file said at another time."""
        entry = self.globs.entry_for(path)
        return self._file(path, blob, entry.namespace if entry else None, read)

    def applied(
        self, changes: Iterable[tuple[FileChange, PathEntry]], tree: dict[str, ParsedFile], read: Read
    ) -> Tree:
        """`tree` with these files instead; it is changed, and returned."""
        for change, entry in changes:
            if change.new_blob is None:
                tree.pop(change.path, None)
            elif change.kind != "file":
                tree[change.path] = _unread(change.path, change.new_blob, *_UNREAD[change.kind])
            else:
                tree[change.path] = self._file(change.path, change.new_blob, entry.namespace, read)
        return tree

    def _file(self, path: str, blob: str, namespace: str | None, read: Read) -> ParsedFile:
        known = self._parsed.get((blob, namespace))
        if known is None:
            known = self._parsed[blob, namespace] = self._fresh(path, blob, namespace, read)
        return known if known.path == path else _moved(known, path)

    def _fresh(self, path: str, blob: str, namespace: str | None, read: Read) -> ParsedFile:
        try:
            content = read(blob, MAX_BYTES)
        except TooLarge as error:
            return _unread(path, blob, str(error), "split it into smaller files")
        if content.startswith(_LFS):
            return _unread(path, blob, "a Git LFS pointer is not a spec", "commit the file itself")
        return self._parse(path, content, namespace)

    def _forget_unused(self, tree: Tree) -> None:
        """Now and then, so that the cost stays with the change."""
        if len(self._parsed) > 2 * len(tree) + 1000:
            used = {file.blob for file in tree.values()}
            self._parsed = {key: file for key, file in self._parsed.items() if key[0] in used}


def declared(revision: str, files: Tree, before: Declarations | None, touched: Iterable[str]) -> Declarations:
    known = before.files if before else {}
    commits = dict(before.commits) if before else {}
    for path in touched:
        if path not in files:
            commits.pop(path, None)
        elif path not in known or known[path].blob != files[path].blob:
            commits[path] = revision
    return Declarations(revision, files, commits, remembered(files, before))


def _unread(path: str, blob: str, rule: str, remedy: str) -> ParsedFile:
    return ParsedFile(path, blob, problems=(Problem(path, 0, "", "", rule, remedy),))


def _moved(file: ParsedFile, path: str) -> ParsedFile:
    return replace(file, path=path, problems=tuple(replace(found, path=path) for found in file.problems))
