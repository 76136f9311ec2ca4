"""Real Git servers and working clones as fixtures."""

import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.dev.gitserver import GitServer, run_git

SOMEBODY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


@dataclass
class Repository:
    """A bare repository at `path`, reachable at `url`, and a person's clone of it."""

    url: str
    path: Path
    clone: Path
    seconds: int = field(default=1_700_000_000)

    def __post_init__(self) -> None:
        run_git("init", "--quiet", "--initial-branch=main", str(self.clone))
        self.git("remote", "add", "origin", str(self.path))

    def git(self, *arguments: str) -> str:
        self.seconds += 1
        clock = f"{self.seconds} +0000"
        env = SOMEBODY | {"GIT_AUTHOR_DATE": clock, "GIT_COMMITTER_DATE": clock}
        return run_git("-C", str(self.clone), *arguments, env=env).strip()

    def commit(self, files: Mapping[str, str | None], message: str = "Change") -> str:
        """The sha of a new commit on the clone's branch, pushed; None deletes a file."""
        self.prepare(files, message)
        return self.push()

    def prepare(self, files: Mapping[str, str | None], message: str = "Change") -> None:
        for name, text in files.items():
            path = self.clone / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def push(self, *options: str) -> str:
        self.git("push", "--quiet", *options, "origin", "HEAD")
        return self.git("rev-parse", "HEAD")

    def feed(self, stream: str) -> None:
        """Many commits at once, straight into the server's repository, by `git fast-import`."""
        subprocess.run(
            ["git", "-C", str(self.path), "fast-import", "--quiet"], input=stream.encode(), check=True
        )

    def force(self, back_to: str) -> str:
        """Rewinds the branch, here and on the server."""
        self.git("reset", "--quiet", "--hard", back_to)
        return self.push("--force")

    def ref(self, name: str) -> str | None:
        """The sha the server has for a full ref name."""
        shown = run_git("-C", str(self.path), "for-each-ref", "--format=%(objectname)", name).strip()
        return shown or None

    def install_hook(self, name: str, script: str) -> None:
        hook = self.path / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(hook.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    if shutil.which("git") is None:
        pytest.skip("the program `git` is not installed")
    with GitServer(tmp_path / "srv") as server:
        yield server


@pytest.fixture
def remote(git_server: GitServer, tmp_path: Path) -> Repository:
    """An empty repository served over HTTP."""
    path = git_server.create("specs")
    return Repository(git_server.url_of("specs"), path, tmp_path / "clone")
