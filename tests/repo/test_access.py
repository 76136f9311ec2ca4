"""Reaching a Git server and logging in to it: bearer tokens, proxies, GitHub Apps."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
from plugins.connect_proxy import ConnectProxy
from plugins.git import Repository
from plugins.github_app import GithubApps

from reconciler.dev.gitserver import GitServer
from reconciler.dev.tls import Certificate
from reconciler.errors import NotPermitted, Unavailable
from reconciler.model.settings import GitCredentials
from reconciler.repo.github_app import InstallationToken
from reconciler.repo.mirror import Mirror
from reconciler.repo.writer import Author, Branch
from reconciler.telemetry import redacted

RIGHT = "a-token-that-is-right"


def tip_through(url: str, credentials: GitCredentials, cache: Path, timeout: float = 10) -> str:
    return Mirror(cache, url, "main", credentials, timeout).fetch()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{RIGHT}\n")
    return path


# --- bearer tokens -------------------------------------------------------------------------------------


def test_a_bearer_token_opens_for_reading_and_writing(
    git_server: GitServer, remote: Repository, token: Path, tmp_path: Path
):
    tip = remote.commit({"a": "1"})
    git_server.token, git_server.ways = RIGHT, ("bearer",)
    credentials = GitCredentials(bearer_token_file=token)
    assert tip_through(remote.url, credentials, tmp_path / "cache") == tip
    branch = Branch(tmp_path / "cache2", remote.url, "status", credentials, 10)
    sha = branch.commit(branch.fetch(), None, {"x": b"1"}, "Status", Author("bot", "bot@example.com"), 1)
    branch.push(sha, None)
    assert remote.ref("refs/heads/status") == sha


def test_a_wrong_bearer_token_is_tried_once_and_one_that_is_renewed_counts_at_once(
    git_server: GitServer, remote: Repository, token: Path, tmp_path: Path
):
    tip = remote.commit({"a": "1"})
    git_server.token, git_server.ways = "another-token", ("bearer",)
    mirror = Mirror(tmp_path / "cache", remote.url, "main", GitCredentials(bearer_token_file=token), 10)
    with pytest.raises(NotPermitted, match="bearerTokenFile") as caught:
        mirror.fetch()
    assert git_server.logins == 1
    assert RIGHT not in str(caught.value)
    token.write_text("another-token")
    assert mirror.fetch() == tip


def test_a_bearer_token_is_a_secret_from_its_first_use(
    git_server: GitServer, remote: Repository, tmp_path: Path
):
    remote.commit({"a": "1"})
    token = tmp_path / "token"
    token.write_text("bearer-only-known-here")
    tip_through(remote.url, GitCredentials(bearer_token_file=token), tmp_path / "cache")
    assert redacted("sent bearer-only-known-here") == "sent ***"


# --- proxies -------------------------------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Repository, GitCredentials]]:
    """A repository over https, and what its server's certificate is trusted by."""
    certificate = Certificate(tmp_path / "tls")
    with GitServer(tmp_path / "secure", tls=certificate.context()) as server:
        path = server.create("specs")
        yield (
            Repository(server.url_of("specs"), path, tmp_path / "secure-clone"),
            GitCredentials(ca_file=certificate.path),
        )


