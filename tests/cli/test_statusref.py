"""Commands that read the status ref alone, served over HTTP: no cluster is there."""

import asyncio
import json
import time

import pytest

from reconciler.model.names import WorkspaceId
from reconciler.model.settings import GitCredentials, StatusSettings
from reconciler.model.status import Condition, WorkspaceStatus
from reconciler.repo.writer import Branch
from reconciler.statusref.writer import RefWriter, Wanted

REF = "refs/heads/reconciler-status/test"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


def said(name: str, phase: str, reason: str = "", message: str = "", **more) -> WorkspaceStatus:
    more = {
        "commit": COMMIT,
        "path": f"workspaces/{name}.yaml",
        "line": 7,
        "since": time.time() - 7300,
    } | more
    return WorkspaceStatus(WorkspaceId("ai", name), phase, reason, message, revision=COMMIT, **more)


@pytest.fixture
def tell(remote, tmp_path):
    """Writes the status ref as the daemon does."""
    branch = Branch(tmp_path / "writer", remote.url, REF, GitCredentials(), 30.0)
    writer = RefWriter(branch, ("test", "some-uid"), StatusSettings())

    async def write(*statuses: WorkspaceStatus, settled: tuple[str, ...] = ()) -> None:
        wanted = Wanted(COMMIT, time.time(), {s.id: s for s in statuses}, settled=settled)
        await asyncio.to_thread(writer.write, wanted)

    return write


@pytest.fixture
def at(remote):
    return ("--status-url", remote.url, "--ref", "reconciler-status/test")


async def test_status_needs_the_ref_alone(cli, tell, at):
    await tell(said("a", "Ready", "AsDeclared"), said("b", "Held", "SpendLimit", "too dear"))
    outcome = await cli("status", *at)
    assert outcome.code == 0
    assert [line.split()[:4] for line in outcome.out.splitlines()[1:]] == [
        ["ai/a", "Ready", "AsDeclared", "2h"],
        ["ai/b", "Held", "SpendLimit", "2h"],
    ]


async def test_status_as_json_is_the_file_of_the_ref(cli, tell, at):
    condition = Condition("WorkspaceReady", "False", "SpendLimit", "too dear", 1.7e9)
    held = said(
        "b", "Held", "SpendLimit", "too dear", conditions=(condition,), holds=(("SpendLimit", "x", ""),)
    )
    await tell(held)
    (found,) = json.loads((await cli("status", "b", *at, "-o", "json")).out)
    assert found["conditions"][0]["since"] == "2023-11-14T22:13:20Z"
    assert found["holds"] == [{"reason": "SpendLimit", "why": "x", "group": ""}]


async def test_a_ref_that_is_not_there_is_one_line(cli, remote, at):
    remote.commit({"README.md": "x"})
    outcome = await cli("status", *at)
    assert outcome.code == 1
    assert "has no ref reconciler-status/test; no daemon has told anything there yet" in outcome.err


async def test_why_shows_holds_with_their_remedy_and_steps(cli, tell, at):
    holds = (("MassDeletion", "9 of 9 workspaces would be deleted", "0123456789ab"),)
    await tell(
        said("a", "Ready", "AsDeclared"),
        said("b", "Held", "MassDeletion", "9 of 9 workspaces would be deleted", holds=holds),
        said("c", "Provisioning", "Progressing", steps=("pool rabc does not exist",), nodes=("n1",)),
    )
    outcome = await cli("why", *at)
    assert outcome.code == 0
    assert "ai/a" not in outcome.out
    assert "ai/b: Held for 2h: MassDeletion" in outcome.out
    assert f"declared    workspaces/b.yaml:7 in commit {COMMIT[:12]}" in outcome.out
    assert "(to let it through: reconciler ack 0123456789ab)" in outcome.out
    assert "next        pool rabc does not exist" in outcome.out
    assert "nodes       n1 ready" in outcome.out


async def test_why_has_nothing_to_explain_where_all_is_ready(cli, tell, at):
    await tell(said("a", "Ready", "AsDeclared"))
    assert (await cli("why", *at)).out == "every workspace is ready\n"


async def test_wait_ends_once_the_commit_is_settled_and_ready(cli, tell, at):
    await tell(said("a", "Ready"), said("b", "Deploying", commit=OTHER), settled=(COMMIT,))
    outcome = await cli("wait", "--commit", COMMIT[:12], "--for", "ready", *at)
    assert (outcome.code, outcome.out) == (0, f"{COMMIT[:12]} is ready\n")


