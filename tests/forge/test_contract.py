"""What every forge's driver promises. A further driver joins with an entry in BENCHES."""

import asyncio

import pytest

from reconciler.errors import InvalidSpec
from reconciler.model.review import Check

ONE, TWO = "1" * 40, "2" * 40
PLAN = Check("reconciler/prod/plan", "success", "1 to create", "https://reconciler.example.com/7")


def stated(state: str, description: str = "1 to create") -> Check:
    return Check(PLAN.context, state, description, PLAN.link)


# --- requests


async def test_a_request_is_told_as_it_is(bench):
    bench.open(7, ONE)
    bench.server.label(7, "approved", "bob")
    request = await bench.request(7)
    assert (request.head, request.branch, request.base, request.author) == (ONE, "change", "main", "ada")
    assert request.labels == {"approved"}
    assert request.link.startswith(bench.server.url)
    assert request.link.endswith("/7")
    assert request.fetch_ref in ("refs/pull/7/head", "refs/merge-requests/7/head", "refs/heads/change")


@pytest.mark.parametrize(
    ("author", "fork", "trusted"),
    [
        pytest.param("ada", False, True, id="a member's branch"),
        pytest.param("ada", True, False, id="a member's fork"),
        pytest.param("eve", True, False, id="an outsider's fork"),
        pytest.param("eve", False, None, id="an outsider's request for a branch of the repository"),
    ],
)
async def test_only_members_with_a_branch_of_the_repository_are_trusted(bench, author, fork, trusted):
    bench.open(7, ONE, author=author, fork=fork)
    request = await bench.request(7)
    assert request.fork == fork
    assert request.trusted == (bench.outsiders_trusted if trusted is None else trusted)


async def test_all_pages_are_read(bench):
    for number in range(1, 231):
        bench.open(number, f"{number:040}")
    assert [r.number for r in await bench.forge.open_requests()] == list(range(1, 231))


async def test_what_is_unchanged_stays_the_same_object(bench):
    bench.open(7, ONE)
    bench.open(8, TWO, branch="other")
    seven, eight = await bench.forge.open_requests()
    again = await bench.forge.open_requests()
    assert again[0] is seven
    assert again[1] is eight
    bench.server.push(7, "3" * 40)
    changed, kept = await bench.forge.open_requests()
    assert changed.head == "3" * 40
    assert kept is eight


async def test_a_merged_request_is_open_no_more(bench):
    bench.open(7, ONE)
    bench.server.merge(7, TWO)
    assert list(await bench.forge.open_requests()) == []


async def test_a_commit_leads_to_the_request_it_came_by(bench):
    bench.open(7, ONE)
    bench.open(8, "4" * 40, branch="other")
    bench.server.merge(7, TWO)
    assert (await bench.forge.merged_as(TWO)).number == 7
    assert (await bench.forge.merged_as(ONE)).number == 7
    assert await bench.forge.merged_as("4" * 40) is None  # open
    assert await bench.forge.merged_as("5" * 40) is None


# --- checks


@pytest.mark.parametrize("state", ["pending", "success", "failure", "neutral"])
async def test_each_state_has_its_word(bench, state):
    bench.open(7, ONE)
    await bench.forge.post(ONE, stated(state), await bench.request())
    assert bench.shown(ONE, 7) == {PLAN.context: (bench.states[state], "1 to create")}
    read = await bench.again().posted(ONE, await bench.request())
    assert read[PLAN.context].state == (bench.neutral_reads if state == "neutral" else state)


async def test_a_check_goes_from_state_to_state(bench):
    bench.open(7, ONE)
    request = await bench.request()
    for state in ("pending", "failure", "pending", "success"):
        await bench.forge.post(ONE, stated(state), request)
        assert bench.shown(ONE, 7)[PLAN.context][0] == bench.states[state]
        assert (await bench.again().posted(ONE, request))[PLAN.context].state == state


async def test_after_the_merge_a_commit_is_told_of_without_a_request(bench):
    await bench.forge.post(TWO, stated("success", "applied"))
    assert bench.shown(TWO) == {PLAN.context: (bench.states["success"], "applied")}
    assert (await bench.again().posted(TWO))[PLAN.context].description == "applied"


