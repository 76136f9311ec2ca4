"""Pull requests on a forge, answered by a running daemon: checks, comment, approvals, and after the merge."""

import asyncio
import json
import re

import pytest
from e2e.bed import NAMESPACE, inference, tuning
from plugins.forges import TOKEN, checks, deliver, login, webhook

from reconciler.dev.cloud.faults import Fault

STAGES = ("validate", "plan", "apply", "ready")
VALIDATE, PLAN, APPLY, READY = (f"reconciler/test/{stage}" for stage in STAGES)
TYPE = "Standard_NC6s_v3"


NO_NODES = Fault(kind="neverJoins")
"""What needs machines stays open."""


@pytest.fixture
async def reviewed(bed, forge):
    """A bed whose daemon answers requests; one workspace is running."""
    bed.settings["forge"] = login(forge, bed.root)
    bed.settings["review"] = {"pollSeconds": 0.2}
    bed.push({"chat.yaml": inference("chat")})
    await bed.run()
    await bed.until(lambda: ready(bed, "chat"), "the first workspace to be ready")
    return bed


async def ready(bed, name):
    return await bed.phase(name) == "Ready"


def propose(bed, forge, number, files, *, onto="origin/main", **more):
    """Pushes a branch and opens, or updates, its pull request; returns its head."""
    bed._git("fetch", "-q", "origin")
    bed._git("checkout", "-q", "--detach", onto)
    for name, text in files.items():
        path = bed.clone / "workspaces" / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    bed._git("add", "-A")
    bed._git("commit", "-q", "-m", f"Proposal {number}")
    bed._git("push", "-q", "-f", "origin", f"HEAD:refs/heads/topic-{number}", f"HEAD:refs/pull/{number}/head")
    head = bed._git("rev-parse", "HEAD").strip()
    bed._git("checkout", "-q", "main")
    if number in forge.pulls:
        forge.push(number, head)
    else:
        forge.open(number, head, branch=f"topic-{number}", **more)
    return head


def merge(bed, forge, number):
    """As the forge's button does: a merge commit on the branch."""
    bed._git("merge", "-q", "--no-ff", "-m", f"Merge request {number}", forge.pulls[number].head)
    bed._git("push", "-q", "origin", "HEAD:main")
    sha = bed._git("rev-parse", "HEAD").strip()
    forge.merge(number, sha)
    return sha


def history(forge, sha, context):
    """States in the order in which they were posted."""
    return [status["state"] for status in forge.statuses.get(sha, []) if status["context"] == context]


def says(forge, sha, **states):
    """Whether the checks of a commit have these states."""
    contexts = {"validate": VALIDATE, "plan": PLAN, "apply": APPLY, "ready": READY}

    async def so():
        found = checks(forge, sha)
        return all(found.get(contexts[name], ("",))[0] == state for name, state in states.items())

    return so


async def told(bed, forge, sha, seconds=30.0, **states):
    what = f"{sha[:7]} to be {states}, not {checks(forge, sha)}"
    await bed.until(says(forge, sha, **states), what, seconds)
    return {name.rpartition("/")[2]: said for name, (_, said) in checks(forge, sha).items()}


async def test_a_request_gets_checks_and_one_comment_that_follows_it(reviewed, forge):
    bed = reviewed
    head = propose(bed, forge, 1, {"new.yaml": inference("new", count=2)})
    said = await told(bed, forge, head, validate="success", plan="success")
    assert said["validate"] == "workspaces: 1 changed, valid; 1 warning"
    assert said["plan"].startswith("workspaces: 1 to create; +2 GPUs, +6.12 $/h, +4,468 $/month; plan ")
    assert history(forge, head, PLAN) == ["pending", "success"]
    await bed.until(lambda: comments(forge, 1, 1), "the comment")
    (comment,) = forge.pulls[1].comments
    assert "### Plan `" in comment["body"] and f"{NAMESPACE}/new" in comment["body"]
    assert f"| <code>{TYPE}</code> | 1 | 3 |" in comment["body"]

    second = propose(bed, forge, 1, {"new.yaml": inference("new", count=1)})
    await told(bed, forge, second, validate="success", plan="success")

    async def follows():
        return f"| <code>{TYPE}</code> | 1 | 2 |" in forge.pulls[1].comments[0]["body"]

    await bed.until(follows, "the comment to follow")
    assert len(forge.pulls[1].comments) == 1
    assert await bed.names("Workspace") == {"chat"}, "a request changes nothing"