async def test_wait_goes_on_while_it_is_under_way(cli, tell, at):
    await tell(said("a", "Deploying", "WorkloadNotReady"), settled=(COMMIT,))
    waiting = asyncio.create_task(
        cli("wait", "--commit", COMMIT, "--for", "ready", "--interval", "1s", "--timeout", "60s", *at)
    )
    await tell(said("a", "Ready"), settled=(COMMIT,))
    outcome = await waiting
    assert outcome.code == 0, outcome.err


async def test_what_is_applied_need_not_be_ready(cli, tell, at):
    await tell(said("a", "Deploying", "WorkloadNotReady"), settled=(COMMIT,))
    assert (await cli("wait", "--commit", COMMIT, "--for", "applied", *at)).code == 0


UNMET = {
    "a commit of which nothing is told": ((), (), "not everything it changed has been applied and told"),
    "a workspace still under way": (
        (said("a", "Deploying", "WorkloadNotReady", "0 of 1 pods are ready"),),
        (COMMIT,),
        "ai/a: Deploying: WorkloadNotReady: 0 of 1 pods are ready",
    ),
}


@pytest.mark.parametrize("case", UNMET)
async def test_wait_says_what_is_missing_when_time_is_over(cli, tell, at, case):
    statuses, settled, missing = UNMET[case]
    await tell(said("z", "Ready", commit=OTHER), *statuses, settled=settled)
    outcome = await cli("wait", "--commit", COMMIT, "--for", "ready", "--timeout", "1s", *at)
    assert outcome.code == 1
    assert missing in outcome.err and "(waited 1 s)" in outcome.err


async def test_wait_ends_at_once_where_only_a_person_can_help(cli, tell, at):
    await tell(said("a", "Held", "ImmutableField", "count cannot change"), settled=(COMMIT,))
    outcome = await cli("wait", "--commit", COMMIT, "--for", "applied", "--timeout", "1d", *at)
    assert outcome.code == 1
    assert "ai/a: Held: ImmutableField: count cannot change" in outcome.err


# --- log -------------------------------------------------------------------------------------------


@pytest.fixture
async def life(tell, remote, tmp_path):
    """A workspace that was made, served, changed and removed, beside one that was always there."""
    await tell(said("a", "Provisioning", "NodesNotReady"), said("b", "Ready"))
    await tell(said("a", "Ready", "AsDeclared"))
    await tell(said("b", "Held", "SpendLimit"))
    await tell(said("a", "Ready", "AsDeclared", commit=OTHER), said("b", "Ready"))
    await tell(said("a", "Failed", "TuningFailed", "out of memory", commit=OTHER))
    branch = Branch(tmp_path / "other", remote.url, REF, GitCredentials(), 30.0)
    gone = Wanted(COMMIT, time.time(), {}, gone=frozenset({WorkspaceId("ai", "a")}))
    await asyncio.to_thread(RefWriter(branch, ("test", "some-uid"), StatusSettings()).write, gone)


async def test_log_tells_a_workspaces_life_newest_first(cli, life, at):
    outcome = await cli("log", "ai/a", *at)
    assert outcome.code == 0, outcome.err
    rows = [line.split() for line in outcome.out.splitlines()[1:]]
    assert [row[2] for row in rows] == ["Gone", "Failed", "Ready", "Ready", "Provisioning"]
    assert rows[1][3:5] == ["TuningFailed", OTHER[:7]]
    assert "out of memory" in outcome.out


async def test_log_as_json(cli, life, at):
    found = json.loads((await cli("log", "ai/b", *at, "-o", "json")).out)
    assert [each["status"]["phase"] for each in found] == ["Ready", "Held", "Ready"]


NO_LIFE = {
    "a workspace nobody told of": (("log", "ai/nobody"), "nothing was told of a workspace ai/nobody"),
    "no namespace": (("log", "a"), "name the workspace with its namespace, as in ai/a"),
}


@pytest.mark.parametrize(("command", "why"), NO_LIFE.values(), ids=NO_LIFE)
async def test_log_of_nothing(cli, life, at, command, why):
    outcome = await cli(*command, *at)
    assert (outcome.code, why in outcome.err) == (1, True), outcome.err


async def test_log_needs_a_ref(cli):
    outcome = await cli("log", "ai/a")
    assert (outcome.code, "name the status ref" in outcome.err) == (1, True)
