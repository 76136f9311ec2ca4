"""Azure DevOps, by statuses of pull requests and, after the merge, of commits.

Policies look at the former only, and only at the newest iteration's.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from reconciler.errors import NotYet, Unavailable
from reconciler.model.review import Approval, Check, CheckState, Request
from reconciler.model.settings import ForgeSettings

from .driver import Comment, Driver, moment
from .logins import TokenFile
from .wire import MAX_PAGES, PER_PAGE, Address, Params, Wire

T = TypeVar("T")

PUBLIC = "https://dev.azure.com"
_VERSION = {"api-version": "7.1"}
_NEED_CODE, _NEED_STATUS, _NEED_THREADS = (
    "Code (read)",
    "Code (status)",
    "Pull Request Threads (read & write)",
)
_NEED_TEAMS = "Project and Team (read)"
_APPROVED = frozenset({"10", "5"})
"""Votes: approved, and approved with suggestions."""

_STATES: dict[str, CheckState] = {
    "notSet": "pending",
    "pending": "pending",
    "succeeded": "success",
    "notApplicable": "neutral",
}
_SENT: dict[CheckState, str] = {
    "pending": "pending",
    "success": "succeeded",
    "failure": "failed",
    "neutral": "notApplicable",
}


def _login(token: str) -> dict[str, str]:
    """A personal access token is a password without a user; an Entra token is a JWT."""
    if token.startswith("eyJ"):
        return {"Authorization": f"Bearer {token}"}
    return {"Authorization": f"Basic {base64.b64encode(f':{token}'.encode()).decode()}"}


class AzureDevOps(Driver):
    description_limit = 255
    comment_limit = 150_000

    def __init__(self, settings: ForgeSettings) -> None:
        assert settings.token_file is not None
        url = (settings.url or PUBLIC).rstrip("/")
        own = Address("Azure DevOps", url, settings.repository, settings.ca_file)
        super().__init__(Wire(own, TokenFile(settings.token_file, _login)))
        org, project, repo = (quote(part, safe="") for part in settings.repository.split("/"))
        self._org = f"/{org}"
        self._repo = f"/{org}/{project}/_apis/git/repositories/{repo}"
        self._link = f"{url}/{org}/{project}/_git/{repo}/pullrequest/"

    async def _list(self) -> list[Request]:
        asked = {"searchCriteria.status": "active"}
        return await self._pages(f"{self._repo}/pullrequests", self._request, _NEED_CODE, asked)

    # --- statuses

    async def _said(self, sha: str, request: Request | None) -> dict[str, Check]:
        """Of a request only what was said of the iteration that the commit is."""
        iteration = (await self._iteration(request, sha))[0] if request else None
        found = await self._values(f"{_place(sha, request)}/statuses", _status, _NEED_STATUS)
        told = sorted((each for each in found if each[1] == iteration), key=lambda each: each[0])
        return {check.context: check for _, _, check in told}

    async def _send(self, sha: str, check: Check, request: Request | None, before: Check | None) -> None:
        genre, _, name = check.context.rpartition("/")
        body: dict[str, Any] = {
            "state": _SENT[check.state],
            "description": check.description,
            "context": {"name": name, "genre": genre},
            **({"targetUrl": check.link} if check.link else {}),
        }
        if request:
            body["iterationId"], _ = await self._iteration(request, sha)
        path = f"{self._repo}{_place(sha, request)}/statuses"
        await self._wire.write("POST", path, body, _NEED_STATUS, _VERSION)

    async def _iteration(self, request: Request, sha: str) -> tuple[int, datetime]:
        """The newest push that made `sha` the head, and when. Without it a status outlives the next push."""
        found = await self._values(f"{_place(sha, request)}/iterations", _push, _NEED_CODE)
        newest = max((each for each in found if each[1] == sha), default=None)
        if newest is None:
            raise NotYet(f"Azure DevOps: {sha[:12]} is no iteration of pull request {request.number} (yet)")
        return newest[0], newest[2]

    # --- comments

    async def _who(self) -> str:
        path, asked = f"{self._org}/_apis/connectionData", {"api-version": "7.1-preview.1"}
        return await self._wire.read(
            path, lambda body: str(body["authenticatedUser"]["id"]), _NEED_CODE, asked
        )

    async def _comments(self, request: Request) -> Sequence[Comment]:
        path = f"{_place('', request)}/threads"
        threads = await self._values(path, _first_comment, _NEED_THREADS)
        return [comment for comment in threads if comment]

    async def _add_comment(self, request: Request, body: str) -> None:
        """Closed, for policies may ask that every open thread be resolved before the merge."""
        comment = {"parentCommentId": 0, "content": body, "commentType": "text"}
        path = f"{self._repo}{_place('', request)}/threads"
        thread = {"comments": [comment], "status": "closed"}
        await self._wire.write("POST", path, thread, _NEED_THREADS, _VERSION)

    async def _edit_comment(self, request: Request, id: str, body: str) -> None:
        path = f"{self._repo}{_place('', request)}/threads/{id}"
        await self._wire.write("PATCH", path, {"content": body}, _NEED_THREADS, _VERSION)

    # --- people

    async def approvals(self, request: Request) -> Sequence[Approval]:
        """Votes have no date but that of the thread by which Azure tells of them."""
        threads = await self._values(f"{_place('', request)}/threads", _vote, _NEED_THREADS)
        votes = sorted(filter(None, threads), key=lambda vote: vote[0])
        newest = {who: approval for _, who, approval in votes}
        given = [approval for approval in newest.values() if approval]
        if not given:
            return []
        _, arrived = await self._iteration(request, request.head)
        return [replace(each, sha=request.head) for each in given if each.at > arrived]

    async def merged_as(self, sha: str) -> Request | None:
        """The merge commit itself, else a commit that came with a merge."""

        def completed(body: Any) -> list[Request]:
            found = [pull for result in body["results"] for pull in result.get(sha, ())]
            return [self._request(pull) for pull in found if pull["status"] == "completed"]

        queries = [{"type": kind, "items": [sha]} for kind in ("lastMergeCommit", "commit")]
        path, body = f"{self._repo}/pullrequestquery", {"queries": queries}
        return next(iter(await self._wire.ask(path, body, completed, _NEED_CODE, _VERSION)), None)

    async def _members(self, team: str) -> Sequence[str]:
        project, _, name = (quote(part, safe="") for part in team.partition("/"))
        path = f"{self._org}/_apis/projects/{project}/teams/{name}/members"
        return await self._pages(path, lambda member: str(member["identity"]["uniqueName"]), _NEED_TEAMS)

    async def _pages(
        self, path: str, shape: Callable[[Any], T], need: str, params: Params | None = None
    ) -> list[T]:
        found: list[T] = []
        for skip in range(0, MAX_PAGES * PER_PAGE, PER_PAGE):
            asked = {**_VERSION, **(params or {}), "$top": PER_PAGE, "$skip": skip}
            page = await self._wire.read(path, _shaped(shape), need, asked)
            found += page
            if len(page) < PER_PAGE:
                return found
        raise Unavailable(f"Azure DevOps: {path} has more than {MAX_PAGES * PER_PAGE} entries")

    async def _values(self, path: str, shape: Callable[[Any], T], need: str) -> list[T]:
        """What Azure pages not, of the repository."""
        return await self._wire.read(self._repo + path, _shaped(shape), need, _VERSION)

    def _request(self, pull: Any) -> Request:
        """Whoever pushes a branch to the repository itself may do so, hence is trusted."""
        number, fork = pull["pullRequestId"], pull.get("forkSource")
        origin = fork["repository"] if fork else pull["repository"]
        head = pull.get("lastMergeSourceCommit")
        return Request(
            number=number,
            title=pull["title"],
            head=head["commitId"] if head else "",
            branch=_branch(pull["sourceRefName"]),
            origin=origin["id"],
            base=_branch(pull["targetRefName"]),
            fetch_ref=f"refs/pull/{number}/merge" if fork else pull["sourceRefName"],
            author=pull["createdBy"]["uniqueName"],
            trusted=not fork,
            fork=bool(fork),
            labels=frozenset(
                label["name"] for label in pull.get("labels") or () if label.get("active", True)
            ),
            link=f"{self._link}{number}",
        )


def _shaped(shape: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    return lambda body: [shape(each) for each in body["value"]]


def _branch(ref: str) -> str:
    return ref.removeprefix("refs/heads/")


def _place(sha: str, request: Request | None) -> str:
    return f"/pullRequests/{request.number}" if request else f"/commits/{sha}"


def _status(status: Any) -> tuple[int, int | None, Check]:
    context = status["context"]
    name = "/".join(filter(None, (context.get("genre"), context["name"])))
    state = _STATES.get(status["state"], "failure")
    check = Check(name, state, status.get("description") or "", status.get("targetUrl") or "")
    return status["id"], status.get("iterationId"), check


def _push(iteration: Any) -> tuple[int, str, datetime]:
    return iteration["id"], iteration["sourceRefCommit"]["commitId"], moment(iteration["createdDate"])


def _first_comment(thread: Any) -> Comment | None:
    """What a thread begins with; answers to it are not ours to change."""
    first = next(iter(thread["comments"]), None)
    if first is None or first.get("isDeleted") or thread.get("isDeleted"):
        return None
    place = f"{thread['id']}/comments/{first['id']}"
    return Comment(place, first["author"]["id"], first.get("content") or "")


def _vote(thread: Any) -> tuple[int, str, Approval | None] | None:
    """The thread's number, the voter, and the approval if it is one; None where it tells of no vote."""
    told = thread.get("properties") or {}
    if _value(told, "CodeReviewThreadType") != "VoteUpdate":
        return None
    who = thread["identities"][_value(told, "CodeReviewVotedByIdentity")]["uniqueName"]
    if _value(told, "CodeReviewVoteResult") not in _APPROVED:
        return thread["id"], who, None
    return thread["id"], who, Approval(who, "review", "", moment(thread["publishedDate"]), None)


def _value(properties: Any, name: str) -> str:
    return str((properties.get(name) or {}).get("$value", ""))