async def comments(forge, number, count):
    return len(forge.pulls[number].comments) == count


CASES = {
    "nothing in scope": (
        {"../docs/README.md": "x"},
        {},
        ("success", "nothing for test"),
        ("success", "nothing for test"),
    ),
    "not valid": (
        {"new.yaml": inference("new").replace("phi-3", "phi-33")},
        {},
        ("failure", "workspaces/new.yaml:"),
        ("failure", "not valid: see validate"),
    ),
    "an immutable field": (
        {"chat.yaml": inference("chat", count=3)},
        {},
        ("success", "workspaces: 1 changed, valid"),
        ("failure", "ImmutableField ai/chat"),
    ),
    "a stranger's": (
        {"new.yaml": inference("new")},
        {"association": "NONE", "fork": "eve/specs"},
        ("success", "workspaces: 1 changed, valid"),
        ("success", "not planned: its author is no member"),
    ),
    "a workspace that another file declares": (
        {"twin.yaml": inference("chat")},
        {},
        ("failure", "workspaces/chat.yaml:"),
        ("failure", "not valid: see validate"),
    ),
}


@pytest.mark.dev_only
@pytest.mark.parametrize(("files", "who", "validity", "plan"), CASES.values(), ids=CASES)
async def test_verdicts(reviewed, forge, files, who, validity, plan):
    """On the development server alone: nothing of it depends on the server."""
    head = propose(reviewed, forge, 1, files, **who)
    await told(reviewed, forge, head, validate=validity[0], plan=plan[0])
    found = checks(forge, head)
    assert found[VALIDATE][1].startswith(validity[1])
    assert found[PLAN][1].startswith(plan[1])


@pytest.mark.dev_only
async def test_a_label_lets_a_strangers_request_be_planned(reviewed, forge):
    """On the development server alone: nothing of it depends on the server."""
    head = propose(reviewed, forge, 1, {"new.yaml": inference("new")}, association="NONE", fork="eve/specs")
    await told(reviewed, forge, head, plan="success")
    assert forge.pulls[1].comments == []
    forge.label(1, "reconciler/plan", "bob")
    await reviewed.until(lambda: comments(forge, 1, 1), "the plan of a labelled request")
    assert checks(forge, head)[PLAN][1].startswith("workspaces: 1 to create")


async def test_a_request_is_planned_anew_when_the_branch_or_the_cluster_moves(reviewed, forge):
    bed = reviewed
    head = propose(bed, forge, 1, {"chat.yaml": inference("chat", annotations={"team/x": "y"})})
    await told(bed, forge, head, plan="success")
    bed.push({"chat.yaml": inference("chat", annotations={"team/x": "z"})})
    await told(bed, forge, head, validate="failure", plan="failure")
    assert checks(forge, head)[PLAN][1] == "cannot be merged: it conflicts in workspaces/chat.yaml"

    second = propose(bed, forge, 2, {"new.yaml": inference("new")})
    said = await told(bed, forge, second, plan="success")
    assert said["plan"].startswith("workspaces: 1 to create")
    bed.push({"new.yaml": inference("new")})

    async def nothing_left():
        return checks(forge, second)[PLAN][1] == "nothing for test"

    await bed.until(nothing_left, "the plan to come out empty once the branch has it")


