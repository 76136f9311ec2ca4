"""GitLab, by commit statuses, which it keeps as jobs of a pipeline."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from reconciler.errors import Conflict, InvalidSpec, NotPermitted
from reconciler.model.review import Approval, Check, CheckState, Request
from reconciler.model.settings import ForgeSettings

from .driver import Comment, Driver, moment, still_meant
from .errors import Rejected
from .logins import TokenFile
from .wire import Address, Wire

PUBLIC = "https://gitlab.com"
DEVELOPER = 30
"""The least access level that may push a branch."""
_LOCKED_TRIES = 6
"""GitLab answers 409 while another request holds the pipeline's lock."""
_NEED = "scope `api`, as Developer"

_STATES: dict[str, CheckState] = {
    "success": "success",
    "failed": "failure",
    "canceled": "failure",
    "skipped": "neutral",
}
_SENT: dict[CheckState, str] = {"pending": "pending", "success": "success", "failure": "failed"}


class GitLab(Driver):
    description_limit = 255
    comment_limit = 1_000_000

    def __init__(self, settings: ForgeSettings) -> None:
        assert settings.token_file is not None
        url = f"{(settings.url or PUBLIC).rstrip('/')}/api/v4"
        login = TokenFile(settings.token_file, lambda token: {"PRIVATE-TOKEN": token})
        super().__init__(Wire(Address("GitLab", url, settings.repository, settings.ca_file), login))
        self._project = f"/projects/{quote(settings.repository, safe='')}"

    async def _list(self) -> list[Request]:
        path = f"{self._project}/merge_requests"
        asked = {"state": "opened", "order_by": "created_at", "sort": "asc"}
        found = await self._wire.read_all(path, _request, _NEED, asked, remember=True)
        return await self._judged(found)

    async def _judged(self, found: Sequence[tuple[int, Request]]) -> list[Request]:
        """Requests with `trusted` set; asked each time, since memberships end."""
        authors = sorted({author for author, request in found if not request.fork})
        members: set[int] = set()
        for first in range(0, len(authors), 50):
            path, asked = f"{self._project}/members/all", {"user_ids[]": authors[first : first + 50]}
            members.update(await self._wire.read_all(path, _developer, _NEED, asked, remember=True))
        return [replace(r, trusted=not r.fork and author in members) for author, r in found]

    # --- statuses

    def _as_told(self, check: Check) -> Check:
        """`skipped` came late, and blocks the merge where pipelines must succeed: not what neutral means."""
        told = super()._as_told(check)
        return replace(told, state="success") if told.state == "neutral" else told

    def _where(self, request: Request | None) -> str:
        """A fork's commits have their pipelines in the fork."""
        fork = request is not None and request.fork
        return f"/projects/{request.origin}" if request and fork else self._project

    async def _said(self, sha: str, request: Request | None) -> dict[str, Check]:
        path = f"{self._where(request)}/repository/commits/{sha}/statuses"
        found = await self._wire.read_all(path, _status, _NEED)
        return {check.context: check for _, check in sorted(found, key=lambda each: each[0])}

    async def _send(self, sha: str, check: Check, request: Request | None, before: Check | None) -> None:
        where = self._where(request)
        body = {
            "state": _SENT[check.state],
            "name": check.context,
            "description": check.description,
            **({"target_url": check.link} if check.link else {}),
            **await self._pipeline(where, sha, request),
        }
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Conflict),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            stop=stop_after_attempt(_LOCKED_TRIES),
            reraise=True,
        )
        try:
            await retrying(self._wire.write, "POST", f"{where}/statuses/{sha}", body, _NEED)
        except Rejected as error:
            if "cannot transition" not in error.said.lower():  # it is in that state already
                raise
        except InvalidSpec as error:
            if request is None or not request.fork or isinstance(error, NotPermitted):
                raise
            raise NotPermitted(f"!{request.number} comes from a fork, which the token may not see") from None

    async def _pipeline(self, where: str, sha: str, request: Request | None) -> dict[str, Any]:
        """Without either GitLab chooses a branch by itself, and makes one more pipeline."""
        last = await self._wire.read(f"{where}/repository/commits/{sha}", _last_pipeline, _NEED)
        if last is not None:
            return {"pipeline_id": last}
        return {"ref": request.branch} if request else {}

    # --- comments

    async def _who(self) -> str:
        return await self._wire.read("/user", lambda body: str(body["id"]), "scope `api`")

    async def _comments(self, request: Request) -> Sequence[Comment]:
        asked = {"order_by": "created_at", "sort": "asc"}
        return await self._wire.read_all(f"{self._merge(request)}/notes", _note, _NEED, asked)

    async def _add_comment(self, request: Request, body: str) -> None:
        await self._wire.write("POST", f"{self._merge(request)}/notes", {"body": body}, _NEED)

    async def _edit_comment(self, request: Request, id: str, body: str) -> None:
        await self._wire.write("PUT", f"{self._merge(request)}/notes/{id}", {"body": body}, _NEED)

    # --- people

    async def approvals(self, request: Request) -> Sequence[Approval]:
        arrived = await self._arrived(request)
        labels = [
            a for each in await self._labelled(request) if (a := still_meant(each, arrived, request.head))
        ]
        reviews = await self._wire.read(f"{self._merge(request)}/approvals", _reviews, _NEED)
        meant = [replace(r, sha=request.head) for r in reviews if arrived and r.at > arrived]
        return [*labels, *meant]

    async def _labelled(self, request: Request) -> list[Approval]:
        if not request.labels:
            return []
        path = f"{self._merge(request)}/resource_label_events"
        newest: dict[str, Approval] = {}
        for label in await self._wire.read_all(path, _labelling, _NEED):
            if label and label.label in request.labels:
                newest[label.label] = label
        return list(newest.values())

    async def _arrived(self, request: Request) -> datetime | None:
        """When the head became the request's; None where it no longer is its head."""
        versions = await self._wire.read_all(f"{self._merge(request)}/versions", _version, _NEED)
        newest = max(versions, key=lambda each: each[0], default=None)
        return newest[2] if newest and newest[1] == request.head else None

    async def _members(self, team: str) -> Sequence[str]:
        """Those of groups above it as well."""
        path = f"/groups/{quote(team.strip('/'), safe='')}/members/all"
        return [who for who in await self._wire.read_all(path, _active, _NEED) if who]

    async def merged_as(self, sha: str) -> Request | None:
        path = f"{self._project}/repository/commits/{sha}/merge_requests"
        found = await self._wire.read_all(path, lambda merge: (_request(merge), merge["state"]), _NEED)
        merged = [each for each, state in found if state == "merged"]
        return next(iter(await self._judged(merged[:1])), None)

    def _merge(self, request: Request) -> str:
        return f"{self._project}/merge_requests/{request.number}"


