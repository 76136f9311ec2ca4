"""Reading a repository: over HTTP through a disposable copy, and in place."""

import os
import random
import shutil
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from plugins.git import Repository

from reconciler.dev.gitserver import Faults, GitServer, run_git
from reconciler.errors import InvalidSpec, NotPermitted, Unavailable
from reconciler.model.settings import GitCredentials
from reconciler.repo.errors import MissingRef, TooLarge
from reconciler.repo.mirror import Mirror

NOBODY = GitCredentials()


def mirror_of(remote: Repository, tmp_path: Path, ref: str = "main", timeout: float = 30) -> Mirror:
    return Mirror(tmp_path / "cache", remote.url, ref, NOBODY, timeout)


@pytest.fixture(params=["http", "local", "file"])
def mirror(request: pytest.FixtureRequest, remote: Repository, tmp_path: Path) -> Mirror:
    url = {"http": remote.url, "local": str(remote.path), "file": remote.path.as_uri()}[request.param]
    return Mirror(tmp_path / "cache", url, "main", NOBODY, 30)


def test_follows_the_branch_and_reads_what_changed(mirror: Mirror, remote: Repository):
    first = remote.commit({"a.yaml": "one", "team/b.yaml": "two"})
    assert mirror.fetch() == first
    assert [change.path for change in mirror.changes(None, first)] == ["a.yaml", "team/b.yaml"]

    second = remote.commit({"team/b.yaml": "three", "a.yaml": None})
    assert mirror.fetch() == second
    gone, changed = mirror.changes(first, second)
    assert (gone.path, gone.new_blob) == ("a.yaml", None)
    assert changed.path == "team/b.yaml" and changed.old_blob is not None and changed.new_blob is not None
    assert mirror.read(changed.new_blob, 100) == b"three"


def test_first_fetch_brings_one_commit_and_later_ones_only_what_is_new(remote: Repository, tmp_path: Path):
    remote.commit({"a": "1"}, "Old")
    first = remote.commit({"a": "2"}, "First seen")
    mirror = mirror_of(remote, tmp_path)
    mirror.fetch()
    assert [commit.message for commit in mirror.commits(first, None)] == ["First seen\n"]

    remote.prepare({"a": "3"}, "Third\n\nReconciler-Ack: 1234")
    remote.prepare({"a": "4"}, "Fourth")
    last = remote.push()
    mirror.fetch()
    fourth, third = mirror.commits(last, first)
    assert (fourth.message, third.message) == ("Fourth\n", "Third\n\nReconciler-Ack: 1234\n")
    assert (third.author_name, third.author_email) == ("Ada", "ada@example.com")
    assert fourth.sha == last and fourth.time > third.time
    assert mirror.commits(last, last) == []
    assert [commit.sha for commit in mirror.commits(last, first, limit=1)] == [last]


@pytest.mark.parametrize("newer", [3, 70], ids=["a few commits back", "many commits back"])
def test_an_empty_cache_fetches_history_back_to_the_commit_that_is_asked_for(
    newer: int, remote: Repository, tmp_path: Path
):
    for number in range(5):
        remote.prepare({}, f"old {number}")
    known = remote.commit({}, "known")
    for number in range(newer):
        remote.prepare({}, f"new {number}")
    tip = remote.push()
    mirror = mirror_of(remote, tmp_path)
    assert mirror.fetch() == tip
    expected = [f"new {number}\n" for number in reversed(range(newer))]
    assert [commit.message for commit in mirror.commits(tip, known)] == expected
    later = remote.commit({"a": "1"}, "later")
    assert mirror.fetch() == later
    assert [commit.message for commit in mirror.commits(later, known)] == ["later\n", *expected]
    assert [change.path for change in mirror.changes(tip, later)] == ["a"]


def test_of_a_commit_that_was_forced_away_only_the_tip_is_newer(mirror: Mirror, remote: Repository):
    remote.commit({}, "an old one")
    tip = remote.commit({}, "tip")
    mirror.fetch()
    assert [commit.message for commit in mirror.commits(tip, "f" * 40)] == ["tip\n"]


def test_older_history_is_fetched_in_bounded_time(git_server: GitServer, remote: Repository, tmp_path: Path):
    known = remote.commit({}, "known")
    tip = remote.commit({}, "tip")
    mirror = mirror_of(remote, tmp_path, timeout=0.5)
    mirror.fetch()
    git_server.faults = Faults(delay=60)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        mirror.commits(tip, known)
    assert time.monotonic() - began < 10
    assert mirror.has(tip)


