"""Where the objects of one ref are kept: a disposable bare copy, or the local repository itself.

A copy is bound to its address and ref, and is deleted and fetched anew when it is damaged, belongs
to another address, or has grown (libgit2 cannot collect garbage).
"""

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pygit2
from pygit2.enums import RepositoryOpenFlag

from ..model.settings import GitCredentials
from .auth import isolate
from .errors import Damaged, redacted, translated
from .remote import Remote, full_ref, is_commit, local_path

STARTED = time.time()
MAX_PACKS = 200
MAX_LOOSE = 20_000
MAX_BROUGHT = 256 << 20
"""Bytes of one transfer of other refs, whose contents strangers choose."""
_TIP = "refs/reconciler/tip"
_HELD = "refs/reconciler/held"
_PAST = "refs/reconciler/past"
_OTHERS = "refs/reconciler/others/"
_SOURCE = "reconciler.source"


class Store(Protocol):
    """Blocking; safe to use from several threads."""

    ref: str
    rebuilds: int

    def fetch(self) -> str | None:
        """The commit the ref is at now, with its objects at hand; None where there is no such ref."""
        ...

    def deepen(self, depth: int) -> None:
        """Makes at least this many commits of the ref's history be at hand, where the server has them."""
        ...

    def also(self, refs: Sequence[str], depth: int) -> None:
        """Makes these refs' commits be at hand, with so much history; one that is gone is left out."""
        ...

    def objects(self) -> AbstractContextManager[pygit2.Repository]:
        """The repository, for this thread alone while the context lasts."""
        ...


def open_store(cache: Path, url: str, ref: str, credentials: GitCredentials, timeout: float) -> Store:
    """`cache` is not used for a repository on this machine."""
    path = local_path(url)
    return LocalStore(path, ref) if path else CachedStore(cache, Remote(url, credentials, timeout), ref)


class LocalStore:
    """A repository on this machine, read where it is."""

    rebuilds = 0

    def __init__(self, path: Path, ref: str) -> None:
        self.path = path
        self.ref = full_ref(ref)
        self._repo: pygit2.Repository | None = None
        self._lock = threading.Lock()

    def fetch(self) -> str | None:
        with self._lock:
            self._repo = None  # opened anew, to see what others have done to it
        with self.objects() as repo:
            return tip_of(repo, self.ref)

    def deepen(self, depth: int) -> None:
        """All there is is here."""

    def also(self, refs: Sequence[str], depth: int) -> None:
        """They are here, too."""

    @contextmanager
    def objects(self) -> Iterator[pygit2.Repository]:
        isolate()
        with self._lock, translated(str(self.path)):
            if self._repo is None:
                self._repo = _opened(self.path)
            yield self._repo


class CachedStore:
    """A shallow bare copy of one ref in `folder`."""

    def __init__(self, folder: Path, remote: Remote, ref: str) -> None:
        self.folder = folder
        self.ref = full_ref(ref)
        self.rebuilds = 0
        """How often the copy was thrown away and made anew."""
        self._remote = remote
        self._source = hashlib.sha256(f"{remote.url}\n{self.ref}".encode()).hexdigest()
        self._suspect = False
        self._depth = 1
        self._repo: pygit2.Repository | None = None
        self._reading = threading.RLock()
        self._fetching = threading.Lock()

    def fetch(self) -> str | None:
        isolate()
        with self._fetching:
            try:
                return self._fetched()
            except Damaged:
                self._discard()
                return self._fetched()

    def deepen(self, depth: int) -> None:
        isolate()
        with self._fetching:
            with self._at_home():
                repo = self._ready()
                known = self._depth >= depth or not repo.is_shallow
            if not known:
                self._remote.fetch(repo, [f"+{self.ref}:{_PAST}"], depth)
                with self._reading:
                    self._repo, self._depth = None, depth  # opened anew, to see beyond the old end

    def also(self, refs: Sequence[str], depth: int) -> None:
        isolate()
        with self._fetching:
            with self._at_home():
                repo = self._ready()
            self._remote.fetch(repo, [f"+{ref}:{_OTHERS}{ref}" for ref in refs], depth, MAX_BROUGHT)
            with self._reading:
                self._repo = None  # opened anew, to see what came

    @contextmanager
    def objects(self) -> Iterator[pygit2.Repository]:
        with self._reading, self._at_home():
            if self._repo is None:
                self._repo = _opened(self.folder)
            yield self._repo

    @contextmanager
    def _at_home(self) -> Iterator[None]:
        """Whatever libgit2 cannot do within our own copy is the copy's fault."""
        try:
            yield
        except (pygit2.GitError, KeyError, ValueError) as error:
            self._suspect = True
            raise Damaged(f"the copy of {redacted(self._remote.url)}: {error}") from None

    def _fetched(self) -> str | None:
        with self._at_home():
            repo = self._ready()
            if is_commit(self.ref) and tip_of(repo, _TIP) == self.ref:
                return self.ref
            _set_aside(repo)
        self._remote.fetch(repo, [f"+{self.ref}:{_TIP}"], depth=0 if _HELD in repo.references else 1)
        with self._at_home(), self._reading:
            self._repo = repo
            return tip_of(repo, _TIP)

    def _ready(self) -> pygit2.Repository:
        """The copy, fit for use: what is unfit goes first."""
        if self.folder.exists() and self._is_unfit():
            self._discard()
        if not self.folder.exists():
            repo = pygit2.init_repository(str(self.folder), bare=True)
            repo.config[_SOURCE] = self._source
            repo.config["http.followRedirects"] = "false"  # none to another host, with our token
            return repo
        for lock in _stale_locks(self.folder):
            lock.unlink(missing_ok=True)
        return _opened(self.folder)

    def _is_unfit(self) -> bool:
        if self._suspect:
            return True
        try:
            bound = _opened(self.folder).config[_SOURCE] == self._source
        except (pygit2.GitError, KeyError, ValueError):
            return True
        return not bound or _is_worn(self.folder)

    def _discard(self) -> None:
        with self._reading:
            self._repo = None
            shutil.rmtree(self.folder, ignore_errors=True)
        self._suspect = False
        self._depth = 1
        self.rebuilds += 1


def tip_of(repo: pygit2.Repository, ref: str) -> str | None:
    """The commit a ref leads to, or that has this id; raises where its objects are not at hand."""
    found = repo.get(ref) if is_commit(ref) else repo.references.get(ref)
    if found is None:
        return None
    commit = found.peel(pygit2.Commit)
    _ = commit.tree
    return str(commit.id)


def _set_aside(repo: pygit2.Repository) -> None:
    """Renames the tip, so that a ref that vanished is seen, yet what we have need not be sent again."""
    tip = repo.references.get(_TIP)
    if tip is not None:
        repo.references.create(_HELD, tip.target, force=True)
        tip.delete()


def _opened(path: Path) -> pygit2.Repository:
    return pygit2.Repository(str(path), RepositoryOpenFlag.NO_SEARCH)


def _stale_locks(folder: Path) -> list[Path]:
    """Left by a process that was killed; ours are younger than this process."""
    locks = [*folder.glob("*.lock"), *(folder / "refs").rglob("*.lock")]
    return [lock for lock in locks if lock.stat().st_mtime < STARTED]


def _is_worn(folder: Path) -> bool:
    packs = sum(1 for _ in (folder / "objects" / "pack").glob("*.pack"))
    sampled = folder / "objects" / "17"  # one in 256, as `git gc --auto` estimates
    loose = sum(1 for _ in sampled.iterdir()) if sampled.is_dir() else 0
    return packs > MAX_PACKS or loose * 256 > MAX_LOOSE
