"""Specs from a Git ref: the cost follows the change.

Trees are compared, and only blobs that are new under the configured globs are read and parsed. What a
blob parses to is kept, so that a rename or a revert reads nothing.
"""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from ..errors import NotYet
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
Parse = Callable[[str, bytes, str | None], ParsedFile]
"""From path, content and the namespace of manifests that name none; never raises."""

REVIEWED_FILES = 20_000
"""Specs that one pull request may change."""
REVIEWED_BYTES = 64 << 20
"""Their size together; what a single file may have is taken of larger ones, as no more of them is read."""
_LOCAL_LOOK_SECONDS = 30.0
_LFS = b"version https://git-lfs.github.com/spec/"
_UNREAD = {
    "symlink": ("a symbolic link is never followed", "commit the file itself in its place"),
    "submodule": ("a submodule is never fetched", "commit its files here, or watch its repository"),
}


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A pull request's result on top of `base`, or `why` there is none. No declarations: no specs."""

    base: str
    why: str = ""
    declarations: Declarations | None = None
    touched: frozenset[str] = frozenset()
    """Paths of the specs that it changes."""


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
        self._globs = Globs(entries)
        self._guards = [Guard(policy, mirror, self._globs) for policy in policies]
        self._parse = parse
        self._poll = poll
        self._tree: Tree = {}
        self._parsed: dict[tuple[str, str | None], ParsedFile] = {}
        self._reading = threading.Lock()

    async def refresh(self) -> Declarations:
        """Fetches and reads what changed. Raises what `Mirror.fetch` does, and keeps `current` then."""
        return await asyncio.to_thread(self._refreshed)

    async def wakeups(self) -> AsyncIterator[None]:
        """Yields when it is time to refresh: on a move of a local ref, on a timer for a remote one."""
        if self._mirror.local is None:
            while True:
                await asyncio.sleep(self._poll * random.uniform(0.9, 1.1))
                yield
        async with aclosing(ref_changes(self._mirror.local, _LOCAL_LOOK_SECONDS)) as moves:
            async for _ in moves:
                yield

    async def messages_since(self, revision: str) -> Sequence[str]:
        """Messages of the commits that came after `revision`, newest first. May fetch older history."""
        if self.current is None:
            return []
        found = await asyncio.to_thread(self._mirror.commits, self.current.revision, revision)
        return [commit.message for commit in found]

    # --- pull requests

    async def bring(self, heads: Mapping[str, str]) -> None:
        """Fetches what is not here yet of these heads, by ref. Raises what a fetch raises."""
        await asyncio.to_thread(self._bring, heads)

    def _bring(self, heads: Mapping[str, str]) -> None:
        if missing := [ref for ref, head in heads.items() if not self._mirror.has(head)]:
            self._mirror.bring(missing)

    async def reviewed(self, head: str, ref: str) -> Reviewed:
        """What would be declared if `head` were merged into what was read last. Raises as a fetch does."""
        if self.current is None:
            raise NotYet("the watched ref has not been read yet")
        return await asyncio.to_thread(self._reviewed, self.current, self._tree, head, ref)

    def _reviewed(self, base: Declarations, tree: Tree, head: str, ref: str) -> Reviewed:
        merge = self._mirror.merged(base.revision, head, ref, self._globs.prefixes())
        entries = ((change, self._globs.entry_for(change.path)) for change in merge.changes)
        wanted = [(change, entry) for change, entry in entries if entry is not None]
        if merge.why or not wanted:
            return Reviewed(base.revision, merge.why)
        blobs = [change.new_blob for change, _ in wanted if change.new_blob and change.kind == "file"]
        if why := self._excess(blobs):
            return Reviewed(base.revision, why)
        files = self._with(wanted, dict(tree))
        touched = frozenset(change.path for change, _ in wanted)
        return Reviewed(base.revision, "", _declared(head, refused(files), base, touched), touched)

    def _excess(self, blobs: Sequence[str]) -> str:
        """Why so much is not read; a stranger chose it."""
        if len(blobs) > REVIEWED_FILES:
            return f"it changes {len(blobs)} specs, more than the {REVIEWED_FILES} that are looked at"
        size = sum(min(self._mirror.size(blob), MAX_BYTES) for blob in blobs)
        if size <= REVIEWED_BYTES:
            return ""
        return f"its specs have {size >> 20} MiB, more than the {REVIEWED_BYTES >> 20} that are looked at"

    def _refreshed(self) -> Declarations:
        """In a thread that a cancelled caller leaves running: what is kept changes here, all at once."""
        with self._reading:
            tree, self.current = self._read(self.current)
            self._tree = tree
            return self.current

    def _read(self, before: Declarations | None) -> tuple[Tree, Declarations]:
        revision = self._mirror.fetch()
        if before and before.revision == revision and not any(guard.changed() for guard in self._guards):
            return self._tree, before
        base = before.revision if before and self._mirror.has(before.revision) else None
        changes = self._mirror.changes(base, revision, self._globs.prefixes())
        wanted = [(change, entry) for change in changes if (entry := self._globs.entry_for(change.path))]
        if before and base and not wanted and not self._guards:
            return self._tree, replace(before, revision=revision)
        tree = self._with(wanted, dict(self._tree) if base else {})
        self._forget_unused(tree)
        touched = {change.path for change, _ in wanted}.union(() if base else self._tree)
        files = refused(tree)
        for guard in self._guards:
            files = guard.judged(revision, files, self._once)
        return tree, _declared(revision, files, before, touched)

    def _once(self, path: str, blob: str) -> ParsedFile:
        """What a file said at another time."""
        entry = self._globs.entry_for(path)
        return self._file(path, blob, entry.namespace if entry else None)

    def _with(self, changes: list[tuple[FileChange, PathEntry]], tree: dict[str, ParsedFile]) -> Tree:
        for change, entry in changes:
            if change.new_blob is None:
                tree.pop(change.path, None)
            elif change.kind != "file":
                tree[change.path] = _unread(change.path, change.new_blob, *_UNREAD[change.kind])
            else:
                tree[change.path] = self._file(change.path, change.new_blob, entry.namespace)
        return tree

    def _file(self, path: str, blob: str, namespace: str | None) -> ParsedFile:
        known = self._parsed.get((blob, namespace))
        if known is None:
            known = self._parsed[blob, namespace] = self._fresh(path, blob, namespace)
        return known if known.path == path else _moved(known, path)

    def _fresh(self, path: str, blob: str, namespace: str | None) -> ParsedFile:
        try:
            content = self._mirror.read(blob, MAX_BYTES)
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


def _declared(
    revision: str, files: Tree, before: Declarations | None, touched: Iterable[str]
) -> Declarations:
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
