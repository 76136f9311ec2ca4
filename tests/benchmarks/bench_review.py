"""How long a pull request waits for its answer, in a repository of ten thousand workspaces.

`make bench` runs it. All workspaces are ready, on the development cluster, which shares the cores with the
daemon. Git over HTTP, the webhook, the planner and the posts to a stand-in of GitHub are real. Times are
printed, never asserted; what is posted is asserted. Beside them, in the same run, the same requests to the
forge by a bare HTTP client.
"""

import asyncio
import os
import statistics
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from e2e.bed import inference
from plugins.forges import REPOSITORY, TOKEN, checks, deliver, login, webhook

from reconciler.dev.forge.github import API

NUMBER = int(os.environ.get("WORKSPACES", "10000"))
REQUESTS = int(os.environ.get("REQUESTS", "100"))
MODE = os.environ.get("MODE", "full")
RUNS = int(os.environ.get("RUNS", "5"))
PLAN, VALIDATE = "reconciler/test/plan", "reconciler/test/validate"

pytestmark = pytest.mark.timeout(1800)


def path_of(number):
    return f"team{number // 100:03d}/w{number:05d}.yaml"


async def until(done, what, seconds=300.0):
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < seconds, what
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def proposal(bed, forge, number, files):
    """A branch on main's tip with a pull request; nobody is told yet. Returns its head."""
    bed._git("checkout", "-q", "--detach", "origin/main")
    for name, text in files.items():
        path = bed.clone / "workspaces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    bed._git("add", "-A")
    bed._git("commit", "-q", "-m", f"Proposal {number}")
    bed._git("push", "-q", "-f", "origin", f"HEAD:refs/pull/{number}/head")
    return bed._git("rev-parse", "HEAD").strip()


def opened(forge, number, head):
    if number in forge.pulls:
        forge.push(number, head)
    else:
        forge.open(number, head, branch=f"topic-{number}")


def answered(forge, number, head):
    found = checks(forge, head)
    told = {found.get(context, ("pending",))[0] for context in (PLAN, VALIDATE)}
    return "pending" not in told and bool(forge.pulls[number].comments)


async def raw(forge):
    """The same six requests by a bare client: list, two looks, two posts, one comment."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    repo = f"{API}/repos/{REPOSITORY}"
    async with httpx.AsyncClient(base_url=forge.url, headers=headers) as http:
        began = time.monotonic()
        await http.get(f"{repo}/pulls")
        await http.get(f"{repo}/commits/{'f' * 40}/status")
        for state in ("pending", "pending", "success", "success"):
            await http.post(f"{repo}/statuses/{'f' * 40}", json={"state": state, "context": state})
        await http.get(f"{API}/user")
        await http.get(f"{repo}/issues/1/comments")
        return time.monotonic() - began


@pytest.fixture
async def fleet(bed, forge):
    """A daemon all of whose workspaces are ready, and which looks only where a webhook says so.

    With MODE=observe nothing of them is ever made, which takes minutes less.
    """
    bed.settings["mode"] = MODE
    bed.settings["source"]["pollSeconds"] = 3600
    bed.settings["status"] = {"ref": "off"}
    bed.settings["kubernetes"]["leaseSeconds"] = 60
    bed.settings["forge"] = login(forge, bed.root)
    bed.settings["review"] = {"pollSeconds": 3600}
    bed.settings["web"]["webhooks"] = [webhook(bed.root)]
    bed.push({path_of(n): inference(f"w{n:05d}") for n in range(NUMBER)})
    await bed.run()

    async def all_ready():
        await asyncio.sleep(1)
        with suppress(httpx.HTTPError):  # while ten thousand are made, nobody is quick
            found = await bed.metrics()
            return found.get('workspace_reconciler_workspaces{phase="Ready"}', 0) == NUMBER
        return False

    if MODE != "observe":
        await bed.until(all_ready, "all to be ready", 900.0)
    bed._git("fetch", "-q", "origin")
    return bed


async def test_reviews(fleet, forge, capsys):
    single, floor = await one_by_one(fleet, forge)
    heads, first = await many(fleet, forge)
    before = cpu_seconds(fleet)
    one, again = await merged(fleet, forge, heads[2])
    spent = cpu_seconds(fleet) - before
    with capsys.disabled():
        middle = statistics.median
        ratio = middle(single) / middle(floor)
        print(f"\n{NUMBER} workspaces, mode {MODE}")
        print(f"webhook → checks and comment, one changed: {middle(single):.2f} s (median of {RUNS})")
        print(f"the same requests by a bare client: {middle(floor):.3f} s, {ratio:.0f} times as fast")
        print(f"{REQUESTS} requests answered for the first time: {first:.1f} s")
        print(f"one of them merged: its own answer {one:.2f} s, all planned anew {again:.1f} s")
        print(f"CPU time of the daemon for that: {spent:.1f} s")


async def one_by_one(bed, forge):
    """Seconds from the webhook to the answer, and of the same requests bare, of each run."""
    single, floor = [], []
    for run in range(RUNS):
        head = proposal(bed, forge, 1, {path_of(0): inference("w00000", strength=f"0.{run + 1}")})
        opened(forge, 1, head)
        began = time.monotonic()
        await deliver(bed.port, "pull_request", {"number": 1})
        await until(lambda head=head: answered(forge, 1, head), "the answer")
        single.append(time.monotonic() - began)
        floor.append(await raw(forge))
    return single, floor


async def many(bed, forge):
    """Heads by number, and seconds until all are answered."""
    numbers = range(2, REQUESTS + 2)
    heads = {n: proposal(bed, forge, n, {path_of(n): changed(n)}) for n in numbers}
    for number, head in heads.items():
        opened(forge, number, head)
    began = time.monotonic()
    await deliver(bed.port, "pull_request", {"number": 2})
    await until(lambda: all(answered(forge, n, head) for n, head in heads.items()), "all answers")
    return heads, time.monotonic() - began


async def merged(bed, forge, head):
    """Seconds from the webhook until the merged one has nothing left, and until all are planned anew."""
    bed._git("checkout", "-q", "main")
    before = await reviewed(bed)
    bed.push({path_of(2): changed(2)})
    began = time.monotonic()
    await deliver(bed.port, "push", {"ref": "refs/heads/main"})
    await until(lambda: checks(forge, head).get(PLAN) == ("success", "nothing for test"), "the merged one")
    one = time.monotonic() - began
    while await reviewed(bed) < before + len(forge.pulls):
        await asyncio.sleep(0.1)
    return one, time.monotonic() - began


def changed(number):
    return inference(f"w{number:05d}", annotations={"team/x": "y"})


def cpu_seconds(bed):
    """Of the daemon so far: what other programs take of the machine does not count."""
    stat = Path(f"/proc/{bed.daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


async def reviewed(bed):
    """How many answers were worked out so far."""
    found = await bed.metrics()
    return sum(v for name, v in found.items() if name.startswith("workspace_reconciler_review_seconds_count"))