def test_force_push_and_rewind_are_plain_changes(mirror: Mirror, remote: Repository):
    first = remote.commit({"a": "1", "b": "1"})
    second = remote.commit({"a": "2", "c": "1"})
    assert mirror.fetch() == second
    remote.force(first)
    assert mirror.fetch() == first
    assert [change.path for change in mirror.changes(second, first)] == ["a", "c"]


def test_a_commit_without_any_file_is_a_commit(mirror: Mirror, remote: Repository):
    empty = remote.commit({}, "nothing in it")
    assert mirror.fetch() == empty
    assert mirror.changes(None, empty) == []
    tip = remote.commit({"a": "1"})
    assert mirror.fetch() == tip
    assert [change.path for change in mirror.changes(empty, tip)] == ["a"]


def test_a_commit_that_is_not_here_counts_as_empty(mirror: Mirror, remote: Repository):
    tip = remote.commit({"a": "1", "b/c": "1"})
    mirror.fetch()
    assert [change.path for change in mirror.changes("f" * 40, tip)] == ["a", "b/c"]


def test_tags_and_full_ref_names_are_followed(remote: Repository, tmp_path: Path):
    tip = remote.commit({"a": "1"})
    remote.git("tag", "--annotate", "--message", "v1", "v1")
    remote.git("push", "--quiet", "origin", "v1", "HEAD:refs/review/7")
    for number, ref in enumerate(("refs/tags/v1", "refs/review/7", "refs/heads/main")):
        assert Mirror(tmp_path / f"cache{number}", remote.url, ref, NOBODY, 30).fetch() == tip


def test_a_ref_that_does_not_exist_is_named(mirror: Mirror, remote: Repository):
    with pytest.raises(MissingRef, match="refs/heads/main"):
        mirror.fetch()


def test_a_branch_that_is_deleted_is_noticed_and_comes_back(mirror: Mirror, remote: Repository):
    tip = remote.commit({"a": "1"})
    remote.git("push", "--quiet", "origin", "HEAD:other")
    assert mirror.fetch() == tip
    run_git("-C", str(remote.path), "update-ref", "-d", "refs/heads/main")
    for _ in range(2):
        with pytest.raises(MissingRef):
            mirror.fetch()
    remote.push()
    assert mirror.fetch() == tip


def test_links_and_submodules_are_told_apart_from_files(mirror: Mirror, remote: Repository):
    remote.commit({"a": "1"})
    (remote.clone / "link.yaml").symlink_to("/etc/passwd")
    (remote.clone / "module").mkdir()
    remote.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    tip = remote.commit({})
    mirror.fetch()
    kinds = {change.path: change.kind for change in mirror.changes(None, tip)}
    assert kinds == {"a": "file", "link.yaml": "symlink", "module": "submodule"}


def test_a_file_that_is_too_large_is_not_loaded(mirror: Mirror, remote: Repository):
    tip = remote.commit({"big": "x" * 2000})
    mirror.fetch()
    (change,) = mirror.changes(None, tip)
    assert change.new_blob is not None
    with pytest.raises(TooLarge, match="2000 bytes; 1999"):
        mirror.read(change.new_blob, 1999)
    assert len(mirror.read(change.new_blob, 2000)) == 2000


@pytest.mark.parametrize("seed", range(4))
def test_changes_equal_those_git_finds_between_random_trees(seed: int, remote: Repository, tmp_path: Path):
    chance = random.Random(seed)
    mirror = Mirror(tmp_path / "none", str(remote.path), "main", NOBODY, 30)
    tips: list[str] = []
    for _ in range(6):
        scramble(remote.clone, chance)
        tips.append(remote.commit({}))
    for old in tips:
        new = chance.choice(tips)
        for within in ((), ("d0",), ("d1/d0", "d2"), ("d1", "d1/d0", "nowhere")):
            assert listed(mirror, old, new, within) == git_diff(remote, old, new, within)


def scramble(root: Path, chance: random.Random) -> None:
    """Files come, go, change, change their mode, become folders and links, and the reverse."""
    for _ in range(12):
        path = root.joinpath(*(f"d{chance.randrange(3)}" for _ in range(chance.randrange(4))))
        path = path if path != root else root / f"f{chance.randrange(3)}"
        if any(parent.is_file() or parent.is_symlink() for parent in path.parents):
            continue
        if chance.random() < 0.4:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        if path.is_dir():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if chance.random() < 0.2:
            path.symlink_to("elsewhere")
        else:
            path.write_text(str(chance.randrange(3)))
            path.chmod(chance.choice((0o644, 0o755)))


