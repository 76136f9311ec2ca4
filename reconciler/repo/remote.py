"""One repository elsewhere: fetch a ref from it, move a ref in it."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pygit2

from ..errors import InvalidSpec
from ..model.settings import GitCredentials
from .auth import prepare
from .callbacks import Callbacks
from .errors import LeaseLost, PushRejected, redacted, translated

SCHEMES = ("https", "http", "ssh", "git")
_SCP_LIKE = re.compile(r"[^/:\s]+:(?!//|:)")
_OVERTAKEN = re.compile(
    r"failed to update ref|cannot lock|fetch first|fast-?forward|stale info|incorrect old value"
    r"|lock.?(error|fail)|but expected",
    re.I,
)


@dataclass(frozen=True)
class Remote:
    """`timeout` is the deadline of one fetch or push, and of each silence within it."""

    url: str
    credentials: GitCredentials
    timeout: float

    def fetch(self, repo: pygit2.Repository, refspec: str, depth: int) -> None:
        """A ref that does not exist there is no error: its target simply stays as it was."""
        with translated(self.url):
            prepare(self.credentials, self.timeout)
            remote = repo.remotes.create_anonymous(self.url)
            callbacks = Callbacks(self.credentials, self.timeout)
            remote.fetch([refspec], callbacks=callbacks, proxy=self._proxy(), depth=depth)

    def push(self, repo: pygit2.Repository, sha: str, ref: str, expected: str | None) -> None:
        """Moves `ref` from `expected` (None: absent) to `sha`; raises LeaseLost or PushRejected."""
        callbacks = Callbacks(self.credentials, self.timeout, {ref: expected})
        with translated(self.url):
            prepare(self.credentials, self.timeout)
            remote = repo.remotes.create_anonymous(self.url)
            remote.push([f"+{sha}:{ref}"], callbacks=callbacks, proxy=self._proxy())
        if ref in callbacks.rejected:
            raise self._rejection(ref, callbacks)

    def _rejection(self, ref: str, callbacks: Callbacks) -> LeaseLost | PushRejected:
        said = "".join(callbacks.said).strip()
        message = redacted(f"{ref}: {callbacks.rejected[ref]}" + (f" ({said})" if said else ""))
        if _OVERTAKEN.search(callbacks.rejected[ref]):
            return LeaseLost(message)
        return PushRejected(message)

    def _proxy(self) -> bool | None:
        """The environment's proxy, for https only: libgit2 cannot speak plain http through one."""
        return True if self.url.startswith("https://") else None


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
    """`main` is a branch; anything starting with `refs/` is taken as it is."""
    return ref if ref.startswith("refs/") else f"refs/heads/{ref}"
