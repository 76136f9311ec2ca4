"""Writing one ref of one repository without a work tree, as a compare-and-swap.

Every method blocks; call them with `asyncio.to_thread`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pygit2
from pygit2.enums import SortMode

from ..model.settings import GitCredentials
from .errors import LeaseLost, PushRejected
from .remote import Remote, full_ref, local_path
from .signatures import signed
from .store import open_store, tip_of
from .trees import files, subtree, written


@dataclass(frozen=True, slots=True)
class Author:
    """Who commits; with a key (OpenSSH's), commits are signed with it."""

    name: str
    email: str
    signing_key: Path | None = None


class Branch:
    """One ref that we write, in one repository."""

    def __init__(self, cache: Path, url: str, ref: str, credentials: GitCredentials, timeout: float) -> None:
        self.ref = full_ref(ref)
        self._local = local_path(url)
        self._remote = Remote(url, credentials, timeout)
        self._store = open_store(cache, url, ref, credentials, timeout)

    @property
    def rebuilds(self) -> int:
        """How often the copy was thrown away and made anew."""
        return self._store.rebuilds

    def fetch(self) -> str | None:
        """The ref's commit now, its tree at hand; None where it does not exist yet."""
        return self._store.fetch()

    def read(self, tip: str, path: str) -> bytes | None:
        folder, _, name = path.rpartition("/")
        with self._store.objects() as repo:
            tree = subtree(repo[tip].tree, folder)
            found = tree[name] if tree is not None and name in tree else None
            return found.data if isinstance(found, pygit2.Blob) else None

    def list(self, tip: str, prefix: str = "") -> dict[str, str]:
        """Blob by path, of the files under the folder `prefix`."""
        with self._store.objects() as repo:
            return files(repo, repo[tip].tree, prefix.strip("/"))

    def contents(self, tip: str, prefix: str) -> dict[str, bytes]:
        """Content by path, of the files under the folder `prefix`."""
        with self._store.objects() as repo:
            found = files(repo, repo[tip].tree, prefix.strip("/"))
            return {path: repo[blob].data for path, blob in found.items()}

    def history(self, path: str, limit: int) -> Sequence[tuple[float, bytes | None]]:
        """(time, content) of each of the last `limit` commits in which the file changed, newest first.

        None where the file is gone. The oldest that is told may not be the file's first.
        """
        self._store.deepen(limit)
        tip = self._store.fetch()
        if tip is None:
            return []
        with self._store.objects() as repo:
            found = _versions(islice(repo.walk(tip, SortMode.TOPOLOGICAL), limit), path)
            return [(when, repo[blob].data if blob is not None else None) for when, blob in found]

    def commit(  # noqa: PLR0913  # a commit has that many parts
        self,
        parent: str | None,
        base_tip: str | None,
        changes: Mapping[str, bytes | None],
        message: str,
        author: Author,
        when: float,
    ) -> str:
        """A commit of the tree of `base_tip` with files put or (None) removed; a root without `parent`.

        Where that is the tree of `parent`, it is `parent`. Nothing is pushed.
        """
        with self._store.objects() as repo:
            base = repo[base_tip].tree if base_tip else None
            tree = written(repo, base, changes) or repo.TreeBuilder().write()
            if parent is not None and repo[parent].tree.id == tree:
                return parent
            who = pygit2.Signature(author.name, author.email, int(when), 0)
            parents = [parent] if parent is not None else []
            if author.signing_key is None:
                return str(repo.create_commit(None, who, who, message, tree, parents))
            content = repo.create_commit_string(who, who, message, tree, parents)
            signature = signed(content.encode(), author.signing_key)
            return str(repo.create_commit_with_signature(content, signature, "gpgsig"))

    def push(self, sha: str, expected: str | None) -> None:
        """Moves the ref from `expected` (None: it does not exist) to `sha`.

        Raises LeaseLost where someone else was first: fetch, commit on their tip and push again. Raises
        PushRejected where the server will not have it, NotPermitted or Unavailable.
        """
        with self._store.objects() as repo:
            if self._local is None:
                self._remote.push(repo.path, sha, self.ref, expected)
            else:
                _move(repo, self.ref, sha, expected)


def _versions(commits: Iterable[pygit2.Commit], path: str) -> list[tuple[float, pygit2.Oid | None]]:
    """(time, blob) where it differs from the commit before; nothing from before it was first there."""
    found: list[tuple[float, pygit2.Oid | None]] = []
    for commit in commits:
        blob = _blob(commit.tree, path)
        if found and found[-1][1] == blob:
            found.pop()
        found.append((float(commit.commit_time), blob))
    return found if not found or found[-1][1] is not None else found[:-1]


def _blob(tree: pygit2.Tree, path: str) -> pygit2.Oid | None:
    folder, _, name = path.rpartition("/")
    found = subtree(tree, folder)
    return found[name].id if found is not None and name in found else None


def _move(repo: pygit2.Repository, ref: str, sha: str, expected: str | None) -> None:
    """libgit2's own push to a folder compares nothing, so the ref is locked, looked at and moved here."""
    if not repo.is_bare and repo.references["HEAD"].target == ref:
        raise PushRejected(f"{ref} is checked out in {repo.workdir}; moving it would garble that work tree")
    with repo.transaction() as transaction:
        try:
            transaction.lock_ref(ref)
        except (pygit2.GitError, OSError):
            raise LeaseLost(f"{ref} is locked by another writer") from None
        actual = tip_of(repo, ref)
        if actual != expected:
            raise LeaseLost(f"{ref} was moved to {(actual or 'nothing')[:12]} by someone else", actual)
        transaction.set_target(ref, sha, message="reconciler: status")