@pytest.mark.parametrize("said", ["in the settings", "in the environment"])
def test_https_goes_through_the_proxy_which_sees_no_token(
    said: str,
    secure: tuple[Repository, GitCredentials],
    connect_proxy: ConnectProxy,
    token: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    remote, credentials = secure
    tip = remote.commit({"a": "1"})
    changes: dict[str, object] = {"bearer_token_file": token}
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    if said == "in the settings":
        changes["proxy"] = connect_proxy.url
    else:
        monkeypatch.setenv("https_proxy", connect_proxy.url)
    credentials = credentials.model_copy(update=changes)
    assert tip_through(remote.url, credentials, tmp_path / "cache") == tip
    assert {end for end, _ in connect_proxy.asked} == {remote.url.split("/")[2]}
    assert all("authorization" not in name.lower() for _, sent in connect_proxy.asked for name in sent)


def test_without_a_proxy_the_server_is_reached_itself(
    secure: tuple[Repository, GitCredentials], connect_proxy: ConnectProxy, tmp_path: Path
):
    remote, credentials = secure
    tip = remote.commit({"a": "1"})
    assert tip_through(remote.url, credentials, tmp_path / "cache") == tip
    assert connect_proxy.asked == []


def test_a_certificate_nobody_vouches_for_is_refused_behind_a_proxy_too(
    secure: tuple[Repository, GitCredentials], connect_proxy: ConnectProxy, tmp_path: Path
):
    remote, _ = secure
    stranger = Certificate(tmp_path / "other-tls")
    credentials = GitCredentials(ca_file=stranger.path, proxy=connect_proxy.url)
    remote.commit({"a": "1"})
    with pytest.raises(NotPermitted, match="caFile"):
        tip_through(remote.url, credentials, tmp_path / "cache")


def test_a_proxy_that_refuses_is_named(
    secure: tuple[Repository, GitCredentials], connect_proxy: ConnectProxy, tmp_path: Path
):
    remote, credentials = secure
    connect_proxy.refuses = True
    credentials = credentials.model_copy(update={"proxy": connect_proxy.url})
    with pytest.raises((Unavailable, NotPermitted), match="proxy"):
        tip_through(remote.url, credentials, tmp_path / "cache")


# --- GitHub Apps ---------------------------------------------------------------------------------------


def test_an_app_reads_with_a_token_of_its_installation(
    git_server: GitServer, remote: Repository, github_apps: GithubApps, tmp_path: Path
):
    tip = remote.commit({"a": "1"})
    git_server.token, git_server.user, git_server.ways = f"ghs_{0:036}", "x-access-token", ("basic",)
    credentials = GitCredentials(github_app=github_apps.settings())
    mirror = Mirror(tmp_path / "cache", remote.url, "main", credentials, 10)
    for _ in range(2):
        assert mirror.fetch() == tip
    assert tip_through(remote.url, credentials, tmp_path / "cache2") == tip
    assert len(github_apps.granted) == 1
    assert redacted(f"sent {github_apps.granted[0]}") == "sent ***"


def test_a_token_that_was_revoked_is_not_tried_again(
    git_server: GitServer, remote: Repository, github_apps: GithubApps, tmp_path: Path
):
    tip = remote.commit({"a": "1"})
    git_server.token = f"ghs_{1:036}"
    credentials = GitCredentials(github_app=github_apps.settings())
    mirror = Mirror(tmp_path / "cache", remote.url, "main", credentials, 10)
    with pytest.raises(NotPermitted, match="githubApp"):
        mirror.fetch()
    assert mirror.fetch() == tip


@pytest.fixture
def installation(github_apps: GithubApps) -> InstallationToken:
    return InstallationToken(github_apps.settings())


def test_a_token_is_kept_until_five_minutes_before_its_end(
    installation: InstallationToken, github_apps: GithubApps
):
    github_apps.lifetime = timedelta(minutes=4)
    first = installation.get()
    github_apps.lifetime = timedelta(minutes=6)
    second = installation.get()
    assert first != second
    assert installation.get() == second


def test_several_threads_share_one_token(installation: InstallationToken, github_apps: GithubApps):
    threads = [Thread(target=installation.get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(github_apps.granted) == 1


def test_a_key_that_is_renewed_counts_at_once(installation: InstallationToken, github_apps: GithubApps):
    installation.get()
    installation.forget()
    github_apps.renew_key()
    installation.get()
    assert len(github_apps.granted) == 2


REFUSALS = {
    "another App's key": (401, NotPermitted, "keyFile"),
    "an installation that is gone": (404, NotPermitted, "installationId"),
    "a suspended installation": (403, NotPermitted, "installationId"),
    "a bad day": (502, Unavailable, "502"),
    "an answer that says nothing": (201, Unavailable, "no token"),
}


@pytest.mark.parametrize(("status", "error", "said"), REFUSALS.values(), ids=REFUSALS)
def test_what_github_refuses_is_told_with_the_setting(
    status: int, error: type[Exception], said: str, installation: InstallationToken, github_apps: GithubApps
):
    github_apps.status = status
    with pytest.raises(error, match=said):
        installation.get()


@pytest.mark.parametrize("content", [None, "no key", ""], ids=["no file", "no key in it", "empty"])
def test_a_key_file_that_holds_no_key_is_named(
    content: str | None, installation: InstallationToken, github_apps: GithubApps
):
    github_apps.key_file.unlink()
    if content is not None:
        github_apps.key_file.write_text(content)
    with pytest.raises(NotPermitted, match="keyFile"):
        installation.get()


def test_github_that_cannot_be_reached_is_unavailable(
    installation: InstallationToken, github_apps: GithubApps
):
    github_apps.server_close()
    with pytest.raises(Unavailable):
        installation.get()