@pytest.mark.dev_only
async def test_without_the_cluster_specs_are_validated_all_the_same(reviewed, forge):
    """On the development server alone: the way to it is what is cut."""
    bed = reviewed
    await bed.api.stop()
    head = propose(bed, forge, 1, {"new.yaml": inference("new")})
    said = await told(bed, forge, head, validate="success", plan="failure")
    assert said["validate"].startswith("workspaces: 1 changed, valid")
    assert said["plan"] == "not planned: cluster cannot be read"


@pytest.mark.dev_only
async def test_a_daemon_that_begins_without_its_cluster_answers_what_needs_none(reviewed, forge):
    """On the development server alone: the way to it is what is cut."""
    bed = reviewed
    planned = propose(bed, forge, 1, {"new.yaml": inference("new")})
    before = await told(bed, forge, planned, validate="success", plan="success")
    await bed.kill()
    bed.api.away = True
    await bed.launch()
    valid = propose(bed, forge, 2, {"other.yaml": inference("other")})
    wrong = propose(bed, forge, 3, {"other.yaml": inference("other").replace("phi-3", "phi-33")})
    said = await told(bed, forge, valid, 90.0, validate="success", plan="failure")
    assert said["validate"].startswith("workspaces: 1 changed, valid")
    assert said["plan"] == "not planned: the cluster could not be read since the daemon began"
    await told(bed, forge, wrong, validate="failure", plan="failure")
    assert checks(forge, planned)[PLAN][1] == before["plan"], "what somebody saw stands"
    bed.api.away = False
    said = await told(bed, forge, valid, 90.0, plan="success")
    assert said["plan"].startswith("workspaces: 1 to create")
    assert history(forge, planned, PLAN) == ["pending", "success"]


@pytest.mark.dev_only
async def test_a_forge_that_refuses_is_told_where_people_look(reviewed, forge):
    """On the development server alone: nothing of it depends on the server."""
    bed = reviewed
    forge.tokens.clear()

    async def said(status):
        return (await bed.condition("ReviewBlocked")).get("status") == status

    await bed.until(lambda: said("True"), "the condition")
    found = await bed.condition("ReviewBlocked")
    assert (found["reason"], "does not accept the login" in found["message"]) == ("NotPermitted", True)
    forge.tokens[TOKEN] = "reconciler-bot"
    await bed.until(lambda: said("False"), "the condition to end", 60.0)


async def test_a_webhook_is_why_nothing_waits_for_a_poll(bed, forge):
    """Requests and pushes are learnt of at once, though the daemon looks by itself only once an hour."""
    bed.settings["source"]["pollSeconds"] = 3600
    bed.settings["forge"] = login(forge, bed.root)
    bed.settings["review"] = {"pollSeconds": 3600}
    bed.settings["web"]["webhooks"] = [webhook(bed.root)]
    await bed.run()
    await asyncio.sleep(0.5)  # what a start looks at by itself is over
    head = propose(bed, forge, 1, {"new.yaml": inference("new")})
    assert await deliver(bed.port, "pull_request", {"number": 1}) == 202
    await told(bed, forge, head, validate="success", plan="success")
    merge(bed, forge, 1)
    assert await deliver(bed.port, "push", {"ref": "refs/heads/other"}) == 202
    assert await deliver(bed.port, "push", {"ref": "refs/heads/main"}) == 202
    await bed.until(lambda: ready(bed, "new"), "the merged workspace to be ready")


async def test_after_the_merge_the_commit_is_followed_until_all_is_ready(reviewed, forge):
    bed = reviewed
    propose(bed, forge, 1, {"new.yaml": inference("new")})
    sha = merge(bed, forge, 1)
    said = await told(bed, forge, sha, apply="success", ready="success")
    assert said["apply"] == "1 of 1 applied" and said["ready"] == "1 of 1 ready"
    assert history(forge, sha, APPLY)[0] == "pending", "never green before anything was done"
    assert history(forge, sha, READY)[0] == "pending"


