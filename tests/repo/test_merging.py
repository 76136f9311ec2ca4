"""What merging a pull request would change: over HTTP with shallow copies, and in place."""

import random
from pathlib import Path

import pytest
from plugins.git import Repository

from reconciler.model.settings import GitCredentials
from reconciler.repo import store
from reconciler.repo.errors import TooLarge
from reconciler.repo.mirror import Mirror

REF = "refs/pull/7/head"
LINES = "".join(f"line {number}\n" for number in range(20))


@pytest.fixture(params=["http", "local"])
def mirror(request: pytest.FixtureRequest, remote: Repository, tmp_path: Path) -> Mirror:
    url = {"http": remote.url, "local": str(remote.path)}[request.param]
    return Mirror(tmp_path / "cache", url, "main", GitCredentials(), 30)


def proposed(remote: Repository, *commits: dict, onto: str = "HEAD") -> str:
    """A pull request's head: commits beside the branch."""
    remote.git("checkout", "--quiet", "--detach", onto)
    for files in commits:
        remote.prepare(files, "Proposed")
    remote.git("push", "--quiet", "--force", "origin", f"HEAD:{REF}")
    head = remote.git("rev-parse", "HEAD")
    remote.git("checkout", "--quiet", "main")
    return head


def merged(mirror: Mirror, head: str, within: tuple[str, ...] = ()):
    base = mirror.fetch()
    mirror.bring([REF])
    found = mirror.merged(base, head, REF, within)
    read = {c.path: c.new_blob and mirror.read(c.new_blob, 10_000).decode() for c in found.changes}
    return read, found.why


def test_a_request_on_the_tip(mirror: Mirror, remote: Repository):
    remote.commit({"a": "1", "b": "1", "c": "1"})
    head = proposed(remote, {"a": "2"}, {"b": None, "d": "1"})
    assert merged(mirror, head) == ({"a": "2", "b": None, "d": "1"}, "")


def test_the_base_moved_meanwhile(mirror: Mirror, remote: Repository):
    """What the branch gained is no part of what the request changes."""
    remote.commit({"a": "1", "b": "1"})
    head = proposed(remote, {"a": "2"})
    remote.commit({"b": "2", "new": "1"})
    assert merged(mirror, head) == ({"a": "2"}, "")


@pytest.mark.parametrize("behind", [3, 70, 1100], ids=["a little", "a lot", "more than is looked at"])
def test_a_request_that_is_far_behind(behind: int, mirror: Mirror, remote: Repository):
    remote.commit({"a": "1"})
    head = proposed(remote, {"a": "2"})
    numbered = "".join(
        f"commit refs/heads/main\ncommitter A <a@x> {1_700_000_100 + n} +0000\ndata 1\nx\n"
        + ("from refs/heads/main^0\n" if n == 0 else "")
        + f"M 100644 inline b\ndata {len(str(n))}\n{n}\n"
        for n in range(behind)
    )
    remote.feed(numbered)
    changes, why = merged(mirror, head)
    if behind > 1000 and mirror.local is None:
        assert (changes, "no history in common" in why) == ({}, True)
    else:
        assert (changes, why) == ({"a": "2"}, "")


def test_both_changed_other_lines_of_one_file(mirror: Mirror, remote: Repository):
    remote.commit({"a": LINES})
    head = proposed(remote, {"a": LINES.replace("line 2\n", "two\n")})
    remote.commit({"a": LINES.replace("line 17\n", "seventeen\n")})
    both = LINES.replace("line 2\n", "two\n").replace("line 17\n", "seventeen\n")
    assert merged(mirror, head) == ({"a": both}, "")


def test_a_file_that_the_branch_moved(mirror: Mirror, remote: Repository):
    remote.commit({"old": LINES})
    head = proposed(remote, {"old": LINES.replace("line 2\n", "two\n")})
    remote.commit({"old": None, "new": LINES})
    assert merged(mirror, head) == ({"new": LINES.replace("line 2\n", "two\n")}, "")


CONFLICTS = {
    "the same line": ({"a": "2"}, {"a": "3"}),
    "changed and removed": ({"a": "2"}, {"a": None}),
    "a file and a folder of one name": ({"x": "1"}, {"x/y": "1"}),
}


@pytest.mark.parametrize(("theirs", "ours"), CONFLICTS.values(), ids=CONFLICTS)
def test_a_conflict_names_its_files(theirs: dict, ours: dict, mirror: Mirror, remote: Repository):
    remote.commit({"a": "1"})
    head = proposed(remote, theirs)
    remote.commit(ours)
    changes, why = merged(mirror, head)
    assert (changes, why.startswith("it conflicts in ")) == ({}, True)
    assert next(iter(theirs)) in why


def test_the_same_change_on_both_sides_is_none(mirror: Mirror, remote: Repository):
    remote.commit({"a": "1"})
    head = proposed(remote, {"a": "2", "b": "1"})
    remote.commit({"a": "2"})
    assert merged(mirror, head) == ({"b": "1"}, "")


def test_a_request_that_is_merged_already(mirror: Mirror, remote: Repository):
    remote.commit({"a": "1"})
    head = proposed(remote, {"a": "2"})
    remote.git("merge", "--quiet", "--ff-only", head)
    remote.push()
    assert merged(mirror, head) == ({}, "")


def test_only_the_folders_that_are_watched_are_told(mirror: Mirror, remote: Repository):
    remote.commit({"team/a": "1"})
    head = proposed(remote, {"team/a": "2", "teams/b": "1", "README": "x"})
    assert merged(mirror, head, ("team",)) == ({"team/a": "2"}, "")


def test_a_head_that_was_pushed_away_harms_nothing(mirror: Mirror, remote: Repository):
    first = remote.commit({"a": "1"})
    proposed(remote, {"a": "2"})
    _, why = merged(mirror, "1" * 40)
    assert "could not be fetched from refs/pull/7/head" in why
    assert (mirror.rebuilds, mirror.fetch()) == (0, first)


def test_a_history_of_its_own(mirror: Mirror, remote: Repository):
    remote.commit({"a": "1"})
    remote.git("checkout", "--quiet", "--orphan", "alone")
    remote.prepare({"a": "2"})
    remote.git("push", "--quiet", "origin", f"HEAD:{REF}")
    head = remote.git("rev-parse", "HEAD")
    _, why = merged(mirror, head)
    assert "no history in common" in why


def test_what_is_brought_does_not_disturb_the_branch(mirror: Mirror, remote: Repository):
    first = remote.commit({"a": "1"})
    head = proposed(remote, {"a": "2"}, {"a": "3"})
    merged(mirror, head)
    second = remote.commit({"b": "1"})
    assert mirror.fetch() == second
    assert [change.path for change in mirror.changes(first, second)] == ["b"]
    assert mirror.rebuilds == 0


def test_what_strangers_make_us_fetch_is_bounded(
    remote: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "MAX_BROUGHT", 100_000)
    mirror = Mirror(tmp_path / "cache", remote.url, "main", GitCredentials(), 30)
    first = remote.commit({"a": "1"})
    mirror.fetch()
    remote.git("checkout", "--quiet", "--detach")
    (remote.clone / "huge").write_bytes(random.Random(1).randbytes(3_000_000))
    remote.prepare({}, "Huge")
    remote.git("push", "--quiet", "origin", f"HEAD:{REF}")
    remote.git("checkout", "--quiet", "main")
    with pytest.raises(TooLarge, match="more than 0 MiB would have to be fetched"):
        mirror.bring([REF])
    assert mirror.fetch() == first
    assert mirror.rebuilds == 0