def listed(mirror: Mirror, old: str, new: str, within: tuple[str, ...]) -> dict[str, str]:
    def letter(had: str | None, has: str | None) -> str:
        return "A" if had is None else "D" if has is None else "M"

    changes = mirror.changes(old, new, within)
    found = {change.path: letter(change.old_blob, change.new_blob) for change in changes}
    assert len(found) == len(changes)
    return found


def git_diff(remote: Repository, old: str, new: str, within: tuple[str, ...]) -> dict[str, str]:
    shown = remote.git(
        "diff", "--no-renames", "--name-status", old, new, "--", *(f"{folder}/" for folder in within)
    )
    lines = (line.split("\t") for line in shown.splitlines())
    return {path: status.replace("T", "M") for status, path in lines}


# --- bad days ------------------------------------------------------------------------------------------


def test_a_damaged_copy_is_fetched_anew(remote: Repository, tmp_path: Path):
    tip = remote.commit({"a": "1"})
    damages = {
        "pack gone": lambda cache: shutil.rmtree(cache / "objects" / "pack"),
        "index garbled": lambda cache: [
            (path.chmod(0o644), path.write_bytes(b"x" * 100)) for path in cache.rglob("*.idx")
        ],
        "config gone": lambda cache: (cache / "config").unlink(),
        "HEAD garbled": lambda cache: (cache / "HEAD").write_bytes(b"\0\0"),
        "ref garbled": lambda cache: (cache / "refs/reconciler/tip").write_text("garbage"),
    }
    for name, damage in damages.items():
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        mirror_of(remote, tmp_path).fetch()
        damage(tmp_path / "cache")
        mirror = mirror_of(remote, tmp_path)
        assert mirror.fetch() == tip, name
        (change,) = mirror.changes(None, tip)
        assert change.new_blob is not None and mirror.read(change.new_blob, 10) == b"1", name
        assert mirror.rebuilds <= 1, name


def garble(cache: Path, pattern: str) -> None:
    for path in cache.rglob(pattern):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:20] + b"x" * 100)


def test_damage_found_while_reading_is_mended_by_the_next_fetch(remote: Repository, tmp_path: Path):
    tip = remote.commit({"a": "1"})
    mirror = mirror_of(remote, tmp_path)
    mirror.fetch()
    with pytest.raises(Unavailable):
        mirror.read("1" * 40, 10)
    assert mirror.fetch() == tip
    assert mirror.rebuilds == 1


def test_a_lock_of_a_killed_process_does_not_stop_us(remote: Repository, tmp_path: Path):
    remote.commit({"a": "1"})
    mirror_of(remote, tmp_path).fetch()
    lock = tmp_path / "cache/refs/reconciler/tip.lock"
    lock.touch()
    os.utime(lock, (1, 1))
    second = remote.commit({"a": "2"})
    assert mirror_of(remote, tmp_path).fetch() == second


def test_a_copy_of_another_address_or_ref_is_not_used(
    remote: Repository, git_server: GitServer, tmp_path: Path
):
    remote.commit({"a": "1"})
    mirror_of(remote, tmp_path).fetch()
    other = Repository(git_server.url_of("other"), git_server.create("other"), tmp_path / "clone2")
    tip = other.commit({"b": "2"})
    mirror = mirror_of(other, tmp_path)
    assert mirror.fetch() == tip
    assert [change.path for change in mirror.changes(None, tip)] == ["b"]
    assert mirror.rebuilds == 1


def test_a_copy_with_many_packs_is_made_anew(remote: Repository, tmp_path: Path):
    tip = remote.commit({"a": "1"})
    mirror = mirror_of(remote, tmp_path)
    mirror.fetch()
    packs = tmp_path / "cache/objects/pack"
    (real,) = packs.glob("*.pack")
    for number in range(200):
        shutil.copy(real, packs / f"pack-{number:040x}.pack")
    assert mirror.fetch() == tip
    assert mirror.rebuilds == 1
    assert len(list(packs.glob("*.pack"))) == 1


def test_a_cut_transfer_changes_nothing_and_the_next_one_works(
    remote: Repository, git_server: GitServer, tmp_path: Path
):
    first = remote.commit({"a": "1"})
    mirror = mirror_of(remote, tmp_path, timeout=5)
    mirror.fetch()
    noise = random.Random(1).randbytes(200_000).hex()
    second = remote.commit({"big": noise})
    git_server.faults = Faults(cut_after=20_000)
    with pytest.raises(Unavailable):
        mirror.fetch()
    assert [change.path for change in mirror.changes(None, first)] == ["a"]
    git_server.faults = Faults()
    assert mirror.fetch() == second
    assert [change.path for change in mirror.changes(first, second)] == ["big"]