@pytest.mark.dev_only
async def test_a_newer_commit_closes_what_is_still_open_of_an_older(reviewed, forge):
    """On the development server alone: nothing of it depends on the server."""
    bed = reviewed
    bed.world.cloud.cloud.inject(NO_NODES)
    older = bed.push({"tune.yaml": tuning("tune", image="registry.example.com/a:1")})
    await bed.until(says(forge, older, ready="pending"), "the first commit to be told of")
    newer = bed.push({"tune.yaml": None})
    await told(bed, forge, newer, apply="success", ready="success")
    assert "pending" not in {state for state, _ in checks(forge, older).values()}
    assert checks(forge, older)[READY][1] in (f"superseded by {newer[:12]}", "1 of 1 ready")


@pytest.mark.dev_only
async def test_a_restart_tells_nothing_twice(reviewed, forge):
    """On the development server alone: nothing of it depends on the server."""
    bed = reviewed
    sha = bed._git("rev-parse", "HEAD").strip()
    await told(bed, forge, sha, apply="success", ready="success")
    before = len(forge.statuses[sha])
    head = propose(bed, forge, 1, {"new.yaml": inference("new")})
    await told(bed, forge, head, validate="success", plan="success")
    await bed.until(lambda: comments(forge, 1, 1), "the comment")
    await bed.kill()
    asked = len(forge.asked)
    await bed.run()

    async def looked():
        return len(forge.asked) > asked + 10

    await bed.until(looked, "the new process to have looked at the requests")
    assert history(forge, head, PLAN) == ["pending", "success"]
    assert history(forge, head, VALIDATE) == ["pending", "success"]
    assert len(forge.pulls[1].comments) == 1
    assert len(forge.statuses[sha]) == before, "what was told to its end is not begun again"


@pytest.mark.dev_only
async def test_what_was_open_before_a_restart_is_closed_after_it(reviewed, forge):
    """On the development server alone: nothing of it depends on the server."""
    bed = reviewed
    bed.world.cloud.cloud.inject(NO_NODES)
    older = bed.push({"tune.yaml": tuning("tune", image="registry.example.com/a:1")})
    await told(bed, forge, older, ready="pending")
    await bed.kill()
    bed.push({"../notes.md": "one commit that nobody ever told of"})
    newer = bed.push({"tune.yaml": None})
    await bed.run()
    said = await told(bed, forge, older, ready="success")
    assert said["ready"] == f"superseded by {newer[:12]}"
    await told(bed, forge, newer, apply="success", ready="success")


@pytest.mark.parametrize("how", ["label", "review"])
async def test_an_approval_on_the_request_lets_a_large_change_through(reviewed, forge, how):
    bed = reviewed
    await bed.kill()
    bed.settings["limits"] = {"approveGpus": 1}
    await bed.run()
    head = propose(bed, forge, 1, {"new.yaml": inference("new", count=2)})
    said = await told(bed, forge, head, plan="success")
    assert said["plan"].startswith("to acknowledge: ")
    group = said["plan"].removeprefix("to acknowledge: ").partition(";")[0]
    if how == "review":
        forge.review(1, "bob")
    sha = merge(bed, forge, 1)
    if how == "label":
        await told(bed, forge, sha, apply="failure")
        assert "ApprovalNeeded" in checks(forge, sha)[APPLY][1]
        forge.label(1, f"reconciler-ack/{group}", "ada")  # the author's own does not count
        forge.label(1, f"reconciler-ack/{group}", "bob")
    await told(bed, forge, sha, apply="success", ready="success")


