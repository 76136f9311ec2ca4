"""Reading one ref of one repository: what changed, file contents, commits.

Every method blocks; call them with `asyncio.to_thread`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pygit2
from pygit2.enums import SortMode

from ..model.settings import GitCredentials
from .errors import MissingRef, TooLarge, redacted
from .history import Step, steps
from .merging import Merge, merge
from .remote import local_path
from .store import open_store
from .trees import FileChange, differences, subtree


@dataclass(frozen=True, slots=True)
class Commit:
    """`time` is when it was committed, in seconds since the epoch; anyone can write any time there."""

    sha: str
    author_name: str
    author_email: str
    time: float
    message: str


DEPTHS = (50, 1000)
"""How many commits of history are fetched, one after the other, in search of one that is not here."""


class Mirror:
    """A bare, disposable copy of one ref of one repository; or a view of a local repository."""

    def __init__(self, cache: Path, url: str, ref: str, credentials: GitCredentials, timeout: float) -> None:
        self.url = redacted(url)
        self.local = local_path(url)
        """The repository's folder where it is on this machine."""
        self._store = open_store(cache, url, ref, credentials, timeout)

    @property
    def rebuilds(self) -> int:
        """How often the copy was thrown away and made anew."""
        return self._store.rebuilds

    def fetch(self) -> str:
        """The commit the ref is at now; raises MissingRef, NotPermitted or Unavailable."""
        sha = self._store.fetch()
        if sha is None:
            raise MissingRef(f"{self.url} has no {self._store.ref}; push it, or correct `ref`")
        return sha

    def history(
        self, tips: Sequence[str], known: str | None, within: Sequence[str], ref: str = ""
    ) -> tuple[Step, ...] | None:
        """Commits reachable from `tips` but not from `known`, as `history.steps`; older ones are fetched,
        of `ref` as well where one of the tips is its.

        None where they cannot be had, or are more than `MAX_COMMITS`. Raises what a fetch raises.
        """
        for depth in (None, *DEPTHS):
            if depth is not None:
                self._store.deepen(depth)
                if ref:
                    self._store.also([ref], depth)
            with self._store.objects() as repo:
                found = steps(repo, tips, known, within)
            if found is not None:
                return found
        return None

    def has(self, commit: str) -> bool:
        """Whether a commit's objects are here, so that something can be compared with it."""
        with self._store.objects() as repo:
            return commit in repo

    def changes(self, old: str | None, new: str, within: Sequence[str] = ()) -> list[FileChange]:
        """Files that differ between two commits, by path, under the folders `within` (none: all).

        Trees are compared, so history does not matter; an `old` that is not here counts as empty.
        """
        with self._store.objects() as repo:
            before, after = _tree(repo.get(old) if old else None), _tree(repo[new])
            return sorted(
                (
                    change
                    for folder in _outermost(within)
                    for change in differences(repo, subtree(before, folder), subtree(after, folder), folder)
                ),
                key=lambda change: change.path,
            )

    def bring(self, refs: Sequence[str]) -> None:
        """Fetches other refs, such as heads of pull requests, with a little of their history."""
        self._store.also(refs, DEPTHS[0])

    def merged(self, base: str, head: str, ref: str, within: Sequence[str] = ()) -> Merge:
        """What merging `head` (of `ref`) would change in `base`. Older history is fetched where it is needed.

        Raises what a fetch raises.
        """
        for depth in (0, *DEPTHS):
            if depth:
                self._store.deepen(depth)
                self._store.also([ref], depth)
            with self._store.objects() as repo:
                if head not in repo:
                    return Merge(why=f"its commit {head[:7]} could not be fetched from {ref}")
                ancestor = repo.merge_base(base, head)
                if ancestor is not None:
                    return merge(repo, str(ancestor), base, head, list(_outermost(within)))
        return Merge(why=f"it has no history in common with {base[:7]} in the last {DEPTHS[-1]} commits")

    def before(self, commit: str, limit: int) -> list[str]:
        """Up to `limit` commits that the ref was at before, newest first: first parents, for a branch goes
        from merge to merge. Raises what a fetch raises, where older history has to be fetched."""
        found: list[str] = []
        for depth in (0, DEPTHS[0]):
            if depth:
                self._store.deepen(depth)
            with self._store.objects() as repo:
                found = list(islice(_first_parents(repo, commit), limit))
                if len(found) == limit or not repo.is_shallow:
                    break
        return found

    def read(self, blob: str, limit: int) -> bytes:
        """A file's content; raises TooLarge above `limit` bytes, before any of it is loaded."""
        with self._store.objects() as repo:
            _, size = repo.odb.read_header(blob)
            if size > limit:
                raise TooLarge(f"the file has {size} bytes; {limit} are allowed")
            content: bytes = repo[blob].data
            return content

    def size(self, blob: str) -> int:
        """Bytes of a file's content."""
        with self._store.objects() as repo:
            return int(repo.odb.read_header(blob)[1])

    def commits(self, new: str, hide: str | None, limit: int = 1000) -> list[Commit]:
        """Commits reachable from `new` but not from `hide`, newest first; without `hide`, those at hand.

        For a `hide` that is not here, older history is fetched. Where it is nowhere, as after a force
        push, only `new` is known to be newer. Raises what a fetch raises.
        """
        for depth in DEPTHS:
            if hide is None or self.has(hide):
                break
            self._store.deepen(depth)
        with self._store.objects() as repo:
            walker = repo.walk(new, SortMode.TOPOLOGICAL | SortMode.TIME)
            if hide is not None and hide in repo:
                walker.hide(hide)
            elif hide is not None:
                limit = 1
            return [_commit(found) for found in islice(walker, limit)]


def _tree(found: pygit2.Object | None) -> pygit2.Tree | None:
    return found.peel(pygit2.Tree) if found is not None else None


def _first_parents(repo: pygit2.Repository, commit: str) -> Iterator[str]:
    """As far as history is at hand."""
    found = repo.get(commit)
    while found is not None and found.parent_ids:
        found = repo.get(found.parent_ids[0])
        if found is not None:
            yield str(found.id)


def _commit(found: pygit2.Commit) -> Commit:
    message = found.raw_message.decode(errors="replace")
    return Commit(str(found.id), found.author.name, found.author.email, float(found.commit_time), message)


def _outermost(folders: Sequence[str]) -> Iterator[str]:
    """Folders that lie in none of the others; the root where there are none."""
    wanted = {folder.strip("/") for folder in folders} or {""}
    for folder in wanted:
        parents = {"", *(folder[:end] for end, letter in enumerate(folder) if letter == "/")} - {folder}
        if not parents & wanted:
            yield folder
