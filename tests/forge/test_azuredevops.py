"""What is Azure's own: iterations, threads, votes, the page to sign in."""

import pytest

from reconciler.errors import NotPermitted, NotYet
from reconciler.model.review import Check

ONE, TWO = "1" * 40, "2" * 40
CHECK = Check("reconciler/prod/plan", "success", "1 to create", "https://reconciler.example.com")


async def test_a_status_is_for_the_iteration_of_its_commit(azure):
    azure.open(7, ONE)
    azure.server.push(7, TWO)
    request = await azure.request()
    await azure.forge.post(TWO, CHECK, request)
    (status,) = azure.server.pulls[7].statuses
    assert status["iterationId"] == 2
    assert status["context"] == {"genre": "reconciler/prod", "name": "plan"}
    assert status["targetUrl"] == CHECK.link


async def test_a_commit_that_is_no_iteration_yet_is_waited_for(azure):
    azure.open(7, ONE)
    with pytest.raises(NotYet, match="no iteration of pull request 7"):
        await azure.forge.post(TWO, CHECK, await azure.request())
    assert azure.server.pulls[7].statuses == []


async def test_a_head_that_comes_back_is_told_anew(azure):
    azure.open(7, ONE)
    await azure.forge.post(ONE, CHECK, await azure.request())
    azure.server.push(7, TWO)
    azure.server.push(7, ONE)
    assert await azure.again().posted(ONE, await azure.request()) == {}


async def test_a_comment_leaves_no_open_thread(azure):
    azure.open(7, ONE)
    await azure.forge.comment(await azure.request(), "prod/plan", "the plan")
    (thread,) = (asked.body for asked in azure.server.writes())
    assert thread["status"] == "closed"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        pytest.param(203, {}, id="the page itself"),
        pytest.param(
            302, {"Location": "https://spsprodweu1.vssps.visualstudio.com/_signin?r=1"}, id="a redirect"
        ),
    ],
)
async def test_a_page_to_sign_in_means_that_the_token_is_bad(azure, status, headers):
    azure.server.fail(status, headers=headers, body=b"<html>Sign in</html>")
    with pytest.raises(NotPermitted, match=r"forge\.tokenFile is wrong or expired"):
        await azure.forge.open_requests()


@pytest.mark.parametrize(
    ("votes", "approves"),
    [
        pytest.param([10], True, id="approved"),
        pytest.param([5], True, id="approved with suggestions"),
        pytest.param([10, 0], False, id="taken back"),
        pytest.param([10, -5], False, id="waits for the author"),
        pytest.param([-10, 10], True, id="convinced"),
    ],
)
async def test_the_last_vote_counts(azure, votes, approves):
    azure.open(7, ONE)
    for vote in votes:
        azure.server.review(7, "bob", vote)
    assert bool(await azure.forge.approvals(await azure.request())) == approves


async def test_a_request_whose_head_azure_has_yet_to_find_waits(azure):
    azure.open(7, ONE)
    azure.open(8, "", branch="other")
    assert [request.number for request in await azure.forge.open_requests()] == [7]


async def test_the_head_of_a_fork_comes_with_its_merge(azure):
    azure.open(7, ONE, fork=True)
    assert (await azure.request()).fetch_ref == "refs/pull/7/merge"
