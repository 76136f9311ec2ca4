"""What is GitHub's own: the cap on statuses, check runs, Apps, ETags."""

import pytest

from reconciler.dev.forge import github as standin
from reconciler.errors import NotPermitted
from reconciler.forge import checks, github
from reconciler.forge.errors import StatusesUsedUp
from reconciler.model.review import Annotation, Check

ONE, TWO = "1" * 40, "2" * 40
CONTEXT = "reconciler/prod/plan"


def failed(*lines: int, description: str = "broken") -> Check:
    remarks = tuple(Annotation("workspaces/phi.yaml", line, f"line {line} is wrong") for line in lines)
    return Check(CONTEXT, "failure", description, "https://reconciler.example.com", remarks)


# --- statuses


async def test_after_a_thousand_statuses_it_says_so_and_sends_no_more(github):
    told = {"state": "pending", "context": CONTEXT, "description": "old", "target_url": None}
    github.server.statuses[ONE] = [told] * standin.STATUSES
    with pytest.raises(StatusesUsedUp, match="push another commit"):
        await github.forge.post(ONE, failed())
    before = len(github.server.asked)
    with pytest.raises(StatusesUsedUp):
        await github.forge.post(ONE, failed())
    assert len(github.server.asked) == before
    await github.forge.post(ONE, Check("reconciler/prod/cost", "success", "", ""))
    await github.forge.post(TWO, failed())


async def test_what_is_unchanged_costs_nothing(github):
    for number in range(1, 151):
        github.open(number, f"{number:040}", branch=f"change-{number}")
    await github.forge.open_requests()
    await github.forge.open_requests()
    assert [asked.status for asked in github.server.asked] == [200, 200, 304, 304]
    github.server.push(150, ONE)
    assert (await github.forge.open_requests())[149].head == ONE
    assert [asked.status for asked in github.server.asked[4:]] == [304, 200]


# --- approvals


async def test_an_outsiders_review_approves_nothing(github):
    github.open(7, ONE)
    github.server.review(7, "eve", association="NONE")
    assert list(await github.forge.approvals(await github.request())) == []


@pytest.mark.parametrize(
    ("states", "approves"),
    [
        pytest.param(["APPROVED", "COMMENTED"], True, id="a remark afterwards changes nothing"),
        pytest.param(["APPROVED", "CHANGES_REQUESTED"], False, id="a later no counts"),
        pytest.param(["CHANGES_REQUESTED", "APPROVED"], True, id="a later yes counts"),
        pytest.param(["DISMISSED"], False, id="dismissed"),
    ],
)
async def test_the_last_word_of_a_reviewer_counts(github, states, approves):
    github.open(7, ONE)
    for state in states:
        github.server.review(7, "bob", state)
    assert bool(await github.forge.approvals(await github.request())) == approves


async def test_a_label_on_a_fork_that_shows_nothing_is_for_no_certain_head(github):
    github.open(7, ONE, author="eve", fork=True)
    github.server.label(7, "approved", "ada")
    github.server.fail(404, of="/repos/eve/specs/activity", times=9)
    (approval,) = await github.forge.approvals(await github.request())
    assert (approval.who, approval.sha) == ("ada", None)


async def test_the_fork_of_an_account_that_is_gone_is_a_fork(github):
    github.server.open(7, ONE, fork="")
    request = await github.request()
    assert (request.fork, request.trusted, request.origin) == (True, False, "")
    github.server.label(7, "approved", "ada")
    assert [a.sha for a in await github.forge.approvals(await github.request())] == [None]


# --- check runs


async def test_a_check_run_is_brought_up_to_date_in_place(github_app):
    await github_app.forge.post(ONE, Check(CONTEXT, "pending", "looking", ""))
    await github_app.again().post(ONE, failed(3))
    (run,) = github_app.server.runs.values()
    assert (run["status"], run["conclusion"], run["external_id"]) == ("completed", "failure", CONTEXT)
    assert run["annotations"] == [
        {
            "path": "workspaces/phi.yaml",
            "start_line": 3,
            "end_line": 3,
            "annotation_level": "failure",
            "message": "line 3 is wrong",
        }
    ]