async def test_nothing_is_said_twice(bench):
    bench.open(7, ONE)
    request = await bench.request()
    await bench.forge.post(ONE, PLAN, request)
    told = len(bench.server.writes())
    await bench.forge.post(ONE, PLAN, request)
    assert len(bench.server.writes()) == told


@pytest.mark.parametrize("state", ["pending", "success", "failure", "neutral"])
async def test_nothing_is_said_again_after_a_restart(bench, state):
    bench.open(7, ONE)
    long = Check(PLAN.context, state, "a long story " * 50, PLAN.link)
    await bench.forge.post(ONE, long, await bench.request())
    told = len([asked for asked in bench.server.writes() if "access_tokens" not in asked.path])
    await bench.again().post(ONE, long, await bench.request())
    assert len([asked for asked in bench.server.writes() if "access_tokens" not in asked.path]) == told


async def test_a_new_head_is_told_anew(bench):
    bench.open(7, ONE)
    await bench.forge.post(ONE, PLAN, await bench.request())
    bench.server.push(7, TWO)
    assert await bench.forge.posted(TWO, await bench.request()) == {}
    await bench.forge.post(TWO, PLAN, await bench.request())
    assert bench.shown(TWO, 7) == {PLAN.context: (bench.states["success"], "1 to create")}


async def test_many_contexts_are_read_back(bench):
    bench.open(7, ONE)
    request = await bench.request()
    for number in range(120):
        await bench.forge.post(ONE, Check(f"reconciler/{number}/plan", "success", "ok", ""), request)
    read = await bench.again().posted(ONE, request)
    assert len(read) == 120
    assert read["reconciler/3/plan"] == Check("reconciler/3/plan", "success", "ok", "")


@pytest.mark.parametrize("letter", ["a", "é", "🚀"])
async def test_a_long_description_is_cut_by_code_points(bench, letter):
    bench.open(7, ONE)
    await bench.forge.post(ONE, stated("failure", letter * 1000), await bench.request())
    _, description = bench.shown(ONE, 7)[PLAN.context]
    assert description == letter * (bench.description_limit - 1) + "…"


async def test_what_was_heard_though_the_answer_was_lost_is_not_said_again(bench):
    bench.open(7, ONE)
    request = await bench.request()
    await bench.forge.post(ONE, stated("pending"), request)
    bench.server.fail(502, of="POST", after=True)
    bench.server.fail(502, of="PATCH", after=True)
    with pytest.raises(Exception, match="502"):
        await bench.forge.post(ONE, PLAN, request)
    told = len(bench.server.writes())
    await bench.forge.post(ONE, PLAN, request)
    assert len(bench.server.writes()) == told
    assert bench.shown(ONE, 7)[PLAN.context][0] == bench.states["success"]


# --- comments


async def test_there_is_one_comment_and_it_is_kept_up_to_date(bench):
    bench.open(7, ONE)
    request = await bench.request()
    await bench.forge.comment(request, "prod/plan", "first")
    await bench.again().comment(request, "prod/plan", "second")
    assert bench.said(7) == ["<!-- reconciler:prod/plan -->\nsecond"]


async def test_an_equal_comment_is_left_alone(bench):
    bench.open(7, ONE)
    request = await bench.request()
    await bench.forge.comment(request, "prod/plan", "the plan\n")
    told = len(bench.server.writes())
    await bench.forge.comment(request, "prod/plan", "the plan\r\n")
    assert len(bench.server.writes()) == told


async def test_each_marker_has_its_comment(bench):
    bench.open(7, ONE)
    request = await bench.request()
    for marker in ("prod/plan", "test/plan", "prod/plan"):
        await bench.forge.comment(request, marker, marker)
    assert len(bench.said(7)) == 2


async def test_comments_at_the_same_time_become_one(bench):
    bench.open(7, ONE)
    request = await bench.request()
    await asyncio.gather(*(bench.forge.comment(request, "prod/plan", "the plan") for _ in range(5)))
    assert len(bench.said(7)) == 1


