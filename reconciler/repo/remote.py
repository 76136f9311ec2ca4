"""One repository elsewhere: fetch a ref from it, move a ref in it."""

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pygit2

from ..errors import InvalidSpec, NotPermitted, Unavailable
from ..model.settings import GitCredentials
from .auth import prepare
from .callbacks import Callbacks
from .errors import LeaseLost, PushRejected, distrusted, redacted, translated

_GRACE_SECONDS = 0.5
"""So that libgit2's own, more telling error comes first."""
SCHEMES = ("https", "http", "ssh", "git")
_SCP_LIKE = re.compile(r"[^/:\s]+:(?!//|:)")
_OVERTAKEN = re.compile(
    r"failed to update ref|cannot lock|fetch first|fast-?forward|stale info|incorrect old value"
    r"|lock.?(error|fail)|but expected",
    re.I,
)


class Remote:
    """`timeout` is the deadline of one fetch or push, and of each silence within it."""

    def __init__(self, url: str, credentials: GitCredentials, timeout: float) -> None:
        self.url = url
        self.credentials = credentials
        self.timeout = timeout
        self._under_way: tuple[threading.Thread, Callbacks] | None = None

    def fetch(
        self, repo: pygit2.Repository, refspecs: Sequence[str], depth: int, most_bytes: int = 0
    ) -> None:
        """A ref that does not exist there is no error: its target simply stays as it was.

        Raises TooLarge for a transfer of more than `most_bytes` (0: of any size is taken).
        """
        callbacks = Callbacks(self.credentials, self.timeout)
        callbacks.most_bytes = most_bytes
        remote = repo.remotes.create_anonymous(self.url)
        self._in_time(
            callbacks,
            lambda: remote.fetch(list(refspecs), callbacks=callbacks, proxy=self._proxy(), depth=depth),
        )

    def push(self, folder: str, sha: str, ref: str, expected: str | None) -> None:
        """Moves `ref` from `expected` (None: absent) to `sha`; raises LeaseLost or PushRejected.

        Objects are taken from the repository at `folder`.
        """
        callbacks = Callbacks(self.credentials, self.timeout, {ref: expected})
        with translated(self.url):
            remote = pygit2.Repository(folder).remotes.create_anonymous(self.url)
        self._in_time(
            callbacks, lambda: remote.push([f"+{sha}:{ref}"], callbacks=callbacks, proxy=self._proxy())
        )
        if ref in callbacks.rejected:
            raise self._rejection(ref, callbacks)

    def _in_time(self, callbacks: Callbacks, transfer: Callable[[], object]) -> None:
        """Runs it in a thread of its own: libgit2 cannot be interrupted by a server that drips bytes, and
        behind a proxy it hangs once it has refused a certificate.

        Such a thread is left behind, and nothing else is tried until it has ended.
        """
        if self._under_way is not None and self._under_way[0].is_alive():
            raise self._overdue(self._under_way[1], "an earlier transfer has still not ended")
        outcome: Future[None] = Future()

        def run() -> None:
            try:
                with translated(self.url, self.credentials.login):
                    prepare(self.credentials, self.timeout)
                    transfer()
                outcome.set_result(None)
            except Exception as error:
                outcome.set_exception(error)

        thread = threading.Thread(target=run, name="git-transfer", daemon=True)
        self._under_way = thread, callbacks
        thread.start()
        wait((outcome, callbacks.distrusted), self.timeout, FIRST_COMPLETED)
        try:
            outcome.result(_GRACE_SECONDS)
        except TimeoutError:
            raise self._overdue(callbacks, f"took longer than {self.timeout:g} s") from None

    def _overdue(self, callbacks: Callbacks, text: str) -> NotPermitted | Unavailable:
        url = redacted(self.url)
        return distrusted(url) if callbacks.distrusted.done() else Unavailable(f"{url}: {text}")

    def _rejection(self, ref: str, callbacks: Callbacks) -> LeaseLost | PushRejected:
        said = "".join(callbacks.said).strip()
        message = redacted(f"{ref}: {callbacks.rejected[ref]}" + (f" ({said})" if said else ""))
        if _OVERTAKEN.search(callbacks.rejected[ref]):
            return LeaseLost(message)
        return PushRejected(f"{message}; allow this account to create and to move that ref")

    def _proxy(self) -> str | bool | None:
        """That of the settings or else the environment's, for https only: libgit2 cannot speak plain http
        through one."""
        return (self.credentials.proxy or True) if self.url.startswith("https://") else None


def local_path(url: str) -> Path | None:
    """The folder a URL means, or None for a repository elsewhere; raises InvalidSpec for what is neither."""
    if any(ord(character) < 32 for character in url) or not url:
        raise InvalidSpec(f"{redacted(url)!r} is not a repository's address")
    if "://" not in url:
        return None if _SCP_LIKE.match(url) else Path(url).expanduser().absolute()
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme not in SCHEMES:
        raise InvalidSpec(
            f"{redacted(url)}: {parts.scheme} is not supported; use {', '.join(SCHEMES)} or a path"
        )
    return None


def full_ref(ref: str) -> str:
    """`main` is a branch; anything starting with `refs/`, and a commit, is taken as it is."""
    if is_commit(ref):
        return ref.lower()
    return ref if ref.startswith("refs/") else f"refs/heads/{ref}"


def is_commit(ref: str) -> bool:
    """Whether this is a commit's whole id, which never moves."""
    return re.fullmatch(r"[0-9a-fA-F]{40}", ref) is not None