async def test_many_remarks_come_in_portions(github_app):
    await github_app.forge.post(ONE, failed(*range(1, 121)))
    sent = [a for a in github_app.server.writes() if "check-runs" in a.path]
    assert [len(asked.body["output"]["annotations"]) for asked in sent] == [50, 50, 20]
    (run,) = github_app.server.runs.values()
    assert [remark["start_line"] for remark in run["annotations"]] == list(range(1, 121))


async def test_remarks_that_are_there_are_not_added_again(github_app):
    await github_app.forge.post(ONE, failed(1, 2))
    await github_app.forge.post(ONE, failed(2, 3, description="still broken"))
    again = github_app.again()
    await again.post(ONE, failed(1, 2, 3, description="as ever"))
    (run,) = github_app.server.runs.values()
    assert [remark["start_line"] for remark in run["annotations"]] == [1, 2, 3]


async def test_a_portion_that_fails_makes_no_second_run(github_app):
    github_app.server.fail(500, of="PATCH", times=1)
    with pytest.raises(Exception, match="500"):
        await github_app.forge.post(ONE, failed(*range(1, 121)))
    await github_app.forge.post(ONE, failed(*range(1, 121)))
    (run,) = github_app.server.runs.values()
    assert sorted(remark["start_line"] for remark in run["annotations"]) == list(range(1, 121))


async def test_another_apps_run_of_that_name_is_left_alone(github_app):
    theirs = {"id": 1, "name": CONTEXT, "head_sha": ONE, "app": {"id": 1}, "status": "completed"}
    theirs |= {"conclusion": "success", "details_url": None, "annotations": [], "output": {"title": "theirs"}}
    github_app.server.runs[1] = dict(theirs)
    await github_app.forge.post(ONE, failed(1))
    assert github_app.server.runs[1] == theirs
    assert len(github_app.server.runs) == 2


# --- Apps


def tokens_asked_for(bench) -> int:
    return sum("access_tokens" in asked.path for asked in bench.server.asked)


async def test_an_installations_token_is_used_until_it_ends(github_app):
    for _ in range(3):
        await github_app.forge.open_requests()
    assert tokens_asked_for(github_app) == 1


async def test_a_token_that_is_refused_is_replaced(github_app):
    await github_app.forge.open_requests()
    github_app.server.tokens.clear()
    with pytest.raises(NotPermitted):
        await github_app.forge.open_requests()
    await github_app.forge.open_requests()
    assert tokens_asked_for(github_app) == 2


async def test_a_key_that_is_none_is_named(github_app):
    github_app.key_file.write_text("not a key")
    with pytest.raises(NotPermitted, match=r"keyFile .*holds no RSA private key"):
        await github_app.forge.open_requests()


@pytest.mark.parametrize(
    ("url", "api"),
    [
        pytest.param(None, "https://api.github.com", id="by default"),
        pytest.param("https://github.com/", "https://api.github.com", id="the web address"),
        pytest.param("https://git.example.com", "https://git.example.com/api/v3", id="enterprise server"),
        pytest.param("https://git.example.com/api/v3/", "https://git.example.com/api/v3", id="its api"),
        pytest.param("https://acme.ghe.com", "https://api.acme.ghe.com", id="enterprise cloud"),
    ],
)
def test_the_api_is_found_by_the_address_people_know(github_settings, url, api):
    assert github.address(github_settings.model_copy(update={"url": url})).url == api


@pytest.fixture
def github_settings(tmp_path):
    from reconciler.model.settings import ForgeSettings

    return ForgeSettings(driver="github", repository="org/specs", token_file=tmp_path / "token")


def test_a_portion_is_what_github_takes():
    assert checks.ANNOTATIONS_PER_REQUEST == standin.ANNOTATIONS
