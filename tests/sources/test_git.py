"""Specs from a Git ref, read with a parser that notes what it is given."""

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import pytest
from plugins.git import Repository
from plugins.reader import PATHS, Reader

from reconciler.dev.gitserver import Faults, GitServer, run_git
from reconciler.errors import Unavailable
from reconciler.model.declared import Declarations
from reconciler.model.names import WorkspaceId
from reconciler.model.settings import GitCredentials
from reconciler.repo.errors import MissingRef
from reconciler.repo.mirror import Mirror
from reconciler.sources.git import GitSource


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture(params=["http", "local"])
def source(request: pytest.FixtureRequest, remote: Repository, tmp_path: Path, reader: Reader) -> GitSource:
    url = remote.url if request.param == "http" else str(remote.path)
    return GitSource(Mirror(tmp_path / "cache", url, "main", GitCredentials(), 10), PATHS, reader)


def said(declarations: Declarations, path: str) -> set[str]:
    return {str(identity) for identity in declarations.files[path].identities}


def rules(declarations: Declarations, path: str) -> list[str]:
    return [problem.rule for problem in declarations.files[path].problems]


async def test_only_files_under_the_globs_are_read_and_the_first_entry_wins(
    source: GitSource, remote: Repository, reader: Reader
):
    tip = remote.commit(
        {"teams/blue/a.yaml": "a", "teams/red/deep/b.yaml": "b", "teams/red/c.txt": "c", "README.yaml": "d"}
    )
    found = await source.refresh()
    assert sorted(reader.read) == ["teams/blue/a.yaml", "teams/red/deep/b.yaml"]
    assert said(found, "teams/blue/a.yaml") == {"blue/a"}
    assert said(found, "teams/red/deep/b.yaml") == {"other/b"}
    assert found.revision == tip and source.current is found
    assert found.commits == dict.fromkeys(found.files, tip)


async def test_a_change_reads_the_changed_file_alone(source: GitSource, remote: Repository, reader: Reader):
    first = remote.commit({"teams/a.yaml": "a", "teams/b.yaml": "b", "teams/c.yaml": "c"})
    before = await source.refresh()
    reader.since()
    second = remote.commit({"teams/b.yaml": "b2", "teams/c.yaml": None})
    after = await source.refresh()
    assert reader.since() == ["teams/b.yaml"]
    assert after.files["teams/a.yaml"] is before.files["teams/a.yaml"]
    assert said(after, "teams/b.yaml") == {"other/b2"}
    assert after.commits == {"teams/a.yaml": first, "teams/b.yaml": second}
    assert sorted(before.files) == ["teams/a.yaml", "teams/b.yaml", "teams/c.yaml"]


async def test_a_resync_or_a_commit_elsewhere_reads_nothing_and_keeps_the_files(
    source: GitSource, remote: Repository, reader: Reader
):
    remote.commit({"teams/a.yaml": "a"})
    before = await source.refresh()
    reader.since()
    assert await source.refresh() is before
    tip = remote.commit({"docs/x.yaml": "x", "teams/notes.txt": "y"})
    after = await source.refresh()
    assert after.files is before.files and after.commits is before.commits
    assert after.revision == tip
    assert reader.since() == []


async def test_a_rename_a_copy_and_a_revert_parse_nothing(
    source: GitSource, remote: Repository, reader: Reader
):
    remote.commit({"teams/a.yaml": "a", "teams/bad.yaml": "?"})
    await source.refresh()
    reader.since()
    moved = remote.commit({"teams/a.yaml": None, "teams/sub/b.yaml": "a", "teams/bad2.yaml": "?"})
    found = await source.refresh()
    assert found.files["teams/sub/b.yaml"].path == "teams/sub/b.yaml"
    assert said(found, "teams/sub/b.yaml") == {"other/a"}
    assert found.commits["teams/sub/b.yaml"] == moved
    assert [problem.path for problem in found.files["teams/bad2.yaml"].problems] == ["teams/bad2.yaml"]
    remote.commit({"teams/a.yaml": "a", "teams/sub/b.yaml": None})
    assert said(await source.refresh(), "teams/a.yaml") == {"other/a"}
    assert reader.since() == []


