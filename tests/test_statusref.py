"""Status commits on a real Git server over HTTP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugins.git import Repository
from plugins.signers import SshSigner

from reconciler.dev.gitserver import Faults, GitServer, run_git
from reconciler.errors import NotPermitted
from reconciler.model.names import WorkspaceId
from reconciler.model.news import News
from reconciler.model.settings import GitCredentials, StatusSettings
from reconciler.model.status import Condition, WorkspaceStatus
from reconciler.model.world import Artifact
from reconciler.repo.writer import Branch
from reconciler.statusref import StatusReader, StatusRef
from reconciler.statusref.documents import path_of
from reconciler.statusref.summary import escaped
from reconciler.statusref.writer import RefWriter, Wanted

REF = "refs/heads/reconciler-status/prod"
PHI, QWEN = WorkspaceId("ai", "phi"), WorkspaceId("ai", "qwen")
AT_ONCE = StatusSettings(min_interval_seconds=0)


def status(id: WorkspaceId, phase: str = "Ready", message: str = "", **more) -> WorkspaceStatus:
    ready = Condition("WorkspaceReady", "True" if phase == "Ready" else "False", "Because", message, 1000.0)
    given = {"revision": "r1", "commit": "c1", "path": "a.yaml", "line": 3, "since": 1000.0}
    return WorkspaceStatus(id, phase, "Because", message, conditions=(ready,), **(given | more))


class Teller:
    """Says to a channel what cycles would say."""

    def __init__(self, channel: StatusRef) -> None:
        self.channel = channel
        self.all: dict[WorkspaceId, WorkspaceStatus] = {}

    async def tell(self, *statuses: WorkspaceStatus, gone=(), settled=(), **more) -> None:
        changed = {s.id: s for s in statuses if self.all.get(s.id) != s}
        self.all |= {s.id: s for s in statuses}
        for id in gone:
            del self.all[id]
        scope = {s.id: s for s in statuses}
        given = {"revision": "r1", "may_write": True} | more
        await self.channel.tell(
            News(time.time(), scope=scope, changed=changed, gone=gone, all=self.all, settled=settled, **given)
        )


def branch(remote: Repository, cache: Path) -> Branch:
    return Branch(cache, remote.url, REF, GitCredentials(), 20.0)


@pytest.fixture
def opened(remote: Repository, tmp_path: Path):
    """Opens a channel as a freshly started process has it; leaving flushes it."""
    number = 0

    @asynccontextmanager
    async def open_channel(how: StatusSettings = AT_ONCE, id: str = "uid-1", **more) -> AsyncIterator[Teller]:
        nonlocal number
        number += 1
        quick = {"retry": (0.02, 0.1), "hold_down": (0.02, 0.1)} | more
        channel = StatusRef(branch(remote, tmp_path / f"cache{number}"), "prod", id, how, **quick)
        await channel.start()
        try:
            yield Teller(channel)
        finally:
            await channel.close()

    return open_channel


async def eventually(what: Callable[[], object], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(what):
            await asyncio.sleep(0.01)


def git(remote: Repository, *arguments: str) -> str:
    return run_git("-C", str(remote.path), *arguments)


def commits(remote: Repository) -> list[str]:
    if remote.ref(REF) is None:
        return []
    return git(remote, "log", "--reverse", "--format=%H", REF).split()


def shown(remote: Repository, path: str) -> str:
    return git(remote, "show", f"{REF}:{path}")


def phases(remote: Repository) -> dict[str, str]:
    return json.loads(shown(remote, "index.json"))["workspaces"] if remote.ref(REF) else {}


async def test_the_first_commit_holds_a_file_per_workspace_an_index_and_a_summary(remote, opened):
    held = status(QWEN, "Held", "4 x A100", holds=(("DeletionGuard", "too many", "abc"),), steps=("wait",))
    async with opened() as cycle:
        await cycle.tell(status(PHI, gpus=2), held, settled=("r1",))
    files = git(remote, "ls-tree", "-r", "--name-only", REF).split()
    assert sorted(files) == sorted(["SUMMARY.md", "index.json", path_of(PHI), path_of(QWEN)])
    index = json.loads(shown(remote, "index.json"))
    assert datetime.fromisoformat(index.pop("since")).timestamp() == pytest.approx(time.time(), abs=60)
    assert index == {
        "cluster": "prod",
        "clusterId": "uid-1",
        "counts": {"Held": 1, "Ready": 1},
        "revision": "r1",
        "settled": ["r1"],
        "workspaces": {"ai/phi": "Ready", "ai/qwen": "Held"},
    }
    told = json.loads(shown(remote, path_of(QWEN)))
    assert told["holds"] == [{"reason": "DeletionGuard", "why": "too many", "group": "abc"}]
    assert told["since"] == "1970-01-01T00:16:40Z"
    text = shown(remote, path_of(QWEN))
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    summary = shown(remote, "SUMMARY.md")
    assert "1 Held, 1 Ready" in summary
    assert summary.index("ai/qwen") < summary.index("ai/phi"), "those that need somebody come first"
    git(remote, "fsck", "--strict")


async def test_the_message_tells_counts_transitions_and_origin(remote, opened):
    async with opened() as cycle:
        await cycle.tell(status(PHI, "Provisioning"), status(QWEN, "Ready"), revision="0123456789")
        await eventually(lambda: commits(remote))
        await cycle.tell(status(PHI, "Failed"), gone=(QWEN,), revision="abcdef0123")
    assert git(remote, "log", "-1", "--format=%B", REF).strip() == (
        "status(prod): 1 failed @ abcdef0\n\n"
        "ai/phi Provisioning -> Failed\nai/qwen Ready -> -\n\n"
        "[skip ci]\n\n"
        "Reconciler-Source-Commit: abcdef0123\nReconciler-Cluster: prod\nReconciler-Workspaces-Changed: 2"
    )
    trailers = git(remote, "log", "-1", "--format=%(trailers:only,key=Reconciler-Cluster,valueonly)", REF)
    assert trailers.strip() == "prod"
    assert path_of(QWEN) not in git(remote, "ls-tree", "-r", "--name-only", REF)


async def test_times_lines_and_a_new_revision_alone_write_nothing(remote, opened):
    async with opened() as cycle:
        await cycle.tell(status(PHI))
        await eventually(lambda: commits(remote))
        before = commits(remote)
        later = replace(status(PHI, since=2000.0), line=9, commit="c2", revision="r2")
        await cycle.tell(later, revision="r2")
        assert commits(remote) == before
    assert commits(remote) == before


async def test_what_is_no_news_travels_with_the_next_commit(remote, opened):
    async with opened() as cycle:
        await cycle.tell(status(PHI), status(QWEN))
        await eventually(lambda: commits(remote))
        await cycle.tell(status(PHI, line=9, commit="c2"))
        await cycle.tell(status(QWEN, "Failed"))
    told = json.loads(shown(remote, path_of(PHI)))
    assert (told["line"], told["commit"], len(commits(remote))) == (9, "c2", 2)


async def test_a_revision_that_is_through_is_told_though_no_phase_changed(remote, opened):
    async with opened() as cycle:
        await cycle.tell(status(PHI), settled=("r1",))
        await eventually(lambda: commits(remote))
        await cycle.tell(status(PHI, commit="r2"), settled=("r2", "r1"), revision="r2")
    index = json.loads(shown(remote, "index.json"))
    assert (index["revision"], index["settled"], len(commits(remote))) == ("r2", ["r2", "r1"], 2)


async def test_a_restart_with_nothing_new_writes_nothing(remote, opened):
    artifact = Artifact("registry/x:1", "sha256:1", "key", simulated=True)
    tuned = status(QWEN, "Succeeded", "done ✓", artifact=artifact, nodes=("n1",))
    async with opened() as cycle:
        await cycle.tell(status(PHI), tuned, settled=("r1",))
    before = commits(remote)
    async with opened() as cycle:
        again = replace(tuned, since=9e8, conditions=(replace(tuned.conditions[0], since=9e8),))
        await cycle.tell(replace(status(PHI), since=9e8), again, settled=("r1",))
    assert len(before) == 1
    assert commits(remote) == before


async def test_a_push_of_a_killed_process_that_lands_late_is_not_doubled(remote, opened):
    remote.install_hook("pre-receive", f'echo x >> "{remote.path}/tries"; sleep 0.5')
    async with opened() as killed:
        await killed.tell(status(PHI), settled=("r1",))
        await eventually((remote.path / "tries").exists)
        async with opened() as cycle:
            await cycle.tell(status(PHI), settled=("r1",))
            await eventually(lambda: commits(remote))
        assert phases(remote) == {"ai/phi": "Ready"}
    assert len(commits(remote)) == 1


async def test_a_restart_keeps_the_times_of_what_did_not_change(remote, opened):
    async with opened() as cycle:
        await cycle.tell(status(PHI), status(QWEN, "Deploying"))
    async with opened() as cycle:
        await cycle.tell(replace(status(PHI), since=9e8, line=77), status(QWEN, "Ready", since=9e8))
    kept, moved = (json.loads(shown(remote, path_of(id))) for id in (PHI, QWEN))
    assert (kept["since"], kept["line"]) == ("1970-01-01T00:16:40Z", 77)
    assert moved["since"] == "1998-07-09T16:00:00Z"


async def test_a_start_removes_files_of_workspaces_that_are_no_more(remote, opened):
    async with opened() as cycle:
        await cycle.tell(status(PHI), status(QWEN))
    async with opened() as cycle:
        await cycle.tell(status(PHI))
    assert phases(remote) == {"ai/phi": "Ready"}
    assert path_of(QWEN) not in git(remote, "ls-tree", "-r", "--name-only", REF)


async def test_two_writers_lose_nothing(remote, opened):
    async with opened() as one, opened() as other:
        for phase, cycle in (("Provisioning", one), ("Deploying", other)):
            await cycle.tell(status(PHI, phase), status(QWEN, phase))
            await eventually(lambda: set(phases(remote).values()) == {phase})  # noqa: B023
        for n in range(5):
            await one.tell(status(PHI, "Deploying", f"step {n}"))
            await other.tell(status(QWEN, "Deploying", f"step {n}"))
        await one.tell(status(PHI, "Ready"))
        await other.tell(status(QWEN, "Failed"))
    assert phases(remote) == {"ai/phi": "Ready", "ai/qwen": "Failed"}
    assert len(git(remote, "log", "--format=%P", REF).split()) == len(commits(remote)) - 1, (
        "one line of history"
    )


async def test_files_of_others_on_the_ref_stay(remote, opened):
    async with opened() as cycle:
        await cycle.tell(status(PHI, "Deploying"))
        await eventually(lambda: commits(remote))
        remote.git("fetch", "--quiet", "origin", REF)
        remote.git("checkout", "--quiet", "-b", "notes", "FETCH_HEAD")
        remote.prepare({"NOTES.md": "by hand"})
        remote.git("push", "--quiet", "origin", f"HEAD:{REF}")
        await cycle.tell(status(PHI, "Ready"))
    assert shown(remote, "NOTES.md") == "by hand"
    assert phases(remote) == {"ai/phi": "Ready"}


async def test_a_refused_push_blocks_without_hammering_and_recovers_by_itself(remote, opened):
    remote.install_hook(
        "pre-receive", f'echo x >> "{remote.path}/tries"; echo "GH006: protected" >&2; exit 1'
    )
    async with opened(hold_down=(0.3, 0.3)) as cycle:
        began = time.monotonic()
        await cycle.tell(status(PHI, "Failed"))
        await eventually(lambda: cycle.channel.blocked)
        assert cycle.channel.blocked.startswith("WriteBackBlocked: ")
        for n in range(20):
            await cycle.tell(status(PHI, "Failed", f"again {n}"))
        tries = remote.path / "tries"
        await eventually(lambda: len(tries.read_text().split()) >= 3)
        assert len(tries.read_text().split()) <= 2 + (time.monotonic() - began) / 0.25
        (remote.path / "hooks" / "pre-receive").unlink()
        await eventually(lambda: commits(remote))
        await eventually(lambda: not cycle.channel.blocked)
    assert len(commits(remote)) == 1
    assert json.loads(shown(remote, path_of(PHI)))["message"] == "again 19"


async def test_a_server_that_is_away_is_tried_again(remote, opened, git_server: GitServer):
    git_server.faults = Faults(status=503)
    async with opened() as cycle:
        await cycle.tell(status(PHI))
        await cycle.tell(status(PHI, "Failed"))
        git_server.faults = Faults()
        await eventually(lambda: phases(remote) == {"ai/phi": "Failed"})
        assert not cycle.channel.blocked


FOREIGN = {
    "another cluster's": {"index.json": '{"cluster": "prod", "clusterId": "uid-2"}'},
    "no reconciler's": {"README.md": "our source"},
    "garbled": {"index.json": "][", "status/x": ""},
}


@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN.keys())
async def test_a_ref_that_is_not_ours_is_never_written(remote, opened, files):
    remote.git("checkout", "--quiet", "--orphan", "theirs")
    remote.prepare(files)
    remote.git("push", "--quiet", "origin", f"HEAD:{REF}")
    before = commits(remote)
    async with opened() as cycle:
        await cycle.tell(status(PHI))
        await eventually(lambda: cycle.channel.blocked)
        assert cycle.channel.blocked.startswith("ForeignStatusRef: ")
        assert commits(remote) == before
        git(remote, "update-ref", "-d", REF)
        await eventually(lambda: phases(remote) == {"ai/phi": "Ready"})
    assert not cycle.channel.blocked


async def test_ordinary_changes_wait_for_the_interval_and_final_ones_do_not(remote, opened):
    async with opened(StatusSettings(min_interval_seconds=1.5)) as cycle:
        await cycle.tell(status(PHI, "Provisioning"), status(QWEN, "Provisioning"))
        await eventually(lambda: len(commits(remote)) == 1)
        began = time.monotonic()
        await cycle.tell(status(PHI, "Deploying"))
        await cycle.tell(status(PHI, "Deploying", "nearly"))
        await eventually(lambda: len(commits(remote)) == 2)
        assert time.monotonic() - began > 1.2
        began = time.monotonic()
        await cycle.tell(status(QWEN, "Failed"))
        await eventually(lambda: len(commits(remote)) == 3)
        assert time.monotonic() - began < 1.45
    assert len(commits(remote)) == 3


async def test_closing_writes_what_the_interval_held_back(remote, opened):
    async with opened(StatusSettings(min_interval_seconds=600)) as cycle:
        await cycle.tell(status(PHI, "Provisioning"))
        await eventually(lambda: commits(remote))
        await cycle.tell(status(PHI, "Deploying"))
    assert phases(remote) == {"ai/phi": "Deploying"}


async def test_only_the_leader_writes_and_a_new_one_compares_everything(remote, opened):
    async with opened() as cycle:
        await cycle.tell(status(PHI, "Deploying"), may_write=False)
        await cycle.tell(status(PHI, "Ready"), may_write=False)
    assert commits(remote) == []
    async with opened() as leader, opened() as standby:
        await leader.tell(status(PHI, "Deploying"), status(QWEN))
        await standby.tell(status(PHI, "Ready"), status(QWEN), may_write=False)
        await eventually(lambda: len(phases(remote)) == 2)
        await standby.tell()
        await eventually(lambda: phases(remote)["ai/phi"] == "Ready")
        await leader.tell(status(PHI, "Failed"), may_write=False)
    assert phases(remote) == {"ai/phi": "Ready", "ai/qwen": "Ready"}


async def test_an_observer_writes_without_a_lease(remote, opened):
    async with opened(leaderless=True) as cycle:
        await cycle.tell(status(PHI), may_write=False)
    assert phases(remote) == {"ai/phi": "Ready"}


async def test_no_secret_and_no_markup_reaches_the_ref(remote, opened):
    nasty = "https://bot:hunter22@git.example.com | [x](javascript:y) <script> @team `rm`\n# head"
    async with opened() as cycle:
        await cycle.tell(status(PHI, "Failed", nasty, holds=(("Held", nasty, ""),), steps=(nasty,)))
    everything = shown(remote, path_of(PHI)) + shown(remote, "SUMMARY.md") + shown(remote, "index.json")
    assert "hunter22" not in everything
    row = next(line for line in shown(remote, "SUMMARY.md").splitlines() if "ai/phi" in line)
    assert row.count("|") == 7
    assert not set("<>[]()`@#") & set(row.replace("&#", ""))


@given(st.text())
def test_a_cell_is_one_line_of_plain_text(text):
    cell = escaped(text)
    assert not set("|<>[]`*_\n\r") & set(cell)
    assert len(cell.splitlines()) <= 1


async def test_the_reader_tells_what_was_written(remote, opened, tmp_path):
    reader = StatusReader(branch(remote, tmp_path / "reader"))
    assert await reader.fetch() is None
    async with opened() as cycle:
        await cycle.tell(status(PHI), status(QWEN, "Deploying"), settled=("r1",))
        await eventually(lambda: commits(remote))
        told = await reader.fetch()
        assert told is not None
        assert {id: found["phase"] for id, found in told.workspaces.items()} == {
            PHI: "Ready",
            QWEN: "Deploying",
        }
        await cycle.tell(status(QWEN, "Failed", "why"), gone=(PHI,), settled=("r2", "r1"))
    told = await reader.fetch()
    assert told is not None
    assert (told.commit, told.index["revision"]) == (remote.ref(REF), "r2")
    assert {id: found["message"] for id, found in told.workspaces.items()} == {QWEN: "why"}


CHANGES = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["Provisioning", "Deploying", "Ready", "Failed"]),
            st.sampled_from(["", "m"]),
        ),
        max_size=3,
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(CHANGES)
async def test_k_changes_make_at_most_k_commits_then_silence(git_server, tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("property")
    path = git_server.create(folder.name)
    remote = Repository(git_server.url_of(folder.name), path, folder / "clone")
    channel = StatusRef(branch(remote, folder / "cache"), "prod", "uid-1", AT_ONCE)
    cycle = Teller(channel)
    await cycle.tell()
    different = 0
    for group in changes:
        found = [status(WorkspaceId("ai", name), phase, message) for name, phase, message in group]
        latest = {s.id: s for s in found}
        different += any(cycle.all.get(s.id) != s for s in latest.values())
        await cycle.tell(*latest.values())
    await channel.close()
    assert len(commits(remote)) <= different
    assert phases(remote) == {str(id): s.phase for id, s in cycle.all.items()}
    again = Teller(StatusRef(branch(remote, folder / "cache2"), "prod", "uid-1", AT_ONCE))
    before = commits(remote)
    await again.tell(*cycle.all.values())
    await again.tell(*cycle.all.values())
    await again.channel.close()
    assert commits(remote) == before


# --- history and signatures ------------------------------------------------------------------------

DAY = 86400.0


@pytest.fixture
def written(remote: Repository, tmp_path: Path):
    """Writes a phase so many days after the first, each time as a new process."""
    count = iter(range(1000))

    def write(phase: str, day: float, key: Path | None = None, **settings) -> None:
        branch = Branch(tmp_path / f"cache-{next(count)}", remote.url, REF, GitCredentials(), 20.0)
        writer = RefWriter(branch, ("prod", "uid-1"), StatusSettings(signing_key_file=key, **settings))
        writer.write(Wanted("r1", 1_700_000_000 + day * DAY, {PHI: status(PHI, phase)}))

    return write


def test_history_begins_anew_after_its_days(written, remote: Repository):
    for day, phase in enumerate(["Waiting", "Deploying", "Ready"]):
        written(phase, float(day * 20))
    assert len(commits(remote)) == 1
    assert phases(remote) == {"ai/phi": "Ready"}
    written("Failed", 50.0)
    assert len(commits(remote)) == 2


@pytest.mark.parametrize("days", [None, 60.0])
def test_history_is_kept_as_long_as_the_settings_say(days, written, remote: Repository):
    for day, phase in enumerate(["Waiting", "Deploying", "Ready"]):
        written(phase, float(day * 20), history_days=days)
    assert len(commits(remote)) == 3


def test_a_server_that_will_not_have_history_cut_still_learns_the_news(written, remote: Repository):
    ancestor = 'git merge-base --is-ancestor "$2" "$3" || exit 1'
    remote.install_hook("update", f'case "$2" in 000000*) exit 0;; esac\n{ancestor}')
    written("Waiting", 0.0)
    written("Ready", 40.0)
    assert (len(commits(remote)), phases(remote)) == (2, {"ai/phi": "Ready"})


def test_commits_are_signed_where_a_key_is_given(written, remote: Repository, ada: SshSigner, tmp_path: Path):
    allowed = tmp_path / "allowed"
    allowed.write_text(ada.line)
    ada.key.chmod(0o644)  # as a mounted Secret may be
    written("Waiting", 0.0, ada.key)
    written("Ready", 1.0, ada.key)
    config = ("-c", f"gpg.ssh.allowedSignersFile={allowed}", "-c", "gpg.format=ssh")
    for sha in commits(remote):
        shown = run_git("-C", str(remote.path), *config, "log", "-1", "--format=%G? %GS", sha)
        assert shown.strip() == "G ada@example.com"


def test_a_key_that_cannot_sign_is_named(written, tmp_path: Path):
    key = tmp_path / "key"
    key.write_text("no key")
    with pytest.raises(NotPermitted, match=r"signingKeyFile .*key cannot be used"):
        written("Ready", 0.0, key)