def test_a_silent_server_costs_no_more_than_the_deadline(
    remote: Repository, git_server: GitServer, tmp_path: Path
):
    remote.commit({"a": "1"})
    git_server.faults = Faults(delay=20)
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        mirror_of(remote, tmp_path, timeout=0.5).fetch()
    assert time.monotonic() - begun < 3


def test_a_server_that_drips_hits_the_deadline_too(remote: Repository, git_server: GitServer, tmp_path: Path):
    remote.commit({"big": random.Random(1).randbytes(200_000).hex()})
    git_server.faults = Faults(drip=0.1)
    mirror = mirror_of(remote, tmp_path, timeout=1)
    for _ in range(2):
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            mirror.fetch()
        assert time.monotonic() - begun < 3


def test_a_server_error_is_unavailable_and_a_missing_repository_is_not(
    remote: Repository, git_server: GitServer, tmp_path: Path
):
    git_server.faults = Faults(status=503)
    with pytest.raises(Unavailable, match="503"):
        mirror_of(remote, tmp_path).fetch()
    git_server.faults = Faults()
    with pytest.raises(InvalidSpec, match="no repository there"):
        Mirror(tmp_path / "cache2", git_server.url_of("nothing"), "main", NOBODY, 30).fetch()
    with pytest.raises(InvalidSpec, match="no repository there"):
        Mirror(tmp_path / "cache2", str(tmp_path / "nothing"), "main", NOBODY, 30).fetch()


def test_a_wrong_password_is_tried_once(tmp_path: Path, git_server: GitServer):
    git_server.create("closed")
    git_server.token = "right"
    token = tmp_path / "token"
    token.write_text("wrong\n")
    mirror = Mirror(
        tmp_path / "cache", git_server.url_of("closed"), "main", GitCredentials(token_file=token), 30
    )
    with pytest.raises(NotPermitted, match="tokenFile"):
        mirror.fetch()
    assert git_server.logins == 1
    token.write_text("right\n")
    with pytest.raises(MissingRef):
        mirror.fetch()


def test_a_redirect_to_another_host_gets_no_token(tmp_path: Path, git_server: GitServer):
    git_server.create("closed")
    git_server.token = "right"
    (tmp_path / "token").write_text("right")
    target = git_server.url_of("closed")

    class Redirect(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(301)
            self.send_header("Location", target + self.path.removeprefix("/closed.git"))
            self.send_header("Content-Length", "0")
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Redirect) as elsewhere:
        Thread(target=elsewhere.serve_forever, args=(0.02,), daemon=True).start()
        credentials = GitCredentials(token_file=tmp_path / "token")
        url = f"http://localhost:{elsewhere.server_port}/closed.git"
        with pytest.raises(InvalidSpec, match="use its new address"):
            Mirror(tmp_path / "cache", url, "main", credentials, 10).fetch()
        elsewhere.shutdown()
    assert git_server.logins == 0


def test_no_password_at_all_names_the_setting(tmp_path: Path, git_server: GitServer):
    git_server.create("closed")
    git_server.token = "right"
    with pytest.raises(NotPermitted, match="set tokenFile"):
        Mirror(tmp_path / "cache", git_server.url_of("closed"), "main", NOBODY, 30).fetch()


def test_a_token_in_an_address_is_in_no_message(tmp_path: Path, git_server: GitServer):
    url = git_server.url_of("nothing").replace("http://", "http://bot:hunter2@")
    mirror = Mirror(tmp_path / "cache", url, "main", NOBODY, 5)
    with pytest.raises(InvalidSpec) as caught:
        mirror.fetch()
    assert "hunter2" not in f"{caught.value!r} {mirror.url} {caught.value.__cause__!r}"
    assert all(b"hunter2" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("url", ["ftp://host/x", "ext::sh -c id", "https://host/\nx", "", "helper://x"])
def test_only_known_kinds_of_address_are_accepted(url: str, tmp_path: Path):
    with pytest.raises(InvalidSpec):
        Mirror(tmp_path / "cache", url, "main", NOBODY, 5).fetch()


def test_what_the_branch_was_at_before_is_told_merge_by_merge(mirror: Mirror, remote: Repository):
    first = remote.commit({"a": "1"})
    remote.git("checkout", "--quiet", "-b", "topic")
    remote.prepare({"b": "1"})
    remote.git("checkout", "--quiet", "main")
    second = remote.commit({"a": "2"})
    remote.git("merge", "--quiet", "--no-ff", "--message", "Merge", "topic")
    tip = remote.push()
    mirror.fetch()
    assert mirror.before(tip, 1) == [second]
    assert mirror.before(tip, 9)[:2] == [second, first]
