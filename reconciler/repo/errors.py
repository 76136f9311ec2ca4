"""What goes wrong with Git, in the reconciler's terms and without secrets.

libgit2 has few error types, so network failures are told apart by their class and their text.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pygit2

from ..errors import Conflict, InvalidSpec, NotPermitted, ReconcilerError, Unavailable


class MissingRef(InvalidSpec):
    """The repository answers, but has no such ref."""

    reason = "MissingRef"


class TooLarge(InvalidSpec):
    reason = "TooLarge"


class Damaged(Unavailable):
    """Objects that should be here are not, or cannot be read; a cache is made anew at the next fetch."""

    reason = "DamagedRepository"


class LeaseLost(Conflict):
    """Somebody moved the ref first. `actual` is where it is now, or None where that is not known."""

    reason = "LeaseLost"

    def __init__(self, message: str, actual: str | None = None) -> None:
        super().__init__(message)
        self.actual = actual


class PushRejected(NotPermitted):
    """A hook or a protection rule of the server refused the push."""

    reason = "WriteBackBlocked"


# git2/errors.h: ZLIB, REPOSITORY, CONFIG, ODB, INDEX, OBJECT, TREE; all about what lies on disk
_ON_DISK = frozenset({5, 6, 7, 9, 10, 11, 14})
_REFUSED = re.compile(r"authenticat|credential|status code: 40[13]|permission denied|access denied", re.I)
_TOLD_BY_TEXT: tuple[tuple[re.Pattern[str], type[ReconcilerError], str], ...] = (
    (
        re.compile("not owned by current user"),
        NotPermitted,
        "run as the owner of that folder, or give it to this user",
    ),
    (re.compile("proxy", re.I), Unavailable, "check `proxy`, or https_proxy in the environment"),
    (re.compile("cannot redirect"), InvalidSpec, "the repository has moved: use its new address"),
    (
        re.compile(r"status code: 404|repository.* not found|does not appear to be a git repo", re.I),
        InvalidSpec,
        "there is no repository there, or this account may not see it",
    ),
    (
        re.compile("cannot fetch a specific object"),
        InvalidSpec,
        "this server gives no commit by its id: set uploadpack.allowReachableSHA1InWant there, "
        "or name a branch or a tag",
    ),
    (
        re.compile("not our ref|unexpected packet type"),  # libgit2 cannot read that the server says so
        MissingRef,
        "no branch or tag there has that commit",
    ),
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def redacted(text: str) -> str:
    """`text` with the user part of every URL masked; that is where tokens hide."""
    return _USERINFO.sub("***", text)


@contextmanager
def translated(url: str, login: str | None = None) -> Iterator[None]:
    """Turns pygit2's errors into ours; the original is dropped, for its text may hold a token.

    `login` is the setting that logs in.
    """
    try:
        yield
    except ReconcilerError:
        raise
    except (pygit2.GitError, OSError, KeyError, ValueError) as error:
        raise _classified(error, redacted(url), login) from None


def distrusted(url: str, said: str = "refused") -> NotPermitted:
    remedy = "the server's key or certificate is not known: set knownHostsFile or caFile"
    return NotPermitted(f"{url}: {said}; {remedy}")


def _classified(error: Exception, url: str, login: str | None) -> ReconcilerError:
    text = redacted(str(error))
    if isinstance(error, pygit2.errors.CertificateError):
        return distrusted(url, text)
    if isinstance(error, pygit2.errors.AuthError) or _REFUSED.search(text):
        wanted = f"check {login} and what that account may do" if login else "set tokenFile or sshKeyFile"
        return NotPermitted(f"{url}: {text}; {wanted}")
    for pattern, kind, remedy in _TOLD_BY_TEXT:
        if pattern.search(text):
            return kind(f"{url}: {text}; {remedy}")
    if isinstance(error, KeyError) or getattr(error, "error_class", None) in _ON_DISK:
        return Damaged(f"{url}: {text}")
    return Unavailable(f"{url}: {text}")