async def test_the_same_content_under_another_entry_is_parsed_for_its_namespace(
    source: GitSource, remote: Repository
):
    remote.commit({"teams/red/a.yaml": "a", "teams/blue/a.yaml": "a"})
    found = await source.refresh()
    assert said(found, "teams/red/a.yaml") == {"other/a"}
    assert said(found, "teams/blue/a.yaml") == {"blue/a"}


async def test_a_broken_file_is_remembered_by_what_it_last_declared(source: GitSource, remote: Repository):
    remote.commit({"teams/a.yaml": "a b", "teams/old.yaml": "?"})
    assert (await source.refresh()).remembered == {}
    remote.commit({"teams/a.yaml": "?"})
    known = {"teams/a.yaml": frozenset({WorkspaceId("other", "a"), WorkspaceId("other", "b")})}
    assert (await source.refresh()).remembered == known
    remote.commit({"teams/a.yaml": "??"})
    assert (await source.refresh()).remembered == known
    remote.commit({"teams/a.yaml": "c"})
    assert (await source.refresh()).remembered == {}


async def test_what_vanishes_as_a_file_breaks_may_have_moved_into_it(source: GitSource, remote: Repository):
    remote.commit({"teams/a.yaml": "a", "teams/b.yaml": "b", "teams/c.yaml": "c"})
    await source.refresh()
    remote.commit({"teams/a.yaml": None, "teams/b.yaml": "?"})
    both = {"teams/b.yaml": frozenset({WorkspaceId("other", "a"), WorkspaceId("other", "b")})}
    assert (await source.refresh()).remembered == both
    remote.commit({"teams/c.yaml": None})
    assert (await source.refresh()).remembered == both
    remote.commit({"teams/b.yaml": "a b"})
    assert (await source.refresh()).remembered == {}


REFUSED = {
    "a symbolic link": ("link.yaml", "symbolic link"),
    "a submodule": ("module.yaml", "submodule"),
    "a file over 1 MiB": ("big.yaml", "1048577 bytes"),
    "a Git LFS pointer": ("lfs.yaml", "Git LFS"),
}


@pytest.mark.parametrize(("name", "rule"), REFUSED.values(), ids=REFUSED)
async def test_what_is_no_plain_file_is_named_and_never_read(
    name: str, rule: str, source: GitSource, remote: Repository, reader: Reader
):
    teams = remote.clone / "teams"
    teams.mkdir()
    (teams / "link.yaml").symlink_to("/etc/passwd")
    (teams / "big.yaml").write_text("x" * (1 << 20) + "x")
    (teams / "lfs.yaml").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n")
    (teams / "module.yaml").mkdir()
    remote.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},teams/module.yaml")
    remote.commit({"teams/good.yaml": "good"})
    found = await source.refresh()
    (problem,) = found.files[f"teams/{name}"].problems
    assert rule in problem.rule and problem.remedy
    assert reader.read == ["teams/good.yaml"]
    assert said(found, "teams/good.yaml") == {"other/good"}


async def test_a_folder_of_another_tool_is_refused_with_all_below_it(source: GitSource, remote: Repository):
    remote.commit({"teams/k/a.yaml": "a", "teams/k/sub/b.yaml": "b", "teams/other.yaml": "c"})
    before = await source.refresh()
    assert rules(before, "teams/k/a.yaml") == []
    remote.commit({"teams/k/kustomization.yaml": "resources"})
    after = await source.refresh()
    for path in ("teams/k/a.yaml", "teams/k/sub/b.yaml", "teams/k/kustomization.yaml"):
        assert rules(after, path) == ["Kustomize folders are not rendered here"]
    assert rules(after, "teams/other.yaml") == []
    assert said(after, "teams/k/a.yaml") == {"other/a"}
    assert after.remembered["teams/k/a.yaml"] == before.files["teams/k/a.yaml"].identities
    remote.commit({"teams/k/kustomization.yaml": None})
    assert (await source.refresh()).files == before.files