@pytest.mark.dev_only
async def test_only_the_listed_team_approves(reviewed, forge):
    """On the development server alone: nothing of it depends on the server."""
    bed = reviewed
    await bed.kill()
    bed.settings["limits"] = {"approveGpus": 1}
    bed.settings["review"]["approvers"] = ["org/platform", "org/no-such-team"]
    forge.teams = {"org/platform": ["Bob", "ada"]}
    await bed.run()
    head = propose(bed, forge, 1, {"new.yaml": inference("new", count=2)})
    await told(bed, forge, head, plan="success")
    for who in ("eve", "ada"):  # a member outside the team, and the author, who is in it
        forge.review(1, who)
    sha = merge(bed, forge, 1)
    await told(bed, forge, sha, apply="failure")
    asked = len(forge.asked)

    async def looked():
        return sum("/reviews" in each.path for each in forge.asked[asked:]) > 2

    await bed.until(looked, "the approvals to be looked at")
    assert "ApprovalNeeded" in checks(forge, sha)[APPLY][1]
    forge.review(1, "bob")
    await told(bed, forge, sha, apply="success", ready="success")


# --- strangers -------------------------------------------------------------------------------------

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20))
MARKUP = "<img src=x onerror=alert(1)> @everyone [x](http://evil.example) ```</pre></details>"


def hostile(bed):
    """Files that somebody might hope to get something by."""
    folder = bed.clone / "workspaces"
    (folder / "bomb.yaml").write_text(BOMB)
    (folder / "deep.yaml").write_text("[" * 200_000)
    (folder / "nul.yaml").write_bytes(b"a: \x00\xff\xfe")
    (folder / "huge.yaml").write_text("a: " + "x" * 3_000_000)
    (folder / "number.yaml").write_text("a: " + "9" * 100_000)
    (folder / "passwd.yaml").symlink_to("/etc/passwd")
    (folder / "token.yaml").symlink_to(bed.root / "token")
    (folder / "markup.yaml").write_text(inference("new").replace("name: new", f"name: '{MARKUP}'"))
    named = folder / "@everyone <b> ```.yaml"
    named.write_text("apiVersion: kaito.sh/v1alpha1\nkind: Workspace\n")
    (bed.clone / "reconciler.yaml").write_text("mode: full\nlimits: {maxDeleted: 1000000}\n")
    (bed.clone / ".gitattributes").write_text("* filter=evil\n")
    (bed.clone / ".gitmodules").write_text(
        '[submodule "x"]\n\tpath = x\n\turl = --upload-pack=touch /tmp/x\n'
    )


@pytest.mark.dev_only
async def test_a_hostile_request_leaves_the_daemon_healthy_and_leaks_nothing(reviewed, forge):
    """On the development server alone: nothing of it depends on the server."""
    bed = reviewed
    bed._git("fetch", "-q", "origin")
    bed._git("checkout", "-q", "--detach", "origin/main")
    hostile(bed)
    bed._git("add", "-A")
    bed._git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},workspaces/module.yaml")
    bed._git("commit", "-q", "-m", "Hello <script>")
    bed._git("push", "-q", "-f", "origin", "HEAD:refs/pull/66/head")
    head = bed._git("rev-parse", "HEAD").strip()
    bed._git("checkout", "-q", "-f", "main")
    bed._git("clean", "-q", "-f", "-d")
    forge.open(66, head, branch="evil", title=MARKUP)
    said = await told(bed, forge, head, validate="failure", plan="failure")
    assert said["plan"] == "not valid: see validate"
    shown = json.dumps([forge.statuses[head], forge.pulls[66].comments])
    assert TOKEN not in shown and "root:x" not in shown
    for comment in forge.pulls[66].comments:
        outside = re.sub(r"<pre>.*?</pre>|<code>.*?</code>|`[^`]*`", "", comment["body"], flags=re.S)
        assert not {"@", "<img", "](", "<script"} & set(re.findall(r"@|<img|\]\(|<script", outside))
    other = propose(bed, forge, 67, {"fine.yaml": inference("fine")})
    await told(bed, forge, other, validate="success", plan="success")
    assert await ready(bed, "chat")
    assert bed.settings["mode"] == "full" and await bed.names("Workspace") == {"chat"}