def _request(merge: Any) -> tuple[int, Request]:
    """The author's id, and the request before anybody asked whether the author is trusted."""
    fork = merge["source_project_id"] != merge["target_project_id"]
    request = Request(
        number=merge["iid"],
        title=merge["title"],
        head=merge["sha"] or "",
        branch=merge["source_branch"],
        origin=str(merge["source_project_id"] or ""),
        base=merge["target_branch"],
        fetch_ref=f"refs/merge-requests/{merge['iid']}/head",
        author=merge["author"]["username"],
        trusted=False,
        fork=fork,
        labels=frozenset(merge["labels"]),
        link=merge["web_url"],
    )
    return merge["author"]["id"], request


def _developer(member: Any) -> int:
    """The account's id, or 0 where it may not push."""
    able = member["access_level"] >= DEVELOPER and member["state"] == "active"
    return int(member["id"]) if able else 0


def _active(member: Any) -> str:
    """The account's name, or nothing where it is blocked."""
    return str(member["username"]) if member["state"] == "active" else ""


def _status(status: Any) -> tuple[int, Check]:
    state = _STATES.get(status["status"], "pending")
    link = status["target_url"] or ""
    return status["id"], Check(status["name"], state, status["description"] or "", link)


def _last_pipeline(commit: Any) -> int | None:
    last = commit.get("last_pipeline")
    return int(last["id"]) if last else None


def _note(note: Any) -> Comment:
    return Comment(str(note["id"]), str(note["author"]["id"]), note["body"])


def _labelling(event: Any) -> Approval | None:
    if event["action"] != "add" or not event["label"]:
        return None
    who = event["user"]["username"] if event["user"] else ""
    return Approval(who, "label", event["label"]["name"], moment(event["created_at"]), None)


def _reviews(approvals: Any) -> list[Approval]:
    """Older servers do not tell when somebody approved; what cannot be dated is no approval of the head."""
    return [
        Approval(each["user"]["username"], "review", "", moment(each["approved_at"]), None)
        for each in approvals["approved_by"]
        if each.get("approved_at")
    ]


def _version(version: Any) -> tuple[int, str, datetime]:
    return version["id"], version["head_commit_sha"], moment(version["created_at"])