async def test_a_missing_branch_or_server_raises_and_keeps_what_we_know(
    remote: Repository, git_server: GitServer, tmp_path: Path, reader: Reader
):
    source = GitSource(Mirror(tmp_path / "cache", remote.url, "main", GitCredentials(), 10), PATHS, reader)
    with pytest.raises(MissingRef):
        await source.refresh()
    assert source.current is None
    remote.commit({"teams/a.yaml": "a"})
    known = await source.refresh()
    git_server.faults = Faults(status=500)
    with pytest.raises(Unavailable):
        await source.refresh()
    git_server.faults = Faults()
    run_git("-C", str(remote.path), "update-ref", "-d", "refs/heads/main")
    with pytest.raises(MissingRef):
        await source.refresh()
    assert source.current is known
    remote.push()
    assert await source.refresh() is known


async def test_messages_of_commits_since_a_revision_are_told_newest_first(
    source: GitSource, remote: Repository
):
    first = remote.commit({"teams/a.yaml": "a"}, "First")
    await source.refresh()
    remote.prepare({"docs/x": "x"}, "Let it through\n\nReconciler-Ack: 0123456789abcdef")
    remote.prepare({"docs/x": "y"}, "Last")
    remote.push()
    await source.refresh()
    assert await source.messages_since(first) == [
        "Last\n",
        "Let it through\n\nReconciler-Ack: 0123456789abcdef\n",
    ]


async def test_a_force_push_to_unrelated_history_is_read_as_it_is(
    source: GitSource, remote: Repository, reader: Reader
):
    remote.commit({"teams/a.yaml": "a", "teams/b.yaml": "b"})
    before = await source.refresh()
    remote.git("checkout", "--quiet", "--orphan", "fresh")
    remote.prepare({"teams/b.yaml": "b2"})
    remote.git("branch", "--force", "main")
    remote.git("checkout", "--quiet", "main")
    tip = remote.push("--force")
    after = await source.refresh()
    assert after.revision == tip
    assert after.files["teams/a.yaml"] is before.files["teams/a.yaml"]
    assert said(after, "teams/b.yaml") == {"other/b2"}


async def test_a_copy_made_anew_forgets_no_deletion_and_parses_nothing_again(
    remote: Repository, tmp_path: Path, reader: Reader
):
    cache = tmp_path / "cache"
    source = GitSource(Mirror(cache, remote.url, "main", GitCredentials(), 10), PATHS, reader)
    first = remote.commit({"teams/a.yaml": "a", "teams/b.yaml": "b"})
    before = await source.refresh()
    reader.since()
    (cache / "config").unlink()
    second = remote.commit({"teams/b.yaml": None, "teams/c.yaml": "c"})
    after = await source.refresh()
    assert sorted(after.files) == ["teams/a.yaml", "teams/c.yaml"]
    assert after.files["teams/a.yaml"] is before.files["teams/a.yaml"]
    assert after.commits == {"teams/a.yaml": first, "teams/c.yaml": second}
    assert reader.since() == ["teams/c.yaml"]


async def test_a_refresh_that_was_given_up_leaves_no_half_of_itself(
    remote: Repository, git_server: GitServer, tmp_path: Path, reader: Reader
):
    source = GitSource(Mirror(tmp_path / "cache", remote.url, "main", GitCredentials(), 10), PATHS, reader)
    first = remote.commit({"teams/a.yaml": "a"})
    await source.refresh()
    remote.commit({"teams/a.yaml": "wrong"})
    git_server.faults = Faults(delay=0.2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await source.refresh()
    git_server.faults = Faults()
    remote.force(first)
    assert said(await source.refresh(), "teams/a.yaml") == {"other/a"}


async def test_a_remote_is_polled_and_a_local_push_wakes_at_once(
    remote: Repository, tmp_path: Path, reader: Reader
):
    remote.commit({"teams/a.yaml": "a"})
    polled = GitSource(
        Mirror(tmp_path / "cache", remote.url, "main", GitCredentials(), 10), PATHS, reader, poll=0.05
    )
    async with aclosing(polled.wakeups()) as wakeups:
        await anext(wakeups)
        await anext(wakeups)
    watched = GitSource(
        Mirror(tmp_path / "none", str(remote.path), "main", GitCredentials(), 10), PATHS, reader, poll=60
    )
    async with aclosing(watched.wakeups()) as wakeups:
        begun = time.monotonic()
        waiting = asyncio.ensure_future(anext(wakeups))
        while not waiting.done():
            await asyncio.to_thread(remote.commit, {})
            await asyncio.wait({waiting}, timeout=0.5)
        assert time.monotonic() - begun < 10
