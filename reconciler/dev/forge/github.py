"""A GitHub with one repository, for the demo and the tests.

It holds to the documented answers and to these limits, not all of which are documented: descriptions of 140
characters (422), 1000 statuses for a commit and context (422), check runs by Apps only (403), 50 annotations
in a request (422), comments of 65536 characters (422). It knows no Git: who moves a branch says so by `push`.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from .standin import Refused, StandIn, page

API = "/api/v3"
STATUSES = 1000
DESCRIPTION, ANNOTATIONS, COMMENT = 140, 50, 65_536

Json = dict[str, Any]


@dataclass(frozen=True)
class App:
    id: int
    slug: str
    installation: int
    key: rsa.RSAPublicKey


@dataclass
class Pull:
    number: int
    head: str
    base: str = "main"
    author: str = "ada"
    branch: str = "change"
    association: str = "MEMBER"
    """Of the author with the repository."""
    fork: str | None = None
    """Full name of the head's repository where it is another; empty where that is gone."""
    title: str = "A change"
    labels: list[str] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    reviews: list[Json] = field(default_factory=list)
    comments: list[Json] = field(default_factory=list)
    merge_commit: str | None = None
    merged_at: str | None = None


class GitHubServer(StandIn):
    """`tokens` are those that are accepted, each with its account; an App gets further ones."""

    def __init__(
        self, repository: str, tokens: Mapping[str, str] | None = None, app: App | None = None
    ) -> None:
        self.repository = repository
        self.tokens = dict(tokens or {})
        self.app = app
        self.pulls: dict[int, Pull] = {}
        self.statuses: dict[str, list[Json]] = {}
        """Of each commit, oldest first."""
        self.runs: dict[int, Json] = {}
        """Check runs by id, each with all of its annotations."""
        self.teams: dict[str, list[str]] = {}
        """Accounts by `organisation/team`."""
        self._pushes: list[Json] = []
        self._ids = count(1)
        super().__init__(self._routes())

    # --- what people do

    def open(self, number: int, head: str, base: str = "main", author: str = "ada", **more: Any) -> None:
        """`more` as in `Pull`."""
        self.pulls[number] = Pull(number, head, base, author, **more)
        self.push(number, head)

    def push(self, number: int, head: str) -> None:
        """The pull request's branch moves."""
        pull = self.pulls[number]
        origin = self.repository if pull.fork is None else pull.fork
        pull.head = head
        ref, at = f"refs/heads/{pull.branch}", self.stamp()
        self._pushes.insert(0, {"origin": origin, "after": head, "ref": ref, "timestamp": at})

    def label(self, number: int, name: str, by: str) -> None:
        self.pulls[number].labels.append(name)
        self._labelled(number, "labeled", name, by)

    def unlabel(self, number: int, name: str, by: str) -> None:
        self.pulls[number].labels.remove(name)
        self._labelled(number, "unlabeled", name, by)

    def _labelled(self, number: int, what: str, name: str, by: str) -> None:
        event = {"id": next(self._ids), "event": what, "actor": user(by), "label": {"name": name}}
        self.pulls[number].events.append({**event, "created_at": self.stamp()})

    def review(self, number: int, by: str, state: str = "APPROVED", association: str = "MEMBER") -> None:
        pull = self.pulls[number]
        pull.reviews.append(
            {
                "id": next(self._ids),
                "user": user(by),
                "state": state,
                "author_association": association,
                "commit_id": pull.head,
                "submitted_at": self.stamp(),
            }
        )

    def comment(self, number: int, by: str, body: str) -> Json:
        comment = {"id": next(self._ids), "user": user(by), "body": body, "created_at": self.stamp()}
        self.pulls[number].comments.append(comment)
        return comment

    def merge(self, number: int, commit: str) -> None:
        """`commit` is what came to the base branch, by merge, squash or rebase."""
        self.pulls[number].merge_commit, self.pulls[number].merged_at = commit, self.stamp()

    # --- the API

    def _routes(self) -> list[web.RouteDef]:
        repo = f"{API}/repos/{self.repository}"
        return [
            web.get(f"{API}/user", self._user),
            web.get(f"{API}/app", self._app),
            web.post(f"{API}/app/installations/{{id}}/access_tokens", self._token),
            web.get(f"{API}/repos/{{owner}}/{{repo}}/activity", self._activity),
            web.get(f"{API}/orgs/{{org}}/teams/{{slug}}/members", self._members),
            web.get(f"{repo}/pulls", self._list),
            web.get(f"{repo}/pulls/{{number}}/reviews", self._part("reviews")),
            web.get(f"{repo}/issues/{{number}}/events", self._part("events")),
            web.get(f"{repo}/issues/{{number}}/comments", self._part("comments")),
            web.post(f"{repo}/issues/{{number}}/comments", self._add_comment),
            web.patch(f"{repo}/issues/comments/{{id}}", self._edit_comment),
            web.get(f"{repo}/commits/{{sha}}/status", self._combined),
            web.post(f"{repo}/statuses/{{sha}}", self._post_status),
            web.get(f"{repo}/commits/{{sha}}/check-runs", self._list_runs),
            web.post(f"{repo}/check-runs", self._make_run),
            web.patch(f"{repo}/check-runs/{{id}}", self._change_run),
            web.get(f"{repo}/check-runs/{{id}}/annotations", self._annotations),
            web.get(f"{repo}/commits/{{sha}}/pulls", self._pulls_of),
        ]

    def check_login(self, request: web.Request) -> None:
        token = _bearer(request)
        if request.path == f"{API}/app" or request.path.startswith(f"{API}/app/"):
            if self.app is None or not _signed(token, self.app):
                raise Refused(401, "A JSON web token could not be decoded")
        elif token not in self.tokens:
            raise Refused(401, "Bad credentials")

    def _by_app(self, request: web.Request) -> bool:
        return self.app is not None and self.tokens[_bearer(request)] == f"{self.app.slug}[bot]"

    async def _user(self, request: web.Request) -> web.Response:
        if self._by_app(request):
            raise Refused(403, "Resource not accessible by integration")
        return web.json_response(user(self.tokens[_bearer(request)]))

    async def _app(self, _: web.Request) -> web.Response:
        assert self.app is not None
        return web.json_response({"id": self.app.id, "slug": self.app.slug})

    async def _token(self, request: web.Request) -> web.Response:
        asked = (await request.json()).get("repositories", [])
        if self.app is None or request.match_info["id"] != str(self.app.installation):
            raise Refused(404, "Not Found")
        if asked != [self.repository.partition("/")[2]]:
            raise Refused(422, "There is at least one repository that does not exist or is not accessible")
        token = f"ghs_standin{next(self._ids):020}"
        self.tokens[token] = f"{self.app.slug}[bot]"
        ends = datetime.now(UTC) + timedelta(hours=1)
        return web.json_response(
            {"token": token, "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}, status=201
        )

    async def _members(self, request: web.Request) -> web.Response:
        found = self.teams.get(f"{request.match_info['org']}/{request.match_info['slug']}")
        if found is None:
            raise Refused(404, "Not Found")
        return page(request, [user(login) for login in found])

    async def _list(self, request: web.Request) -> web.Response:
        pulls = [self._shown(pull) for pull in self.pulls.values() if not pull.merged_at]
        return page(request, pulls)

    async def _pulls_of(self, request: web.Request) -> web.Response:
        sha = request.match_info["sha"]
        found = [self._shown(p) for p in self.pulls.values() if sha in (p.merge_commit, p.head)]
        return page(request, found)

    def _shown(self, pull: Pull) -> Json:
        origin = self.repository if pull.fork is None else pull.fork
        return {
            "number": pull.number,
            "state": "closed" if pull.merged_at else "open",
            "title": pull.title,
            "html_url": f"{self.url}/{self.repository}/pull/{pull.number}",
            "user": user(pull.author),
            "author_association": pull.association,
            "labels": [{"name": name} for name in pull.labels],
            "head": {
                "ref": pull.branch,
                "sha": pull.head,
                "repo": {"full_name": origin} if origin else None,
            },
            "base": {"ref": pull.base, "sha": "b" * 40, "repo": {"full_name": self.repository}},
            "merged_at": pull.merged_at,
            "merge_commit_sha": pull.merge_commit,
        }

    async def _activity(self, request: web.Request) -> web.Response:
        origin = f"{request.match_info['owner']}/{request.match_info['repo']}"
        ref = request.query.get("ref")
        pushes = [p for p in self._pushes if p["origin"] == origin and ref in (None, p["ref"])]
        if not pushes:
            raise Refused(404, "Not Found")
        return page(request, pushes)

    def _pull(self, request: web.Request) -> Pull:
        pull = self.pulls.get(int(request.match_info["number"]))
        if pull is None:
            raise Refused(404, "Not Found")
        return pull

    def _part(self, name: str) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            return page(request, getattr(self._pull(request), name))

        return handler

    async def _add_comment(self, request: web.Request) -> web.Response:
        body = _within((await request.json())["body"], COMMENT, "body")
        pull = self._pull(request)
        comment = self.comment(pull.number, self.tokens[_bearer(request)], body)
        return web.json_response(comment, status=201)

    async def _edit_comment(self, request: web.Request) -> web.Response:
        every = (c for pull in self.pulls.values() for c in pull.comments)
        comment = next((c for c in every if str(c["id"]) == request.match_info["id"]), None)
        if comment is None:
            raise Refused(404, "Not Found")
        comment["body"] = _within((await request.json())["body"], COMMENT, "body")
        return web.json_response(comment)

    async def _combined(self, request: web.Request) -> web.Response:
        told = self.statuses.get(request.match_info["sha"], [])
        newest = {status["context"].lower(): status for status in told}
        return page(request, list(newest.values()), lambda some: {"state": "pending", "statuses": some})

    async def _post_status(self, request: web.Request) -> web.Response:
        body, sha = await request.json(), request.match_info["sha"]
        told = self.statuses.setdefault(sha, [])
        context = body.get("context", "default")
        if sum(status["context"].lower() == context.lower() for status in told) >= STATUSES:
            raise Refused(422, "This SHA and context has reached the maximum number of statuses.")
        status = {
            "id": next(self._ids),
            "state": body["state"],
            "context": context,
            "description": _within(body.get("description") or "", DESCRIPTION, "description"),
            "target_url": body.get("target_url"),
            "created_at": self.stamp(),
        }
        told.append(status)
        return web.json_response(status, status=201)

    async def _list_runs(self, request: web.Request) -> web.Response:
        sha, app = request.match_info["sha"], request.query.get("app_id")
        found = [
            _shown_run(run)
            for run in reversed(self.runs.values())
            if run["head_sha"] == sha and app in (None, str(run["app"]["id"]))
        ]
        return page(request, found, lambda some: {"total_count": len(found), "check_runs": some})

    async def _make_run(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._judge_run(request, body)
        assert self.app is not None
        run: Json = {"id": next(self._ids), "details_url": None, "annotations": []}
        run |= {"name": body["name"], "head_sha": body["head_sha"], "app": {"id": self.app.id}}
        self.runs[run["id"]] = run
        return web.json_response(_shown_run(_changed(run, body)), status=201)

    async def _change_run(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._judge_run(request, body)
        return web.json_response(_shown_run(_changed(self._run(request), body)))

    def _judge_run(self, request: web.Request, body: Json) -> None:
        if not self._by_app(request):
            raise Refused(403, "You must authenticate via a GitHub App.")
        if len(body.get("output", {}).get("annotations", ())) > ANNOTATIONS:
            raise Refused(422, f"Invalid request. Only {ANNOTATIONS} items are allowed")

    def _run(self, request: web.Request) -> Json:
        run = self.runs.get(int(request.match_info["id"]))
        if run is None:
            raise Refused(404, "Not Found")
        return run

    async def _annotations(self, request: web.Request) -> web.Response:
        return page(request, self._run(request)["annotations"])


def user(login: str) -> Json:
    return {"login": login, "type": "Bot" if login.endswith("[bot]") else "User"}


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _within(text: str, limit: int, name: str) -> str:
    if len(text) > limit:
        raise Refused(422, f"Validation Failed: {name} is too long (maximum is {limit} characters)")
    return text


def _changed(run: Json, body: Json) -> Json:
    """Annotations are added to those that are there; a conclusion completes the run."""
    output = dict(body.get("output", {}))
    run["annotations"] += output.pop("annotations", [])
    run["output"] = {"title": None, "summary": None, **run.get("output", {}), **output}
    run |= {key: body[key] for key in ("details_url", "external_id") if key in body}
    run["conclusion"] = body.get("conclusion")
    run["status"] = "completed" if run["conclusion"] else body.get("status", "queued")
    return run


def _shown_run(run: Json) -> Json:
    shown = {key: value for key, value in run.items() if key != "annotations"}
    return {**shown, "output": {**run["output"], "annotations_count": len(run["annotations"])}}


def _signed(token: str, app: App) -> bool:
    """Whether the App's key signed the token, and it is in force and good for at most ten minutes."""
    try:
        signed, _, signature = token.rpartition(".")
        app.key.verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), SHA256())
        claims = json.loads(_decoded(signed.partition(".")[2]))
        span = claims["exp"] - claims["iat"]
        in_force = claims["iat"] <= time.time() < claims["exp"]
        return bool(claims["iss"] == str(app.id) and in_force and span <= 600)
    except (ValueError, KeyError, InvalidSignature):
        return False


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
