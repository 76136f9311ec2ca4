"""What pull requests would declare: read through a copy of the repository that is theirs alone.

Strangers choose what is fetched here. It is kept apart from the watched ref's own copy, whose history a
shallow fetch beside it could cut, and which they must not be able to fill.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import NotYet
from ..model.declared import Declarations, ParsedFile
from ..repo.mirror import Mirror
from .foreign import refused
from .git import GitSource, declared
from .signatures import REASON, Files, Guard, Proposed
from .yaml_loader import MAX_BYTES

MOST_FILES = 20_000
"""Specs that one pull request may change."""
MOST_BYTES = 64 << 20
"""Their size together; what a single file may have is taken of larger ones, as no more of them is read."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A pull request's result on top of the branch, or `why` there is none. No declarations: no specs."""

    why: str = ""
    declarations: Declarations | None = None
    touched: frozenset[str] = frozenset()
    """Paths of the specs that it changes."""


class Requests:
    """Pull requests for the ref of `source`; `mirror` is one of its own, of the same ref."""

    def __init__(self, source: GitSource, mirror: Mirror) -> None:
        self.source = source
        self._mirror = mirror
        self._begun = False
        self._guards = [Guard(policy, mirror, source.globs) for policy in source.policies]
        self._judging = threading.Lock()

    @property
    def current(self) -> Declarations | None:
        """What the watched ref declares; None before it was read."""
        return self.source.current

    async def bring(self, heads: Mapping[str, str]) -> None:
        """Fetches what is not here yet of these heads, by ref. Raises what a fetch raises."""
        await asyncio.to_thread(self._bring, heads)

    def _bring(self, heads: Mapping[str, str]) -> None:
        self._bring_base()
        if missing := [ref for ref, head in heads.items() if not self._mirror.has(head)]:
            self._mirror.bring(missing)
            self._bring_base()  # a copy that was worn out has been made anew

    def _bring_base(self) -> None:
        base = self.current.revision if self.current is not None else None
        if not self._begun or base is None or not self._mirror.has(base):
            self._mirror.fetch()
            self._begun = True

    async def reviewed(self, head: str, ref: str) -> Reviewed:
        """What would be declared if `head` were merged into what was read last. Raises as a fetch does."""
        if self.current is None:
            raise NotYet("the watched ref has not been read yet")
        return await asyncio.to_thread(self._reviewed, self.current, self.source.tree, head, ref)

    def _reviewed(self, base: Declarations, tree: Mapping[str, ParsedFile], head: str, ref: str) -> Reviewed:
        globs = self.source.globs
        merge = self._mirror.merged(base.revision, head, ref, globs.prefixes())
        entries = ((change, globs.entry_for(change.path)) for change in merge.changes)
        wanted = [(change, entry) for change, entry in entries if entry is not None]
        if merge.why or not wanted:
            return Reviewed(merge.why)
        blobs = [change.new_blob for change, _ in wanted if change.new_blob and change.kind == "file"]
        if why := self._excess(blobs):
            return Reviewed(why)
        files = refused(self.source.applied(wanted, dict(tree), self._mirror.read))
        files = self._judged(base, files, Proposed(head, ref, merge))
        touched = frozenset(change.path for change, _ in wanted)
        return Reviewed("", declared(head, files, base, touched), touched)

    def _judged(self, base: Declarations, files: Mapping[str, ParsedFile], proposed: Proposed) -> Files:
        """What would be refused after the merge for want of a signature; what is so already stays so."""
        if not any(guard.guards(change.path) for guard in self._guards for change in proposed.merge.changes):
            unsigned = (f for f in base.files.values() if f.problems and f.problems[0].reason == REASON)
            return {**files, **{file.path: file for file in unsigned}} if self._guards else files
        with self._judging:
            for guard, watched in zip(self._guards, self.source.guards, strict=True):
                guard.trusted = watched.trusted
                files = guard.judged(base.revision, files, self._once, proposed)
        return files

    def _once(self, path: str, blob: str) -> ParsedFile:
        return self.source.once(path, blob, self._mirror.read)

    def _excess(self, blobs: Sequence[str]) -> str:
        """Why so much is not read; a stranger chose it."""
        if len(blobs) > MOST_FILES:
            return f"it changes {len(blobs)} specs, more than the {MOST_FILES} that are looked at"
        size = sum(min(self._mirror.size(blob), MAX_BYTES) for blob in blobs)
        if size <= MOST_BYTES:
            return ""
        return f"its specs have {size >> 20} MiB, more than the {MOST_BYTES >> 20} that are looked at"
