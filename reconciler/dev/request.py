"""The demo's pull request: opened on a stand-in of GitHub, answered by the daemon, then merged."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from .forge.github import GitHubServer
from .show import Show

REPOSITORY = "demo/specs"
NUMBER, BRANCH = 1, "half-strength"
Git = Callable[..., Awaitable[str]]


class Forge:
    """A GitHub of one repository on a loopback port, with one pull request."""

    def __init__(self, folder: Path, show: Show, git: Git) -> None:
        self._token_file = folder / "forge-token"
        self._token_file.write_text(secrets.token_hex(20))
        self._token_file.chmod(0o600)
        self._server = GitHubServer(REPOSITORY, {self._token_file.read_text(): "reconciler"})
        self._show, self._git = show, git

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    @property
    def settings(self) -> dict[str, Any]:
        """The daemon's."""
        return {
            "driver": "github",
            "url": self._server.url,
            "repository": REPOSITORY,
            "tokenFile": str(self._token_file),
        }

    async def propose(self, clone: Path, title: str) -> None:
        """What was changed in the clone, as a branch of its own with a pull request."""
        await self._git(clone, "checkout", "-q", "-b", BRANCH)
        await self._git(clone, "add", "-A")
        await self._git(clone, "commit", "-q", "-m", title)
        targets = (f"HEAD:refs/heads/{BRANCH}", f"HEAD:refs/pull/{NUMBER}/head")
        await self._git(clone, "push", "-q", "origin", *targets)
        head = (await self._git(clone, "rev-parse", "HEAD")).strip()
        self._server.open(NUMBER, head, author="ada", branch=BRANCH, title=title)

    async def merge(self, clone: Path) -> str:
        """As the button does; returns the merge commit."""
        await self._git(clone, "checkout", "-q", "main")
        await self._git(clone, "merge", "-q", "--no-ff", "-m", f"Merge pull request {NUMBER}", BRANCH)
        await self._git(clone, "push", "-q", "origin", "main")
        sha = (await self._git(clone, "rev-parse", "HEAD")).strip()
        self._server.merge(NUMBER, sha)
        return sha

    async def answered(self, seconds: float) -> bool:
        """Waits for both checks and the comment, and prints them. False where they did not come, or fail."""
        pull = self._server.pulls[NUMBER]
        if not await self._until(lambda: self._is_over(pull.head, 2) and bool(pull.comments), seconds):
            return False
        self._say_checks(pull.head)
        for line in pull.comments[0]["body"].splitlines():
            self._show.quote(line)
        return all(state == "success" for state, _ in self._checks(pull.head).values())

    async def followed(self, sha: str, seconds: float) -> bool:
        """The same for what is told of the merge commit."""
        over = await self._until(lambda: self._is_over(sha, 2), seconds)
        self._say_checks(sha)
        return over and all(state == "success" for state, _ in self._checks(sha).values())

    async def _until(self, done: Callable[[], bool], seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not done():
                    await asyncio.sleep(0.05)  # the stand-in tells nobody of what it was told
        except TimeoutError:
            return False
        return True

    def _is_over(self, sha: str, count: int) -> bool:
        found = self._checks(sha)
        return len(found) >= count and all(state != "pending" for state, _ in found.values())

    def _checks(self, sha: str) -> dict[str, tuple[str, str]]:
        told = self._server.statuses.get(sha, [])
        return {status["context"]: (status["state"], status["description"]) for status in told}

    def _say_checks(self, sha: str) -> None:
        for context, (state, said) in sorted(self._checks(sha).items()):
            self._show.say(f"{sha[:7]} {context:<26} {state:<8} {said}")
