"""What libgit2 asks us during a transfer, answered safely.

Its own answers are not safe: it accepts any SSH host key, tries a wrong password fifteen times,
waits for ever, and reports a rejected push as a success.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import pygit2
from pygit2.enums import CredentialType

from ..errors import Unavailable
from ..model.settings import GitCredentials
from .auth import headers, login, refused
from .errors import LeaseLost, TooLarge, redacted

NOWHERE = "0" * 40


class Callbacks(pygit2.RemoteCallbacks):  # type: ignore[misc]  # pygit2 is not followed
    """One network operation. After a push, `rejected` has the server's refusal by ref: look at it."""

    def __init__(
        self, credentials: GitCredentials, timeout: float, lease: Mapping[str, str | None] | None = None
    ) -> None:
        super().__init__()
        self.rejected: dict[str, str] = {}
        self.said: list[str] = []
        self.most_bytes = 0
        """That are received; 0: as many as it takes."""
        self.distrusted: Future[None] = Future()
        """Done once the server's key or certificate was refused."""
        self._credentials = credentials
        self._headers = headers(credentials)
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._lease = lease or {}
        self._asked: set[CredentialType] = set()

    def credentials(self, url: str, username_from_url: str | None, allowed_types: CredentialType) -> Any:
        """An SSH URL without a user is rightly asked twice, but for different things."""
        spurned = self._headers and allowed_types & CredentialType.USERPASS_PLAINTEXT
        if allowed_types in self._asked or spurned:
            raise refused(self._credentials, redacted(url))
        self._asked.add(allowed_types)
        return login(self._credentials, username_from_url, allowed_types)

    def custom_headers(self) -> list[str]:
        return self._headers

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:
        """libgit2's verdict on the host key or certificate is final."""
        if not valid and not self.distrusted.done():
            self.distrusted.set_result(None)
        return valid

    def transfer_progress(self, stats: pygit2.remotes.TransferProgress) -> None:
        if self.most_bytes and stats.received_bytes > self.most_bytes:
            raise TooLarge(f"more than {self.most_bytes >> 20} MiB would have to be fetched")
        self._tick()

    def push_transfer_progress(self, objects_pushed: int, total_objects: int, bytes_pushed: int) -> None:
        self._tick()

    def sideband_progress(self, string: str) -> None:
        self.said.append(string)
        self._tick()

    def push_negotiation(self, updates: list[pygit2.remotes.PushUpdate]) -> None:
        for update in updates:
            actual = str(update.src)
            if update.dst_refname in self._lease and actual != (self._lease[update.dst_refname] or NOWHERE):
                raise LeaseLost(
                    f"{update.dst_refname} was moved to {actual[:12]} by someone else",
                    None if actual == NOWHERE else actual,
                )

    def push_update_reference(self, refname: str, message: str | None) -> None:
        if message:
            self.rejected[refname] = message

    def _tick(self) -> None:
        if time.monotonic() > self._deadline:
            raise Unavailable(f"the transfer took longer than {self._timeout:g} s")