async def test_another_accounts_comment_under_our_marker_is_neither_taken_nor_changed(bench):
    bench.open(7, ONE)
    forged = "<!-- reconciler:prod/plan -->\nno changes, trust me"
    bench.server.comment(7, "eve", forged)
    await bench.forge.comment(await bench.request(), "prod/plan", "the plan")
    assert bench.said(7) == [forged, "<!-- reconciler:prod/plan -->\nthe plan"]


async def test_our_comment_is_found_behind_many(bench):
    bench.open(7, ONE)
    request = await bench.request()
    for _ in range(130):
        bench.server.comment(7, "eve", "hello")
    await bench.forge.comment(request, "prod/plan", "first")
    await bench.again().comment(request, "prod/plan", "second")
    assert bench.said(7)[130:] == ["<!-- reconciler:prod/plan -->\nsecond"]


async def test_a_comment_that_is_too_long_is_cut_and_says_so(bench):
    bench.open(7, ONE)
    request = await bench.request()
    await bench.forge.comment(request, "prod/plan", "🚀" * (bench.comment_limit + 1))
    (said,) = bench.said(7)
    assert len(said) == bench.comment_limit
    assert "was cut" in said[-100:]
    told = len(bench.server.writes())
    await bench.forge.comment(request, "prod/plan", "🚀" * (bench.comment_limit + 1))
    assert len(bench.server.writes()) == told


async def test_a_comment_whose_answer_was_lost_is_not_made_twice(bench):
    bench.open(7, ONE)
    request = await bench.request()
    await bench.forge.comment(request, "other", "warms up the login")
    bench.server.fail(502, of="POST", after=True)
    with pytest.raises(Exception, match="502"):
        await bench.forge.comment(request, "prod/plan", "the plan")
    await bench.forge.comment(request, "prod/plan", "the plan")
    assert len(bench.said(7)) == 2


async def test_secrets_are_told_to_nobody(bench):
    bench.open(7, ONE)
    request = await bench.request()
    leak = "pulling https://me:hunter2hunter2@registry.example.com"
    await bench.forge.post(ONE, stated("failure", leak), request)
    await bench.forge.comment(request, "prod/plan", leak)
    assert "hunter2" not in str(bench.shown(ONE, 7)) + str(bench.said(7))


# --- approvals


async def approvals(bench):
    return [(a.how, a.label, a.who, a.sha) for a in await bench.forge.approvals(await bench.request())]


async def test_a_label_tells_who_set_it(bench):
    bench.open(7, ONE)
    bench.server.label(7, "approved", "bob")
    told = [("label", "approved", "bob", ONE)] if bench.labels_have_names else []
    assert await approvals(bench) == told


async def test_a_label_from_before_the_head_approves_nothing(bench):
    bench.open(7, ONE)
    bench.server.label(7, "approved", "bob")
    bench.server.push(7, TWO)
    assert await approvals(bench) == []
    bench.server.unlabel(7, "approved", "bob")
    assert await approvals(bench) == []
    bench.server.label(7, "approved", "ada")
    told = [("label", "approved", "ada", TWO)] if bench.labels_have_names else []
    assert await approvals(bench) == told


async def test_a_review_approves_the_head_it_was_given_for(bench):
    bench.open(7, ONE)
    bench.server.review(7, "bob")
    assert await approvals(bench) == [("review", "", "bob", ONE)]
    bench.server.push(7, TWO)
    assert await approvals(bench) == []


# --- teams


async def test_a_team_is_all_of_its_accounts(bench):
    many = [f"Person-{number}" for number in range(230)]
    bench.server.teams = {"org/platform team": ["Bob", *many]}
    assert await bench.forge.members("org/platform team") == {"bob", *map(str.lower, many)}


async def test_a_team_is_asked_for_once_in_a_while(bench):
    bench.server.teams = {"org/platform": ["bob"]}
    for _ in range(5):
        await bench.forge.members("org/platform")
    assert sum("members" in asked.path for asked in bench.server.asked) == 1


async def test_a_team_that_is_not_shown_is_named(bench):
    with pytest.raises(InvalidSpec, match=r"review\.approvers: org/nobody is shown to this login as no team"):
        await bench.forge.members("org/nobody")
