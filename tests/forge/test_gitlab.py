"""What is GitLab's own: pipelines, locks, transitions, forks."""

import pytest
from forge.gitlab_server import FORK, OWN

from reconciler.errors import Conflict, NotPermitted
from reconciler.model.review import Check

ONE, TWO = "1" * 40, "2" * 40
CHECK = Check("reconciler/prod/plan", "pending", "looking", "")


async def test_a_status_joins_the_pipeline_of_its_commit(gitlab):
    gitlab.open(7, ONE)
    gitlab.server.run_pipeline(OWN, ONE, "refs/merge-requests/7/head")
    newest = gitlab.server.run_pipeline(OWN, ONE, "change")
    await gitlab.forge.post(ONE, CHECK, await gitlab.request())
    assert [status["pipeline_id"] for status in gitlab.server.statuses] == [newest["id"]]


async def test_without_a_pipeline_the_status_names_its_branch(gitlab):
    gitlab.open(7, ONE, branch="ada/phi")
    await gitlab.forge.post(ONE, CHECK, await gitlab.request())
    assert [pipeline["ref"] for pipeline in gitlab.server.pipelines] == ["ada/phi"]


async def test_statuses_of_a_fork_go_to_the_fork(gitlab):
    gitlab.open(7, ONE, fork=True)
    await gitlab.forge.post(ONE, CHECK, await gitlab.request())
    assert [status["project"] for status in gitlab.server.statuses] == [FORK]
    assert "reconciler/prod/plan" in await gitlab.again().posted(ONE, await gitlab.request())


async def test_a_fork_that_may_not_be_written_to_is_told(gitlab):
    gitlab.open(7, ONE, fork=True)
    gitlab.server.fail(404, of=f"POST /api/v4/projects/{FORK}/statuses")
    with pytest.raises(NotPermitted, match="!7 comes from a fork"):
        await gitlab.forge.post(ONE, CHECK, await gitlab.request())


async def test_the_same_state_again_is_no_failure(gitlab):
    gitlab.open(7, ONE)
    request = await gitlab.request()
    await gitlab.forge.post(ONE, CHECK, request)
    other = Check(CHECK.context, "pending", "still looking", "")
    await gitlab.again().post(ONE, other, request)
    refused = [asked for asked in gitlab.server.asked if asked.status == 400]
    assert len(refused) == 1


async def test_a_lock_is_waited_for(gitlab):
    gitlab.server.locked = 2
    await gitlab.forge.post(ONE, CHECK)
    assert gitlab.shown(ONE) == {CHECK.context: ("pending", "looking")}


async def test_a_lock_that_stays_is_a_conflict(gitlab):
    gitlab.server.locked = 99
    with pytest.raises(Conflict):
        await gitlab.forge.post(ONE, CHECK)
    assert gitlab.server.locked > 80


async def test_who_left_the_project_is_trusted_no_more(gitlab):
    gitlab.open(7, ONE)
    assert (await gitlab.request()).trusted
    gitlab.server.members["ada"] = 20
    assert not (await gitlab.request()).trusted


async def test_an_approval_without_a_date_approves_no_head(gitlab):
    gitlab.open(7, ONE)
    gitlab.server.review(7, "bob")
    gitlab.server.dated = False
    assert list(await gitlab.forge.approvals(await gitlab.request())) == []


async def test_a_group_without_a_group_above_is_written_with_a_slash(gitlab):
    gitlab.server.teams = {"platform": ["bob"]}
    assert await gitlab.forge.members("platform/") == {"bob"}
