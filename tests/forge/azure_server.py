"""An Azure DevOps with one repository.

It holds to the documented answers and to: a page to sign in for a token that is not accepted (203), statuses
of an iteration that does not exist (400), votes without a date, told of by threads.
"""

import base64
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import web

from reconciler.dev.forge.standin import Refused, StandIn


@dataclass
class PullRequest:
    id: int
    head: str
    author: str
    branch: str
    fork: bool
    labels: list[str] = field(default_factory=list)
    iterations: list[dict[str, Any]] = field(default_factory=list)
    threads: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    merge_commit: str | None = None


class AzureServer(StandIn):
    def __init__(self, repository: str, tokens: dict[str, str]) -> None:
        org, project, repo = repository.split("/")
        self.tokens = tokens
        self.pulls: dict[int, PullRequest] = {}
        self.commit_statuses: dict[str, list[dict[str, Any]]] = {}
        self.teams: dict[str, list[str]] = {}
        """Accounts by `project/team`."""
        self._ids = count(1)
        base = f"/{org}/{project}/_apis/git/repositories/{repo}"
        pull = f"{base}/pullRequests/{{id}}"
        super().__init__(
            [
                web.get(f"/{org}/_apis/connectionData", self._connection),
                web.get(f"/{org}/_apis/projects/{{project}}/teams/{{team}}/members", self._members),
                web.get(f"{base}/pullrequests", self._list),
                web.post(f"{base}/pullrequestquery", self._query),
                web.get(f"{pull}/iterations", self._part("iterations")),
                web.get(f"{pull}/threads", self._part("threads")),
                web.post(f"{pull}/threads", self._add_thread),
                web.patch(f"{pull}/threads/{{thread}}/comments/{{comment}}", self._edit),
                web.get(f"{pull}/statuses", self._part("statuses")),
                web.post(f"{pull}/statuses", self._pull_status),
                web.get(f"{base}/commits/{{sha}}/statuses", self._commit_statuses),
                web.post(f"{base}/commits/{{sha}}/statuses", self._commit_status),
            ]
        )

    # --- what people do

    def open(self, id: int, head: str, author: str, *, branch: str, fork: bool) -> None:
        self.pulls[id] = PullRequest(id, head, author, branch, fork)
        self.push(id, head)

    def push(self, id: int, head: str) -> None:
        pull = self.pulls[id]
        pull.head = head
        number = len(pull.iterations) + 1
        date = self.stamp().replace("Z", ".1234567Z")
        pull.iterations.append({"id": number, "sourceRefCommit": {"commitId": head}, "createdDate": date})

    def label(self, id: int, name: str, by: str) -> None:
        self.pulls[id].labels.append(name)

    def unlabel(self, id: int, name: str, by: str) -> None:
        self.pulls[id].labels.remove(name)

    def review(self, id: int, by: str, vote: int = 10) -> None:
        told = {"CodeReviewThreadType": "VoteUpdate", "CodeReviewVoteResult": str(vote)}
        properties = {name: {"$type": "System.String", "$value": value} for name, value in told.items()}
        properties["CodeReviewVotedByIdentity"] = {"$type": "System.String", "$value": "1"}
        thread = self._thread(id, by, f"{by} voted {vote}")
        thread |= {"properties": properties, "identities": {"1": account(by)}}

    def comment(self, id: int, by: str, body: str) -> None:
        self._thread(id, by, body)

    def _thread(self, id: int, by: str, body: str) -> dict[str, Any]:
        comment = {"id": 1, "content": body, "author": account(by), "isDeleted": False}
        thread = {
            "id": next(self._ids),
            "comments": [comment],
            "publishedDate": self.stamp(),
            "properties": None,
        }
        self.pulls[id].threads.append(thread)
        return thread

    def merge(self, id: int, commit: str) -> None:
        self.pulls[id].merge_commit = commit

    # --- the API

    def _me(self, request: web.Request) -> str:
        sent = request.headers.get("Authorization", "").removeprefix("Basic ")
        return self.tokens.get(base64.b64decode(sent).decode().removeprefix(":"), "")

    def check_login(self, request: web.Request) -> None:
        if request.query.get("api-version") not in ("7.1", "7.1-preview.1"):
            raise Refused(400, "No api-version was supplied")
        if not self._me(request):
            raise Refused(203, "")

    async def _connection(self, request: web.Request) -> web.Response:
        return web.json_response({"authenticatedUser": {"id": account(self._me(request))["id"]}})

    async def _list(self, request: web.Request) -> web.Response:
        return _page(request, [self._shown(pull) for pull in self.pulls.values() if not pull.merge_commit])

    async def _members(self, request: web.Request) -> web.Response:
        found = self.teams.get(f"{request.match_info['project']}/{request.match_info['team']}")
        if found is None:
            raise Refused(404, "The team with id does not exist.")
        return _page(request, [{"identity": account(name)} for name in found])

    def _shown(self, pull: PullRequest) -> dict[str, Any]:
        shown = {
            "pullRequestId": pull.id,
            "title": "A change",
            "status": "completed" if pull.merge_commit else "active",
            "createdBy": account(pull.author),
            "sourceRefName": f"refs/heads/{pull.branch}",
            "targetRefName": "refs/heads/main",
            "lastMergeTargetCommit": {"commitId": "b" * 40},
            "repository": {"id": "own"},
        }
        if pull.head:
            shown["lastMergeSourceCommit"] = {"commitId": pull.head}
        if pull.labels:
            shown["labels"] = [{"name": name, "active": True} for name in pull.labels]
        if pull.fork:
            shown["forkSource"] = {"name": f"refs/heads/{pull.branch}", "repository": {"id": "fork"}}
        return shown

    async def _query(self, request: web.Request) -> web.Response:
        results = []
        for query in (await request.json())["queries"]:
            (sha,) = query["items"]
            by_kind = {"lastMergeCommit": lambda p: p.merge_commit, "commit": lambda p: p.head}
            found = [self._shown(p) for p in self.pulls.values() if by_kind[query["type"]](p) == sha]
            results.append({sha: found} if found else {})
        return web.json_response({"results": results})

    def _pull(self, request: web.Request) -> PullRequest:
        pull = self.pulls.get(int(request.match_info["id"]))
        if pull is None:
            raise Refused(404, "TF401180: The requested pull request was not found.")
        return pull

    def _part(self, name: str):
        async def handler(request: web.Request) -> web.Response:
            return values(getattr(self._pull(request), name))

        return handler

    async def _add_thread(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("status") != "closed":
            raise Refused(400, "an open thread would block the merge")
        (comment,) = body["comments"]
        thread = self._thread(self._pull(request).id, self._me(request), comment["content"])
        return web.json_response(thread)

    async def _edit(self, request: web.Request) -> web.Response:
        threads = self._pull(request).threads
        thread = next(t for t in threads if str(t["id"]) == request.match_info["thread"])
        comment = thread["comments"][int(request.match_info["comment"]) - 1]
        if comment["author"] != account(self._me(request)):
            raise Refused(403, "not yours")
        comment["content"] = (await request.json())["content"]
        return web.json_response(comment)

    async def _pull_status(self, request: web.Request) -> web.Response:
        pull, body = self._pull(request), await request.json()
        known = [iteration["id"] for iteration in pull.iterations]
        if body.get("iterationId") not in (None, *known):
            raise Refused(400, "The iteration does not exist")
        return self._told(pull.statuses, body)

    async def _commit_status(self, request: web.Request) -> web.Response:
        told = self.commit_statuses.setdefault(request.match_info["sha"], [])
        return self._told(told, await request.json())

    def _told(self, told: list[dict[str, Any]], body: dict[str, Any]) -> web.Response:
        if not body["context"].get("name"):
            raise Refused(400, "context.name is required")
        told.append({"id": next(self._ids), **body})
        return web.json_response(told[-1])

    async def _commit_statuses(self, request: web.Request) -> web.Response:
        return values(self.commit_statuses.get(request.match_info["sha"], []))


def _page(request: web.Request, found: list[dict[str, Any]]) -> web.Response:
    skip, top = int(request.query["$skip"]), int(request.query["$top"])
    return values(found[skip : skip + top])


def values(found: list[dict[str, Any]]) -> web.Response:
    return web.json_response({"count": len(found), "value": found})


def account(name: str) -> dict[str, Any]:
    return {"id": f"id-of-{name}", "uniqueName": name, "displayName": name.title()}
