"""Writing a ref as a compare-and-swap, over HTTP and in place."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from plugins.git import Repository

from reconciler.dev.gitserver import Faults, GitServer, run_git
from reconciler.errors import NotPermitted, Unavailable
from reconciler.model.settings import GitCredentials
from reconciler.repo.errors import LeaseLost, PushRejected
from reconciler.repo.writer import Author, Branch

REF = "refs/heads/reconciler-status/test"
BOT = Author("reconciler", "bot@example.com")


def branch_at(
    url: str, cache: Path, credentials: GitCredentials | None = None, timeout: float = 30
) -> Branch:
    return Branch(cache, url, REF, credentials or GitCredentials(), timeout)


@pytest.fixture(params=["http", "local"])
def url(request: pytest.FixtureRequest, remote: Repository) -> str:
    return remote.url if request.param == "http" else str(remote.path)


@pytest.fixture
def branch(url: str, tmp_path: Path) -> Branch:
    return branch_at(url, tmp_path / "status")


def write(branch: Branch, changes: Mapping[str, bytes | None], message: str = "Status") -> str:
    tip = branch.fetch()
    sha = branch.commit(tip, tip, changes, message, BOT, 1_800_000_000)
    branch.push(sha, tip)
    return sha


def shown(remote: Repository, what: str) -> str:
    return run_git("-C", str(remote.path), "show", what)


def test_the_first_commit_is_a_root_and_later_ones_follow(branch: Branch, remote: Repository):
    remote.commit({"spec.yaml": "x"})
    assert branch.fetch() is None
    first = write(branch, {"status/ab/x.json": b"{}", "index.json": b"[]"})
    second = write(branch, {"status/ab/x.json": b"{1}"}, "status: 1 ready")
    assert remote.ref(REF) == second == branch.fetch()
    log = run_git("-C", str(remote.path), "log", "--format=%H %an %ae %at %s", REF)
    assert log.splitlines() == [
        f"{second} reconciler bot@example.com 1800000000 status: 1 ready",
        f"{first} reconciler bot@example.com 1800000000 Status",
    ]
    assert shown(remote, f"{REF}:status/ab/x.json") == "{1}"
    run_git("-C", str(remote.path), "fsck", "--strict")


def test_reads_and_lists_what_is_at_the_tip(branch: Branch):
    tip = write(branch, {"status/ab/x.json": b"1", "status/cd/y.json": b"2", "index.json": b"3"})
    assert sorted(branch.list(tip, "status/")) == ["status/ab/x.json", "status/cd/y.json"]
    assert sorted(branch.list(tip)) == ["index.json", "status/ab/x.json", "status/cd/y.json"]
    assert branch.list(tip, "nothing") == {}
    assert branch.read(tip, "status/cd/y.json") == b"2"
    assert branch.read(tip, "status/cd/z.json") is None
    assert branch.read(tip, "status") is None


def test_deleting_the_last_file_of_a_folder_leaves_no_folder(branch: Branch, remote: Repository):
    write(branch, {"status/ab/x.json": b"1", "status/cd/y.json": b"2"})
    tip = write(branch, {"status/ab/x.json": None, "status/never/was.json": None})
    assert run_git("-C", str(remote.path), "ls-tree", "-r", "-t", "--name-only", tip).split() == [
        "status",
        "status/cd",
        "status/cd/y.json",
    ]


def test_a_file_may_become_a_folder_and_back(branch: Branch):
    write(branch, {"a": b"1"})
    tip = write(branch, {"a/b": b"2"})
    assert sorted(branch.list(tip)) == ["a/b"]
    tip = write(branch, {"a": b"3"})
    assert sorted(branch.list(tip)) == ["a"]


def test_an_equal_tree_is_no_new_commit(branch: Branch):
    tip = write(branch, {"a": b"1"})
    assert branch.commit(tip, tip, {"a": b"1", "b": None}, "Again", BOT, 1) == tip


def test_history_can_be_cut_by_a_new_root_with_the_same_tree(branch: Branch, remote: Repository):
    write(branch, {"a": b"1"})
    tip = write(branch, {"b": b"2"})
    root = branch.commit(None, tip, {}, "Cut", BOT, 1)
    branch.push(root, tip)
    assert run_git("-C", str(remote.path), "rev-list", REF).split() == [root]
    assert sorted(branch.list(root)) == ["a", "b"]


def test_a_lost_lease_names_the_winner_and_an_overlay_succeeds(branch: Branch, url: str, tmp_path: Path):
    rival = branch_at(url, tmp_path / "rival")
    tip = branch.fetch()
    sha = branch.commit(tip, tip, {"mine": b"1"}, "Mine", BOT, 1)
    winner = write(rival, {"theirs": b"1"})
    with pytest.raises(LeaseLost) as lost:
        branch.push(sha, tip)
    assert lost.value.actual == winner
    final = write(branch, {"mine": b"1"})
    assert sorted(branch.list(final)) == ["mine", "theirs"]


def test_a_ref_that_someone_deleted_is_a_lost_lease(branch: Branch, remote: Repository):
    tip = write(branch, {"a": b"1"})
    run_git("-C", str(remote.path), "update-ref", "-d", REF)
    sha = branch.commit(tip, tip, {"a": b"2"}, "Next", BOT, 1)
    with pytest.raises(LeaseLost) as lost:
        branch.push(sha, tip)
    assert lost.value.actual is None
    assert branch.fetch() is None


def test_two_writers_at_once_lose_nothing(url: str, tmp_path: Path):
    def add(name: str) -> None:
        branch = branch_at(url, tmp_path / name)
        for number in range(5):
            while True:
                try:
                    write(branch, {f"{name}/{number}": b"x"})
                    break
                except LeaseLost:
                    continue

    with ThreadPoolExecutor() as pool:
        list(pool.map(add, ("left", "right")))
    branch = branch_at(url, tmp_path / "reader")
    tip = branch.fetch()
    assert tip is not None
    assert len(branch.list(tip)) == 10


def test_a_hook_that_declines_is_told_apart_from_a_race(remote: Repository, tmp_path: Path):
    branch = branch_at(remote.url, tmp_path / "status")
    tip = write(branch, {"a": b"1"})
    remote.install_hook("pre-receive", "echo 'ask the platform team' >&2; exit 1")
    sha = branch.commit(tip, tip, {"a": b"2"}, "Next", BOT, 1)
    with pytest.raises(PushRejected, match=r"pre-receive hook declined.*ask the platform team"):
        branch.push(sha, tip)
    assert remote.ref(REF) == tip


def test_a_ref_that_moves_during_the_push_is_a_lost_lease(remote: Repository, tmp_path: Path):
    """The server has told its refs; then someone is quicker. Only its own lock decides now."""
    branch = branch_at(remote.url, tmp_path / "status")
    tip = write(branch, {"a": b"1"})
    other = remote.commit({"x": "y"})
    remote.install_hook("pre-receive", f"unset GIT_QUARANTINE_PATH; git update-ref {REF} {other}")
    sha = branch.commit(tip, tip, {"a": b"2"}, "Next", BOT, 1)
    with pytest.raises(LeaseLost):
        branch.push(sha, tip)
    assert remote.ref(REF) == other


def test_a_refused_login_is_not_permitted(remote: Repository, git_server: GitServer, tmp_path: Path):
    (tmp_path / "token").write_text("right")
    branch = branch_at(remote.url, tmp_path / "status", GitCredentials(token_file=tmp_path / "token"))
    git_server.token = "right"
    tip = write(branch, {"a": b"1"})
    git_server.token = "rotated"
    with pytest.raises(NotPermitted):
        branch.push(branch.commit(tip, tip, {"a": b"2"}, "Next", BOT, 1), tip)
    git_server.faults = Faults(status=403)
    with pytest.raises(NotPermitted, match="403"):
        branch.push(branch.commit(tip, tip, {"a": b"3"}, "Next", BOT, 1), tip)


def test_a_server_that_falls_silent_moves_nothing(remote: Repository, git_server: GitServer, tmp_path: Path):
    branch = branch_at(remote.url, tmp_path / "status", timeout=0.5)
    tip = write(branch, {"a": b"1"})
    git_server.faults = Faults(delay=20)
    with pytest.raises(Unavailable):
        branch.push(branch.commit(tip, tip, {"a": b"2"}, "Next", BOT, 1), tip)
    assert remote.ref(REF) == tip


def test_a_branch_someone_has_checked_out_is_not_moved(remote: Repository, tmp_path: Path):
    tip = remote.commit({"a": "1"})
    branch = Branch(tmp_path / "status", str(remote.clone), "main", GitCredentials(), 30)
    assert branch.fetch() == tip
    with pytest.raises(PushRejected, match="checked out"):
        branch.push(branch.commit(tip, tip, {"a": b"2"}, "Next", BOT, 1), tip)


def test_a_locked_ref_in_a_local_repository_is_a_lost_lease(remote: Repository, tmp_path: Path):
    branch = branch_at(str(remote.path), tmp_path / "status")
    tip = write(branch, {"a": b"1"})
    (remote.path / f"{REF}.lock").touch()
    with pytest.raises(LeaseLost, match="locked"):
        branch.push(branch.commit(tip, tip, {"a": b"2"}, "Next", BOT, 1), tip)
    assert remote.ref(REF) == tip
