"""Files that only signed commits may change, signed by real programs."""

from pathlib import Path

import pytest
from builders import context, everything, observed, policy, wanted, workspace_yaml
from plugins.git import Repository
from plugins.signers import GpgSigner, SshSigner, sign_nothing

from reconciler.dev.gitserver import git_program
from reconciler.errors import NotPermitted
from reconciler.model.declared import Declarations, ParsedFile
from reconciler.model.names import WorkspaceId
from reconciler.model.plan import Applied
from reconciler.model.settings import GitCredentials, PathEntry, SignaturePolicy
from reconciler.planning.diff import make_plan
from reconciler.planning.resolve import resolve
from reconciler.planning.status import assess
from reconciler.repo.mirror import Mirror
from reconciler.sources.git import GitSource, Parse
from reconciler.sources.requests import Requests
from reconciler.sources.specs import blob_id, parse

PATHS = (PathEntry(include="**/*.yaml", namespace="ai"),)
PROD = "prod/a.yaml"
A, B, C = (WorkspaceId("ai", name) for name in "abc")


def named(path: str, content: bytes, namespace: str | None) -> ParsedFile:
    """Each word of a file is a workspace's name."""
    words = content.decode().split()
    return ParsedFile(path, blob_id(content), identities=frozenset(WorkspaceId("ai", word) for word in words))


class World:
    """A repository whose folder `prod` is guarded, and daemons that watch it."""

    def __init__(self, remote: Repository, url: str, folder: Path) -> None:
        self.remote = remote
        self.url = url
        self.folder = folder
        self.allowed = folder / "allowed_signers"
        self.allowed.write_text("")
        self.keyring = folder / "keyring.gpg"
        self.keyring.write_bytes(b"")
        self.since: str | None = None

    def daemon(self, cache: str = "cache", parse: Parse = named) -> GitSource:
        policy = SignaturePolicy(
            paths=("prod/**",), allowed_signers_file=self.allowed, keyring_file=self.keyring, since=self.since
        )
        mirror = Mirror(self.folder / cache, self.url, "main", GitCredentials(), 20)
        return GitSource(mirror, PATHS, parse, 15.0, (policy,))

    def signed(self, who: SshSigner | GpgSigner, files: dict[str, str | None]) -> str:
        who.sign_in(self.remote)
        return self.remote.commit(files)

    def unsigned(self, files: dict[str, str | None]) -> str:
        sign_nothing(self.remote)
        return self.remote.commit(files)

    def branch(self, name: str, start: str) -> None:
        self.remote.git("checkout", "--quiet", "-b", name, start)

    def merge(self, name: str, *options: str) -> str:
        """The branch into main, by a merge commit that is not signed."""
        sign_nothing(self.remote)
        self.remote.git("checkout", "--quiet", "main")
        self.remote.git("merge", "--quiet", "--no-ff", "--message", "Merge", *options, name)
        return self.remote.push()


@pytest.fixture(params=["http", "local"])
def world(request: pytest.FixtureRequest, remote: Repository, ada: SshSigner, tmp_path: Path) -> World:
    url = remote.url if request.param == "http" else str(remote.path)
    made = World(remote, url, tmp_path)
    made.allowed.write_text(ada.line)
    return made


def refused(found: Declarations) -> dict[str, str]:
    """Rule by path of all files that are refused; each for want of a signature, with a remedy."""
    problems = {path: file.problems for path, file in found.files.items() if file.problems}
    assert all(p.reason == "Unsigned" and p.remedy for each in problems.values() for p in each)
    return {path: each[0].rule for path, each in problems.items()}


