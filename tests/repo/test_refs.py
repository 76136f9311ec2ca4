"""Which commit a `ref` means: a branch, a tag, or one commit for ever."""

from pathlib import Path

import pytest
from plugins.git import Repository

from reconciler.dev.gitserver import Faults, GitServer, run_git
from reconciler.errors import InvalidSpec
from reconciler.model.settings import GitCredentials
from reconciler.repo.errors import MissingRef
from reconciler.repo.mirror import Mirror

NOBODY = GitCredentials()


@pytest.fixture(params=["http", "local"])
def url(request: pytest.FixtureRequest, remote: Repository) -> str:
    return remote.url if request.param == "http" else str(remote.path)


def allow(remote: Repository, setting: str) -> None:
    run_git("-C", str(remote.path), "config", f"uploadpack.{setting}", "true")


def test_a_tag_with_a_message_means_the_commit_it_is_on(url: str, remote: Repository, tmp_path: Path):
    tip = remote.commit({"a": "1"})
    remote.git("tag", "--annotate", "--message", "v1", "v1")
    remote.git("tag", "--annotate", "--message", "v1 again", "v1-again", "v1")
    remote.git("push", "--quiet", "origin", "v1", "v1-again")
    remote.commit({"a": "2"})
    for number, tag in enumerate(("refs/tags/v1", "refs/tags/v1-again")):
        mirror = Mirror(tmp_path / str(number), url, tag, NOBODY, 10)
        for _ in range(2):
            assert mirror.fetch() == tip
        assert [change.path for change in mirror.changes(None, tip)] == ["a"]


def test_a_tag_that_is_moved_is_followed(url: str, remote: Repository, tmp_path: Path):
    remote.commit({"a": "1"})
    remote.git("push", "--quiet", "origin", "HEAD:refs/tags/stable")
    mirror = Mirror(tmp_path / "cache", url, "refs/tags/stable", NOBODY, 10)
    mirror.fetch()
    second = remote.commit({"a": "2"})
    remote.git("push", "--quiet", "--force", "origin", "HEAD:refs/tags/stable")
    assert mirror.fetch() == second


@pytest.mark.parametrize("setting", ["allowReachableSHA1InWant", "allowAnySHA1InWant"])
def test_a_commit_is_fetched_by_its_id_and_never_moves(setting: str, remote: Repository, tmp_path: Path):
    allow(remote, setting)
    remote.commit({}, "before")
    pinned = remote.commit({"a": "1"}, "pinned")
    remote.commit({"a": "2"}, "after")
    mirror = Mirror(tmp_path / "cache", remote.url, pinned.upper(), NOBODY, 10)
    assert mirror.fetch() == pinned
    (change,) = mirror.changes(None, pinned)
    assert change.new_blob is not None and mirror.read(change.new_blob, 10) == b"1"
    remote.commit({"a": "3"})
    assert mirror.fetch() == pinned


def test_history_before_a_pinned_commit_can_be_asked_for(remote: Repository, tmp_path: Path):
    allow(remote, "allowReachableSHA1InWant")
    first = remote.commit({}, "first")
    remote.commit({}, "second")
    pinned = remote.commit({}, "pinned")
    remote.commit({}, "after")
    mirror = Mirror(tmp_path / "cache", remote.url, pinned, NOBODY, 10)
    mirror.fetch()
    assert [commit.message for commit in mirror.commits(pinned, first)] == ["pinned\n", "second\n"]


def test_a_pinned_commit_that_is_here_needs_no_server(
    remote: Repository, git_server: GitServer, tmp_path: Path
):
    allow(remote, "allowReachableSHA1InWant")
    pinned = remote.commit({"a": "1"})
    Mirror(tmp_path / "cache", remote.url, pinned, NOBODY, 10).fetch()
    git_server.faults = Faults(status=503)
    mirror = Mirror(tmp_path / "cache", remote.url, pinned, NOBODY, 10)
    assert mirror.fetch() == pinned
    git_server.faults = Faults()
    (tmp_path / "cache" / "config").unlink()
    assert Mirror(tmp_path / "cache", remote.url, pinned, NOBODY, 10).fetch() == pinned


def test_a_server_that_gives_no_commit_by_its_id_is_told_how_to(remote: Repository, tmp_path: Path):
    pinned = remote.commit({"a": "1"})
    remote.commit({"a": "2"})
    with pytest.raises(InvalidSpec, match="allowReachableSHA1InWant"):
        Mirror(tmp_path / "cache", remote.url, pinned, NOBODY, 10).fetch()


def test_a_commit_that_is_nowhere_is_named(url: str, remote: Repository, tmp_path: Path):
    allow(remote, "allowReachableSHA1InWant")
    remote.commit({"a": "1"})
    with pytest.raises(MissingRef):
        Mirror(tmp_path / "cache", url, "1" * 40, NOBODY, 10).fetch()


def test_a_commit_of_a_local_repository_is_read_in_place(remote: Repository, tmp_path: Path):
    pinned = remote.commit({"a": "1"})
    remote.commit({"a": "2"})
    assert Mirror(tmp_path / "none", str(remote.path), pinned, NOBODY, 10).fetch() == pinned
