"""A GitLab with one project and forks of it.

It holds to the documented answers and to: descriptions of 255 characters (400), the same state again (400),
409 while a pipeline is locked, an own pipeline for a status that names neither pipeline nor branch.
"""

from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from reconciler.dev.forge.standin import Refused, StandIn, page

API = "/api/v4"
OWN, FORK = 1, 2
"""Project ids."""
EVENTS = {"pending": "enqueue", "running": "run", "success": "success", "failed": "drop"}
ACCOUNTS = {"bot": 100, "ada": 101, "bob": 102, "eve": 103}


@dataclass
class Merge:
    iid: int
    head: str
    author: str
    branch: str
    project: int
    target: str = "main"
    labels: list[str] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    approved: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    merge_commit: str | None = None


class GitLabServer(StandIn):
    def __init__(self, project: str, tokens: dict[str, str]) -> None:
        self.project = project
        self.tokens = tokens
        self.merges: dict[int, Merge] = {}
        self.members: dict[str, int] = {"ada": 40, "bob": 30}
        """Access level by account."""
        self.teams: dict[str, list[str]] = {}
        """Accounts by group."""
        self.statuses: list[dict[str, Any]] = []
        self.pipelines: list[dict[str, Any]] = []
        self.locked = 0
        """How many posts of statuses meet a lock."""
        self.dated = True
        """Whether approvals tell when they were given, as newer servers do."""
        self._ids = count(1)
        super().__init__(self._routes())

    def _routes(self):
        project = f"{API}/projects/{{project}}"
        merge = f"{project}/merge_requests/{{iid}}"
        return [
            web.get(f"{API}/user", self._user),
            web.get(f"{project}/merge_requests", self._list),
            web.get(f"{project}/members/all", self._members),
            web.get(f"{API}/groups/{{group}}/members/all", self._group),
            web.get(f"{merge}/notes", self._part("notes")),
            web.post(f"{merge}/notes", self._add_note),
            web.put(f"{merge}/notes/{{id}}", self._edit_note),
            web.get(f"{merge}/versions", self._part("versions")),
            web.get(f"{merge}/resource_label_events", self._part("events")),
            web.get(f"{merge}/approvals", self._approvals),
            web.get(f"{project}/repository/commits/{{sha}}", self._commit),
            web.get(f"{project}/repository/commits/{{sha}}/statuses", self._statuses),
            web.get(f"{project}/repository/commits/{{sha}}/merge_requests", self._merges_of),
            web.post(f"{project}/statuses/{{sha}}", self._post_status),
        ]

    # --- what people do

    def open(self, iid: int, head: str, author: str, *, branch: str, fork: bool) -> None:
        self.merges[iid] = Merge(iid, head, author, branch, FORK if fork else OWN)
        self.push(iid, head)

    def push(self, iid: int, head: str) -> None:
        merge = self.merges[iid]
        merge.head = head
        version = {"id": next(self._ids), "head_commit_sha": head, "created_at": self.stamp()}
        merge.versions.insert(0, version)

    def label(self, iid: int, name: str, by: str) -> None:
        self.merges[iid].labels.append(name)
        self._labelled(iid, "add", name, by)

    def unlabel(self, iid: int, name: str, by: str) -> None:
        self.merges[iid].labels.remove(name)
        self._labelled(iid, "remove", name, by)

    def _labelled(self, iid: int, action: str, name: str, by: str) -> None:
        event = {"id": next(self._ids), "user": account(by), "action": action, "label": {"name": name}}
        self.merges[iid].events.append({**event, "created_at": self.stamp()})

    def review(self, iid: int, by: str) -> None:
        self.merges[iid].approved.append({"user": account(by), "approved_at": self.stamp()})

    def comment(self, iid: int, by: str, body: str) -> dict[str, Any]:
        note = {"id": next(self._ids), "body": body, "author": account(by), "system": False}
        self.merges[iid].notes.append(note)
        return note

    def merge(self, iid: int, commit: str) -> None:
        self.merges[iid].merge_commit = commit

    # --- the API

    def check_login(self, request: web.Request) -> None:
        if request.headers.get("PRIVATE-TOKEN") not in self.tokens:
            raise Refused(401, "401 Unauthorized")

    def _me(self, request: web.Request) -> str:
        return self.tokens[request.headers["PRIVATE-TOKEN"]]

    def _project(self, request: web.Request) -> int:
        name = unquote(request.match_info["project"])
        known = {self.project: OWN, str(OWN): OWN, str(FORK): FORK}
        if name not in known:
            raise Refused(404, "404 Project Not Found")
        return known[name]

    def _merge(self, request: web.Request) -> Merge:
        merge = self.merges.get(int(request.match_info["iid"]))
        if merge is None or self._project(request) != OWN:
            raise Refused(404, "404 Not found")
        return merge

    async def _user(self, request: web.Request) -> web.Response:
        return web.json_response(account(self._me(request)))

    async def _list(self, request: web.Request) -> web.Response:
        assert self._project(request) == OWN
        return page(request, [self._shown(m) for m in self.merges.values() if not m.merge_commit])

    async def _merges_of(self, request: web.Request) -> web.Response:
        sha = request.match_info["sha"]
        return page(
            request, [self._shown(m) for m in self.merges.values() if sha in (m.merge_commit, m.head)]
        )

    def _shown(self, merge: Merge) -> dict[str, Any]:
        return {
            "iid": merge.iid,
            "title": "A change",
            "state": "merged" if merge.merge_commit else "opened",
            "sha": merge.head,
            "source_branch": merge.branch,
            "source_project_id": merge.project,
            "target_branch": merge.target,
            "target_project_id": OWN,
            "author": account(merge.author),
            "labels": merge.labels,
            "web_url": f"{self.url}/{self.project}/-/merge_requests/{merge.iid}",
        }

    async def _members(self, request: web.Request) -> web.Response:
        asked = [int(id) for id in request.query.getall("user_ids[]")]
        found = [
            {**account(name), "access_level": level, "state": "active"}
            for name, level in self.members.items()
            if ACCOUNTS[name] in asked
        ]
        return page(request, found)

    async def _group(self, request: web.Request) -> web.Response:
        found = self.teams.get(unquote(request.match_info["group"]))
        if found is None:
            raise Refused(404, "404 Group Not Found")
        blocked = {**account("eve"), "access_level": 50, "state": "blocked"}
        members = [{**account(name), "access_level": 30, "state": "active"} for name in found]
        return page(request, [*members, blocked])

    def _part(self, name: str):
        async def handler(request: web.Request) -> web.Response:
            return page(request, getattr(self._merge(request), name))

        return handler

    async def _add_note(self, request: web.Request) -> web.Response:
        iid = self._merge(request).iid
        return web.json_response(
            self.comment(iid, self._me(request), (await request.json())["body"]), status=201
        )

    async def _edit_note(self, request: web.Request) -> web.Response:
        notes = self._merge(request).notes
        note = next(note for note in notes if str(note["id"]) == request.match_info["id"])
        if note["author"] != account(self._me(request)):
            raise Refused(403, "403 Forbidden")
        note["body"] = (await request.json())["body"]
        return web.json_response(note)

    async def _approvals(self, request: web.Request) -> web.Response:
        given = self._merge(request).approved
        shown = given if self.dated else [{"user": each["user"]} for each in given]
        return web.json_response({"approved_by": shown})

    async def _commit(self, request: web.Request) -> web.Response:
        place = (self._project(request), request.match_info["sha"])
        own = [p for p in self.pipelines if (p["project"], p["sha"]) == place]
        return web.json_response({"id": place[1], "last_pipeline": own[-1] if own else None})

    async def _statuses(self, request: web.Request) -> web.Response:
        place = (self._project(request), request.match_info["sha"])
        return page(
            request, [s for s in self.statuses if (s["project"], s["sha"]) == place and not s["retried"]]
        )

    async def _post_status(self, request: web.Request) -> web.Response:
        project, sha, body = self._project(request), request.match_info["sha"], await request.json()
        if self.locked > 0:
            self.locked -= 1
            raise Refused(409, "Conflict")
        if len(body.get("description") or "") > 255:
            raise Refused(400, "description is too long (maximum is 255 characters)")
        pipeline = self._pipeline(project, sha, body)
        place = {"project": project, "sha": sha, "name": body["name"], "pipeline_id": pipeline["id"]}
        same = [s for s in self.statuses if place.items() <= s.items() and not s["retried"]]
        status = same[0] if same and same[0]["status"] in ("pending", "running") else None
        if status and status["status"] == body["state"]:
            event = EVENTS[body["state"]]
            raise Refused(400, f"Cannot transition status via :{event} from :{body['state']}")
        if status is None:
            for each in same:
                each["retried"] = True
            status = {"id": next(self._ids), "retried": False, **place}
            self.statuses.append(status)
        told = {"description": body.get("description"), "target_url": body.get("target_url")}
        status |= {"status": body["state"], "ref": pipeline["ref"], **told}
        return web.json_response(status, status=201)

    def _pipeline(self, project: int, sha: str, body: dict[str, Any]) -> dict[str, Any]:
        for each in self.pipelines:
            if each["id"] == body.get("pipeline_id"):
                return each
            if (each["project"], each["sha"], each["ref"]) == (project, sha, body.get("ref")):
                return each
        return self.run_pipeline(project, sha, body.get("ref") or "some-branch")

    def run_pipeline(self, project: int, sha: str, ref: str) -> dict[str, Any]:
        pipeline = {"id": next(self._ids), "project": project, "sha": sha, "ref": ref}
        self.pipelines.append(pipeline)
        return pipeline


def account(name: str) -> dict[str, Any]:
    return {"id": ACCOUNTS.get(name, 999), "username": name}