async def test_a_signed_change_counts_and_an_unsigned_one_does_not(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a", "dev/b.yaml": "b"})
    daemon = world.daemon()
    assert refused(await daemon.refresh()) == {}
    world.signed(ada, {PROD: "a c"})
    assert refused(await daemon.refresh()) == {}
    bad = world.unsigned({PROD: "c", "dev/b.yaml": "b2"})
    found = await daemon.refresh()
    assert refused(found) == {PROD: f"commit {bad[:12]} changed it and is not signed"}
    assert found.files[PROD].identities == {A, C}
    assert found.remembered[PROD] == {A, C}


async def test_what_is_refused_stays_so_after_a_restart(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    world.unsigned({PROD: "c"})
    world.unsigned({"dev/b.yaml": "b"})
    for daemon in (world.daemon(), world.daemon(), world.daemon(cache="lost")):
        found = await daemon.refresh()
        assert list(refused(found)) == [PROD]
        assert found.files[PROD].identities == {A, C}


async def test_a_file_deleted_without_a_signature_is_still_about_its_workspaces(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a", "prod/b.yaml": "b"})
    running = world.daemon()
    await running.refresh()
    world.unsigned({PROD: None, "dev/a.yaml": "a"})
    for daemon in (running, world.daemon(cache="lost")):
        found = await daemon.refresh()
        assert list(refused(found)) == [PROD]
        assert found.files[PROD].identities == {A}
    world.signed(ada, {"prod/b.yaml": None})
    assert list(refused(await running.refresh())) == [PROD]


async def test_a_file_that_is_new_needs_a_signature_too(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    daemon = world.daemon()
    await daemon.refresh()
    world.unsigned({"prod/new.yaml": "c"})
    assert list(refused(await daemon.refresh())) == ["prod/new.yaml"]


MENDED = {
    "a signed commit that changes it again": ("signed", {PROD: "a c "}),
    "a signed commit that deletes it": ("signed", {PROD: None}),
    "an unsigned commit that puts back what was there": ("unsigned", {PROD: "a"}),
}


@pytest.mark.parametrize(("how", "files"), MENDED.values(), ids=MENDED)
async def test_what_was_refused_is_mended_by(
    how: str, files: dict[str, str | None], world: World, ada: SshSigner
):
    world.signed(ada, {PROD: "a", "prod/b.yaml": "b"})
    daemon = world.daemon()
    await daemon.refresh()
    world.unsigned({PROD: "c"})
    assert list(refused(await daemon.refresh())) == [PROD]
    world.signed(ada, files) if how == "signed" else world.unsigned(files)
    for each in (daemon, world.daemon(cache="lost")):
        assert refused(await each.refresh()) == {}


async def test_a_signed_commit_to_another_file_mends_nothing(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    daemon = world.daemon()
    await daemon.refresh()
    world.unsigned({PROD: "c"})
    world.signed(ada, {"prod/b.yaml": "b"})
    assert list(refused(await daemon.refresh())) == [PROD]


async def test_going_back_to_what_once_was_signed_needs_a_signature(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    daemon = world.daemon()
    await daemon.refresh()
    world.signed(ada, {PROD: "c"})
    world.unsigned({PROD: "a"})
    for each in (daemon, world.daemon(cache="lost")):
        assert list(refused(await each.refresh())) == [PROD]


async def test_a_branch_rewound_to_before_a_signed_change_is_refused(world: World, ada: SshSigner):
    first = world.signed(ada, {PROD: "a", "dev/b.yaml": "b"})
    world.signed(ada, {PROD: "c"})
    daemon = world.daemon()
    await daemon.refresh()
    world.remote.force(first)
    found = await daemon.refresh()
    assert "rewound" in refused(found)[PROD]
    assert found.files[PROD].identities == {A, C}


async def test_somebody_who_is_not_allowed_signs_in_vain(world: World, ada: SshSigner, mallory: SshSigner):
    world.signed(ada, {PROD: "a"})
    bad = world.signed(mallory, {PROD: "c"})
    daemon = world.daemon()
    assert "nobody who is allowed" in refused(await daemon.refresh())[PROD] and bad
    world.allowed.write_text(ada.line + mallory.line)
    assert refused(await daemon.refresh()) == {}


async def test_a_key_counts_only_for_git(world: World, ada: SshSigner):
    world.allowed.write_text(ada.line.replace('namespaces="git"', 'namespaces="file"'))
    world.signed(ada, {PROD: "a"})
    assert list(refused(await world.daemon().refresh())) == [PROD]


async def test_a_signature_is_moved_to_no_other_commit(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    world.unsigned({PROD: "c"})
    good = world.remote.git("cat-file", "commit", "HEAD~1")
    signature = good[good.index("gpgsig ") : good.index("-----END SSH SIGNATURE-----")]
    bad = world.remote.git("cat-file", "commit", "HEAD")
    head, _, message = bad.partition("\n\n")
    forged = world.folder / "forged"
    forged.write_text(f"{head}\n{signature}-----END SSH SIGNATURE-----\n\n{message}\n")
    sha = world.remote.git("hash-object", "-t", "commit", "-w", str(forged))
    world.remote.git("reset", "--quiet", "--hard", sha)
    world.remote.push("--force")
    assert "nobody who is allowed" in refused(await world.daemon().refresh())[PROD]


async def test_a_merge_that_decides_nothing_needs_no_signature(world: World, ada: SshSigner):
    start = world.signed(ada, {PROD: "a", "prod/b.yaml": "b"})
    world.branch("topic", start)
    ada.sign_in(world.remote)
    world.remote.prepare({PROD: "c"})
    world.remote.git("checkout", "--quiet", "main")
    tip = world.signed(ada, {"prod/b.yaml": "b b2"})
    daemon = world.daemon()
    await daemon.refresh()
    world.merge("topic")
    for each in (daemon, world.daemon(cache="lost")):
        assert refused(await each.refresh()) == {}
    assert tip


async def test_an_unsigned_commit_that_is_merged_in_is_found(world: World, ada: SshSigner):
    start = world.signed(ada, {PROD: "a"})
    world.branch("topic", start)
    sign_nothing(world.remote)
    world.remote.prepare({PROD: "c"})
    bad = world.remote.git("rev-parse", "HEAD")
    world.remote.git("checkout", "--quiet", "main")
    world.signed(ada, {"dev/b.yaml": "b"})
    daemon = world.daemon()
    await daemon.refresh()
    world.merge("topic")
    for each in (daemon, world.daemon(cache="lost")):
        assert refused(await each.refresh()) == {PROD: f"commit {bad[:12]} changed it and is not signed"}


@pytest.mark.parametrize("order", ["main first", "main second"])
async def test_a_merge_that_brings_back_an_older_version_is_a_change(
    order: str, world: World, ada: SshSigner
):
    start = world.signed(ada, {PROD: "a"})
    tip = world.signed(ada, {PROD: "c"})
    daemon = world.daemon()
    await daemon.refresh()
    world.branch("old", start)
    sign_nothing(world.remote)
    world.remote.prepare({"dev/x.yaml": "x"})
    old = world.remote.git("rev-parse", "HEAD")
    parents = (tip, old) if order == "main first" else (old, tip)
    tree = world.remote.git("rev-parse", f"{old}^{{tree}}")
    bad = world.remote.git("commit-tree", tree, "-p", parents[0], "-p", parents[1], "-m", "Merge")
    world.remote.git("checkout", "--quiet", "main")
    world.remote.git("reset", "--quiet", "--hard", bad)
    world.remote.push()
    for each in (daemon, world.daemon(cache="lost")):
        assert refused(await each.refresh()) == {PROD: f"commit {bad[:12]} changed it and is not signed"}


async def test_what_lies_before_the_trusted_commit_is_taken_as_it_is(world: World, ada: SshSigner):
    world.unsigned({PROD: "a", "prod/b.yaml": "b"})
    assert sorted(refused(await world.daemon().refresh())) == [PROD, "prod/b.yaml"]
    world.since = world.unsigned({PROD: "a b"})
    assert refused(await world.daemon().refresh()) == {}
    world.unsigned({"prod/b.yaml": None})
    assert list(refused(await world.daemon(cache="lost").refresh())) == ["prod/b.yaml"]


async def test_only_paths_that_are_guarded_and_watched_need_signatures(world: World, ada: SshSigner):
    world.unsigned({"dev/a.yaml": "a", "prod/notes.txt": "c", "prod.yaml": "b"})
    assert refused(await world.daemon().refresh()) == {}


async def test_history_that_is_too_long_is_trusted_by_nobody(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    stream = "".join(
        f"commit refs/heads/main\ncommitter x <x@y> {1_800_000_000 + n} +0000\ndata 0\n"
        + ("from refs/heads/main^0\n" if n == 0 else "")
        for n in range(1001)
    )
    path = world.folder / "stream"
    path.write_text(stream)
    world.remote.git("-c", "alias.take=!git fast-import --quiet <", "take", str(path))
    world.remote.git("reset", "--quiet", "--hard", "main")
    tip = world.remote.push()
    found = await world.daemon().refresh()
    assert refused(found).keys() == {PROD, "prod/**"}
    assert "1000 commits" in refused(found)[PROD]
    assert found.files["prod/**"].identities == frozenset()
    world.since = tip
    assert refused(await world.daemon().refresh()) == {}


async def test_signers_that_cannot_be_read_stop_everything_and_change_nothing(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    daemon = world.daemon()
    known = await daemon.refresh()
    world.allowed.unlink()
    world.unsigned({PROD: "c"})
    with pytest.raises(NotPermitted, match="allowed_signers cannot be read"):
        await daemon.refresh()
    assert daemon.current is known


async def test_openpgp_signatures_count_by_keyring(world: World, grace: GpgSigner, eve: GpgSigner):
    world.keyring.write_bytes(grace.export())
    world.signed(grace, {PROD: "a"})
    daemon = world.daemon()
    assert refused(await daemon.refresh()) == {}
    world.signed(eve, {PROD: "c"})
    assert "nobody who is allowed" in refused(await daemon.refresh())[PROD]
    world.keyring.write_bytes(grace.export() + eve.export())
    assert refused(await daemon.refresh()) == {}


async def test_an_armoured_keyring_is_refused_with_the_remedy(world: World, grace: GpgSigner):
    world.keyring.write_bytes(grace.export("--armor"))
    world.signed(grace, {PROD: "a"})
    with pytest.raises(NotPermitted, match="dearmor"):
        await world.daemon().refresh()


async def test_without_the_program_nothing_is_taken(
    world: World, ada: SshSigner, monkeypatch: pytest.MonkeyPatch
):
    world.signed(ada, {PROD: "a"})
    programs = world.folder / "bin"
    programs.mkdir()
    (programs / "git").symlink_to(git_program())
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(NotPermitted, match="ssh-keygen"):
        await world.daemon().refresh()


REFUSED = {
    "changed": {"prod/chat.yaml": workspace_yaml("chat", count=2)},
    "deleted": {"prod/chat.yaml": None},
    "moved out of the guarded folder": {
        "prod/chat.yaml": None,
        "dev/chat.yaml": workspace_yaml("chat", count=2),
    },
    "spoilt": {"prod/chat.yaml": "a: [1"},
}


@pytest.mark.parametrize("files", REFUSED.values(), ids=REFUSED)
async def test_what_runs_stays_as_it_was_when_its_file_is_without_a_signature(
    files: dict[str, str | None], world: World, ada: SshSigner
):
    running = wanted(workspace_yaml("chat"))
    seen = observed(everything(running))
    world.signed(ada, {"prod/chat.yaml": workspace_yaml("chat"), "prod/x.yaml": workspace_yaml("x")})
    world.unsigned(files)
    found = resolve(await world.daemon(parse=parse).refresh(), context())
    plan = make_plan(found, seen, policy())
    assert [step for step in plan.steps if step.workspace == running.id] == []
    assert {hold.reason for hold in plan.holds if hold.workspace == running.id} >= {"Unsigned"}
    status = assess(found, seen, plan, Applied(), {})[running.id]
    assert (status.phase, status.reason) == ("Invalid", "Unsigned")
    assert "prod/chat.yaml: document: commit " in status.message


# --- pull requests ---------------------------------------------------------------------------------

REF = "refs/pull/7/head"
LINES = "\n".join("abcdefgh")


class Proposal:
    """A branch and its pull request, from where the world's main is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.daemon = world.daemon()
        mirror = Mirror(world.folder / "requests", world.url, "main", GitCredentials(), 20)
        self.requests = Requests(self.daemon, mirror)
        world.branch("topic", "main")

    def commit(self, files: dict[str, str | None], by: SshSigner | None = None) -> str:
        if by:
            by.sign_in(self.world.remote)
        else:
            sign_nothing(self.world.remote)
        self.world.remote.prepare(files)
        return self.world.remote.git("rev-parse", "HEAD")

    async def refused(self) -> dict[str, str]:
        """What would be, once it was merged; and then it is merged, to see whether that was right."""
        remote = self.world.remote
        head = remote.git("rev-parse", "topic")
        remote.git("push", "--quiet", "--force", "origin", f"{head}:{REF}")
        await self.daemon.refresh()
        await self.requests.bring({REF: head})
        reviewed = await self.requests.reviewed(head, REF)
        assert reviewed.declarations is not None
        told = refused(reviewed.declarations)
        self.world.merge("topic")
        assert refused(await self.daemon.refresh()).keys() == told.keys()
        return told


async def test_a_request_that_changes_what_is_guarded_without_a_signature(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    proposal = Proposal(world)
    bad = proposal.commit({PROD: "a b"})
    assert await proposal.refused() == {PROD: f"commit {bad[:12]} changed it and is not signed"}


async def test_a_request_whose_changes_are_signed_for(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    proposal = Proposal(world)
    proposal.commit({PROD: "b", "dev/x.yaml": "x"})
    proposal.commit({PROD: "c"}, by=ada)
    proposal.commit({"dev/x.yaml": "x y"})
    assert await proposal.refused() == {}


async def test_a_request_that_deletes_what_is_guarded(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    proposal = Proposal(world)
    proposal.commit({PROD: None})
    assert list(await proposal.refused()) == [PROD]


async def test_a_request_whose_merge_decides_lines_itself(world: World, ada: SshSigner):
    world.signed(ada, {PROD: LINES})
    proposal = Proposal(world)
    proposal.commit({PROD: LINES.replace("a", "first")}, by=ada)
    world.remote.git("checkout", "--quiet", "main")
    world.signed(ada, {PROD: LINES.replace("h", "last")})
    assert await proposal.refused() == {PROD: "the merge changed it and is not signed"}


async def test_what_is_refused_stays_so_in_requests_for_other_files(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    bad = world.unsigned({PROD: "b"})
    proposal = Proposal(world)
    proposal.commit({"dev/x.yaml": "x"})
    assert await proposal.refused() == {PROD: f"commit {bad[:12]} changed it and is not signed"}


async def test_a_request_mends_by_putting_back_what_was_there(world: World, ada: SshSigner):
    world.signed(ada, {PROD: "a"})
    world.unsigned({PROD: "b"})
    proposal = Proposal(world)
    proposal.commit({PROD: "a"})
    assert await proposal.refused() == {}
