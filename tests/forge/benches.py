"""Each driver beside a working stand-in of its forge, under the same words."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from forge.azure_server import AzureServer
from forge.gitlab_server import GitLabServer

from reconciler.dev.forge.github import App, GitHubServer
from reconciler.dev.forge.standin import StandIn
from reconciler.forge import Forge, connect
from reconciler.model.review import Request
from reconciler.model.settings import ForgeSettings

TOKEN = "standin-token-0123456789"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Bench(ABC):
    """`shown` and `said` are what a person sees there."""

    server: Any
    repository: str
    description_limit: int
    comment_limit: int
    states: ClassVar[dict[str, str]]
    """The forge's word for each state of a check."""
    neutral_reads: str
    """What a neutral check reads as, when read back."""
    labels_have_names: bool = True
    """Whether the forge tells who set a label."""
    outsiders_trusted: bool = False
    """Whether an author without membership may have a branch in the repository itself."""
    me = "bot"

    def __init__(self, folder: Path, server: StandIn) -> None:
        self.folder = folder
        self.server = server
        self.token_file = folder / "token"
        self.token_file.write_text(f"{TOKEN}\n")
        self._opened: list[Forge] = []

    async def start(self) -> None:
        await self.server.start()
        self.forge = self.again()

    async def stop(self) -> None:
        for forge in self._opened:
            await forge.close()
        await self.server.stop()

    def again(self, **changed: Any) -> Forge:
        """A driver that knows nothing yet, as after a restart."""
        forge = connect(self.settings(**changed))
        self._opened.append(forge)
        return forge

    def settings(self, **changed: Any) -> ForgeSettings:
        told = {"driver": self.driver, "url": self.server.url, "repository": self.repository, **self.login()}
        return ForgeSettings.model_validate({**told, **changed})

    def login(self) -> dict[str, Any]:
        return {"token_file": self.token_file}

    async def request(self, number: int = 7) -> Request:
        return next(r for r in await self.forge.open_requests() if r.number == number)

    driver: str

    @abstractmethod
    def open(
        self, number: int, head: str, *, author: str = "ada", fork: bool = False, branch: str = "change"
    ) -> None: ...

    @abstractmethod
    def shown(self, sha: str, number: int | None = None) -> dict[str, tuple[str, str]]:
        """State and description by context, as the forge has them now."""

    @abstractmethod
    def said(self, number: int) -> list[str]: ...


class GitHubBench(Bench):
    driver, repository = "github", "org/specs"
    description_limit, comment_limit = 140, 65_536
    states: ClassVar = {
        "pending": "pending",
        "success": "success",
        "failure": "failure",
        "neutral": "success",
    }
    neutral_reads = "success"

    def __init__(self, folder: Path, app: App | None = None) -> None:
        super().__init__(folder, GitHubServer(self.repository, {} if app else {TOKEN: "bot"}, app))

    def open(self, number, head, *, author="ada", fork=False, branch="change"):
        association = "NONE" if author == "eve" else "MEMBER"
        origin = f"{author}/specs" if fork else None
        self.server.open(number, head, author=author, association=association, fork=origin, branch=branch)

    def shown(self, sha, number=None):
        return {s["context"]: (s["state"], s["description"]) for s in self.server.statuses.get(sha, [])}

    def said(self, number):
        return [comment["body"] for comment in self.server.pulls[number].comments]


class GitHubAppBench(GitHubBench):
    states: ClassVar = {
        "pending": "in_progress",
        "success": "success",
        "failure": "failure",
        "neutral": "neutral",
    }
    neutral_reads = "neutral"
    me = "reconciler[bot]"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, App(4711, "reconciler", 99, KEY.public_key()))
        self.key_file = folder / "key.pem"
        self.key_file.write_bytes(PEM)

    def login(self):
        return {"app": {"id": "4711", "installationId": "99", "keyFile": self.key_file}}

    def shown(self, sha, number=None):
        runs = [run for run in self.server.runs.values() if run["head_sha"] == sha]
        assert len({run["name"] for run in runs}) == len(runs), "two of a name"
        return {run["name"]: (run["conclusion"] or run["status"], run["output"]["title"]) for run in runs}


class GitLabBench(Bench):
    driver, repository = "gitlab", "group/sub/specs"
    description_limit, comment_limit = 255, 1_000_000
    states: ClassVar = {"pending": "pending", "success": "success", "failure": "failed", "neutral": "success"}
    neutral_reads = "success"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, GitLabServer(self.repository, {TOKEN: "bot"}))

    def open(self, number, head, *, author="ada", fork=False, branch="change"):
        self.server.open(number, head, author, branch=branch, fork=fork)

    def shown(self, sha, number=None):
        current = [s for s in self.server.statuses if s["sha"] == sha and not s["retried"]]
        return {s["name"]: (s["status"], s["description"]) for s in current}

    def said(self, number):
        return [note["body"] for note in self.server.merges[number].notes]


class AzureBench(Bench):
    driver, repository = "azuredevops", "org/project/specs"
    description_limit, comment_limit = 255, 150_000
    states: ClassVar = {
        "pending": "pending",
        "success": "succeeded",
        "failure": "failed",
        "neutral": "notApplicable",
    }
    neutral_reads = "neutral"
    labels_have_names = False
    outsiders_trusted = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, AzureServer(self.repository, {TOKEN: "bot"}))

    def open(self, number, head, *, author="ada", fork=False, branch="change"):
        self.server.open(number, head, author, branch=branch, fork=fork)

    def shown(self, sha, number=None):
        told = self.server.commit_statuses.get(sha, [])
        if number is not None:
            pull = self.server.pulls[number]
            told = [status for status in pull.statuses if status["iterationId"] == len(pull.iterations)]
        named = ((f"{s['context']['genre']}/{s['context']['name']}", s) for s in told)
        return {name: (status["state"], status["description"]) for name, status in named}

    def said(self, number):
        threads = self.server.pulls[number].threads
        return [t["comments"][0]["content"] for t in threads if not t["properties"]]


BENCHES = {
    "github": GitHubBench,
    "github-app": GitHubAppBench,
    "gitlab": GitLabBench,
    "azuredevops": AzureBench,
}
