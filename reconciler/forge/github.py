"""GitHub and GitHub Enterprise, by commit statuses; `checks.py` does it by check runs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from reconciler.errors import ReconcilerError
from reconciler.model.review import Approval, Check, CheckState, Request
from reconciler.model.settings import ForgeSettings

from .driver import Comment, Driver, Place, moment, still_meant
from .errors import Rejected, StatusesUsedUp
from .logins import TokenFile
from .wire import Address, Wire

PUBLIC = "https://api.github.com"
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_MEMBERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_STATES: dict[str, CheckState] = {
    "pending": "pending",
    "success": "success",
    "failure": "failure",
    "error": "failure",
}
_READ_REQUESTS, _WRITE_REQUESTS = "pull requests: read", "pull requests: write"


def address(settings: ForgeSettings) -> Address:
    return Address("GitHub", _api(settings.url or PUBLIC), settings.repository, settings.ca_file, _HEADERS)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _api(url: str) -> str:
    """Enterprise servers have their API under a path, GitHub itself and its subdomains on a host."""
    parts = urlsplit(url.rstrip("/"))
    host = (parts.hostname or "").lower()
    if host in ("github.com", "www.github.com"):
        return PUBLIC
    if host.endswith(".ghe.com") and not host.startswith("api."):
        return f"https://api.{host}"
    if host.startswith("api.") or parts.path:
        return parts.geturl()
    return f"{parts.geturl()}/api/v3"


class GitHub(Driver):
    description_limit = 140
    comment_limit = 65_536

    def __init__(self, settings: ForgeSettings, wire: Wire | None = None) -> None:
        if wire is None:
            assert settings.token_file is not None
            wire = Wire(address(settings), TokenFile(settings.token_file, _bearer))
        super().__init__(wire)
        self._repo = f"/repos/{settings.repository}"
        self._used_up: set[tuple[str, str]] = set()

    async def _list(self) -> list[Request]:
        path = f"{self._repo}/pulls"
        asked = {"state": "open", "sort": "created", "direction": "asc"}
        return await self._wire.read_all(path, _request, _READ_REQUESTS, asked, remember=True)

    # --- statuses

    def _as_told(self, check: Check) -> Check:
        """Statuses know nothing neutral; what does not block has to be a success."""
        told = super()._as_told(check)
        return replace(told, state="success") if told.state == "neutral" else told

    def _place(self, sha: str, request: Request | None) -> Place:
        """A commit has one set of statuses, whichever requests it is in."""
        return sha, None

    async def _said(self, sha: str, request: Request | None) -> dict[str, Check]:
        """The combined status has the newest of each context; the list of all may be thousands long."""
        path = f"{self._repo}/commits/{sha}/status"
        found = await self._wire.read_all(path, _status, "commit statuses: read")
        return {check.context: check for check in found}

    async def _send(self, sha: str, check: Check, request: Request | None, before: Check | None) -> None:
        full = StatusesUsedUp(
            f"GitHub takes only 1000 statuses {check.context} for {sha[:12]}, all used; push another commit"
        )
        if (sha, check.context) in self._used_up:
            raise full
        body = {
            "state": check.state,
            "context": check.context,
            "description": check.description,
            **({"target_url": check.link} if check.link else {}),
        }
        try:
            await self._wire.write("POST", f"{self._repo}/statuses/{sha}", body, "commit statuses: write")
        except Rejected as error:
            if "maximum number of statuses" not in error.said:
                raise
            self._used_up.add((sha, check.context))
            raise full from None

    # --- comments

    async def _who(self) -> str:
        return await self._wire.read("/user", lambda body: str(body["login"]), "a user's token")

    async def _comments(self, request: Request) -> Sequence[Comment]:
        path = f"{self._repo}/issues/{request.number}/comments"
        return await self._wire.read_all(path, _comment, _READ_REQUESTS)

    async def _add_comment(self, request: Request, body: str) -> None:
        path = f"{self._repo}/issues/{request.number}/comments"
        await self._wire.write("POST", path, {"body": body}, _WRITE_REQUESTS)

    async def _edit_comment(self, request: Request, id: str, body: str) -> None:
        path = f"{self._repo}/issues/comments/{id}"
        await self._wire.write("PATCH", path, {"body": body}, _WRITE_REQUESTS)

    # --- people

    async def approvals(self, request: Request) -> Sequence[Approval]:
        return [*await self._labelled(request), *await self._reviewed(request)]

    async def _labelled(self, request: Request) -> list[Approval]:
        if not request.labels:
            return []
        path = f"{self._repo}/issues/{request.number}/events"
        newest: dict[str, Approval] = {}
        for label in await self._wire.read_all(path, _labelling, _READ_REQUESTS):
            if label and label.label in request.labels:
                newest[label.label] = label
        arrived = await self._arrived(request) if newest else None
        return [a for label in newest.values() if (a := still_meant(label, arrived, request.head))]

    async def _arrived(self, request: Request) -> datetime | None:
        """When the head was pushed, by GitHub's clock: a commit's own dates are what its author likes.

        None where the head's repository does not show its activity to us.
        """
        path = f"/repos/{request.origin}/activity"
        asked = {"ref": f"refs/heads/{request.branch}", "per_page": 1}
        with suppress(ReconcilerError):
            for after, at in await self._wire.read(path, _pushes, "contents: read", asked):
                return at if after == request.head else None
        return None

    async def _reviewed(self, request: Request) -> list[Approval]:
        """The last word of each member; whoever reads a public repository may review it."""
        path = f"{self._repo}/pulls/{request.number}/reviews"
        reviews = await self._wire.read_all(path, _review, _READ_REQUESTS)
        newest = {who: approval for who, approval in reviews if who}
        return [a for a in newest.values() if a and a.sha == request.head]

    async def _members(self, team: str) -> Sequence[str]:
        """Those of teams below it as well."""
        organisation, _, slug = (quote(part, safe="") for part in team.partition("/"))
        path = f"/orgs/{organisation}/teams/{slug}/members"
        return await self._wire.read_all(path, _login, "organization members: read (scope read:org)")

    async def merged_as(self, sha: str) -> Request | None:
        path = f"{self._repo}/commits/{sha}/pulls"
        with suppress(Rejected):  # GitHub does not know that commit
            merged = [r for r in await self._wire.read_all(path, _merged, _READ_REQUESTS) if r]
            exact = (request for merge, request in merged if merge == sha)
            return next(exact, merged[0][1] if merged else None)
        return None


def github(settings: ForgeSettings) -> GitHub:
    from .checks import GitHubChecks

    return GitHub(settings) if settings.app is None else GitHubChecks(settings, settings.app)


def _request(pull: Any) -> Request:
    head, base = pull["head"], pull["base"]
    origin = head["repo"]["full_name"] if head["repo"] else ""
    fork = origin.lower() != base["repo"]["full_name"].lower()
    return Request(
        number=pull["number"],
        title=pull["title"],
        head=head["sha"],
        branch=head["ref"],
        origin=origin,
        base=base["ref"],
        fetch_ref=f"refs/pull/{pull['number']}/head",
        author=_login(pull["user"]),
        trusted=not fork and pull["author_association"] in _MEMBERS,
        fork=fork,
        labels=frozenset(label["name"] for label in pull["labels"]),
        link=pull["html_url"],
    )


def _merged(pull: Any) -> tuple[str, Request] | None:
    return (pull["merge_commit_sha"], _request(pull)) if pull["merged_at"] else None


def _status(status: Any) -> Check:
    return Check(
        context=status["context"],
        state=_STATES[status["state"]],
        description=status["description"] or "",
        link=status["target_url"] or "",
    )


def _comment(comment: Any) -> Comment:
    return Comment(str(comment["id"]), _login(comment["user"]), comment["body"] or "")


def _labelling(event: Any) -> Approval | None:
    if event["event"] != "labeled":
        return None
    return Approval(
        who=_login(event["actor"]),
        how="label",
        label=event["label"]["name"],
        at=moment(event["created_at"]),
        sha=None,
    )


def _pushes(activities: Any) -> list[tuple[str, datetime]]:
    return [(each["after"], moment(each["timestamp"])) for each in activities]


def _review(review: Any) -> tuple[str, Approval | None]:
    """Whose word it is, empty where it changes nothing; and the approval, if it is one."""
    who = _login(review["user"])
    if review["state"] not in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
        return "", None
    if review["state"] != "APPROVED" or review["author_association"] not in _MEMBERS:
        return who, None
    at = moment(review["submitted_at"])
    return who, Approval(who=who, how="review", label="", at=at, sha=review["commit_id"])


def _login(user: Any) -> str:
    """Empty for an account that is gone."""
    return str(user["login"]) if user else ""
