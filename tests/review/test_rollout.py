"""How far a commit has come, in words: one row for each thing that can be so."""

import asyncio
import time
from dataclasses import replace

import pytest
from builders import desired, workspace_yaml, ws

from reconciler.model.review import Check
from reconciler.model.status import WorkspaceStatus
from reconciler.model.world import BrokenFile
from reconciler.review.rollout import Commit, RolloutChecks, is_news, progress

SHA = "1" * 40
CHAT, OTHER = ws("chat"), ws("other")


async def nothing(sha, limit):
    """No commit before."""
    return []


def status(phase, reason="", id=CHAT, revision=SHA, steps=()):
    return WorkspaceStatus(id, phase, reason, "", revision, steps=steps)


def commit(*changed, declared=None, unreadable=""):
    kept = frozenset(changed if declared is None else declared)
    return Commit(SHA, frozenset(changed), kept, unreadable, time.monotonic())


APPLY = {
    "nothing changed": (commit(), {}, "success", "nothing changed"),
    "not planned yet": (commit(CHAT), {}, "pending", "0 of 1 applied, waiting for ai/chat"),
    "what was found of an older commit": (
        commit(CHAT),
        {CHAT: status("Ready", revision="2" * 40)},
        "pending",
        "0 of 1 applied, waiting for ai/chat",
    ),
    "a pool is made": (
        commit(CHAT),
        {CHAT: status("Provisioning", "NodesNotReady")},
        "pending",
        "0 of 1 applied, waiting for ai/chat: NodesNotReady",
    ),
    "all is written": (commit(CHAT), {CHAT: status("Deploying")}, "success", "1 of 1 applied"),
    "it is gone": (commit(CHAT, declared=()), {}, "success", "1 of 1 applied"),
    "its deletion is held": (
        commit(CHAT, declared=()),
        {CHAT: status("Held", "MassDeletion")},
        "failure",
        "1 of 1 failed: ai/chat MassDeletion",
    ),
    "one of two failed": (
        commit(CHAT, OTHER),
        {CHAT: status("Ready"), OTHER: status("Invalid", "InvalidSpec", OTHER)},
        "failure",
        "1 of 2 failed: ai/other InvalidSpec",
    ),
    "a file that nobody can read": (
        commit(unreadable="cannot be read: a.yaml"),
        {},
        "failure",
        "cannot be read: a.yaml",
    ),
}
READY = {
    "applied is not ready": (
        commit(CHAT),
        {CHAT: status("Deploying", "WorkloadNotReady")},
        "pending",
        "0 of 1 ready, waiting for ai/chat: WorkloadNotReady",
    ),
    "it serves": (commit(CHAT), {CHAT: status("Ready")}, "success", "1 of 1 ready"),
    "it was tuned": (commit(CHAT), {CHAT: status("Succeeded")}, "success", "1 of 1 ready"),
    "its tuning failed": (
        commit(CHAT),
        {CHAT: status("Failed", "TuningFailed")},
        "failure",
        "1 of 1 failed: ai/chat TuningFailed",
    ),
    "somebody suspended it": (commit(CHAT), {CHAT: status("Suspended")}, "success", "1 of 1 ready"),
}


@pytest.mark.parametrize(("made", "statuses", "state", "said"), APPLY.values(), ids=APPLY)
def test_apply(made, statuses, state, said):
    assert progress(made, "apply", statuses) == (state, said)


@pytest.mark.parametrize(("made", "statuses", "state", "said"), READY.values(), ids=READY)
def test_ready(made, statuses, state, said):
    assert progress(made, "ready", statuses) == (state, said)


def test_a_commit_with_an_unreadable_file_is_known_as_such():
    checks = RolloutChecks(None, "prod", 60.0, lambda: True, nothing)
    found = desired(workspace_yaml("chat"))
    checks.begin(replace(found, broken={"x.yaml": BrokenFile("x.yaml", (), None)}), frozenset({CHAT}))
    assert progress(checks.newest, "apply", {})[1] == "cannot be read: x.yaml"


def test_a_thousand_workspaces_are_not_told_of_one_by_one():
    """GitHub takes a thousand statuses for a commit and context, and no more."""
    telling = commit(*(ws(f"w{n}") for n in range(1000)))
    told = 0
    for done in range(1001):
        statuses = {ws(f"w{n}"): status("Ready", id=ws(f"w{n}")) for n in range(done)}
        check = Check("reconciler/prod/ready", *progress(telling, "ready", statuses), "")
        if is_news(check, telling):
            telling.told[check.context], telling.told_at[check.context] = check, time.monotonic()
            told += 1
    assert told == 2
    assert telling.told["reconciler/prod/ready"].description == "1000 of 1000 ready"


class Slow:
    """A forge that takes its time; `while_posting` happens meanwhile."""

    def __init__(self):
        self.told, self.while_posting = [], None

    async def posted(self, sha, request=None):
        return {}

    async def post(self, sha, check, request=None):
        if self.while_posting is not None:
            happening, self.while_posting = self.while_posting, None
            happening()
        self.told.append((sha[:1], check.context.rpartition("/")[2], check.state, check.description))


async def test_a_commit_that_comes_while_another_is_told_of_closes_it_too():
    forge = Slow()
    checks = RolloutChecks(forge, "prod", 60.0, lambda: True, nothing)
    old = replace(desired(workspace_yaml("chat")), revision="1" * 40)
    checks.begin(old, frozenset({CHAT}))
    forge.while_posting = lambda: checks.begin(replace(old, revision="2" * 40), frozenset({CHAT}))
    telling = asyncio.create_task(checks.run(lambda *_: None))
    try:
        async with asyncio.timeout(5):
            while len({(sha, stage) for sha, stage, *_ in forge.told}) < 4 or len(forge.told) < 6:
                await asyncio.sleep(0.01)
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    last = {(sha, stage): (state, said) for sha, stage, state, said in forge.told}
    closed = f"superseded by {'2' * 12}"
    assert last["1", "apply"] == last["1", "ready"] == ("neutral", closed)
    assert last["2", "apply"][0] == "pending"
