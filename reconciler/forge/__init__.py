"""Where pull requests live: one driver for each forge, all keeping the contract below.

A driver reads and says; it decides nothing. `tests/forge/test_contract.py` runs against every driver.

wire.py     requests: limits of size, time and rate, retries, ETags
errors.py   what a refusal means
logins.py   tokens and GitHub Apps
driver.py   what all drivers have in common: nothing is said twice
"""

from collections.abc import Sequence
from typing import Protocol

from reconciler.model.review import Approval, Check, Posted, Request
from reconciler.model.settings import ForgeSettings


class Forge(Protocol):
    """One repository of one forge.

    Everything raises NotPermitted where the login is refused or lacks a permission, InvalidSpec where there
    is no such repository, RateLimited (with `retry_after`) where the forge asks for less, Unavailable where
    it cannot be reached. After a RateLimited nothing is sent before its time is over.
    """

    async def open_requests(self) -> Sequence[Request]:
        """All of them. One that is unchanged is the same object as at the last call."""
        ...

    async def post(self, sha: str, check: Check, request: Request | None = None) -> None:
        """Tells a check of a commit; with `request` where reviewers of it look.

        Sends nothing where the forge says the same already, also when another process told it. Raises
        StatusesUsedUp where the forge takes no more for this commit and context, NotYet where it has yet to
        notice that the commit is the request's head.
        """
        ...

    async def posted(self, sha: str, request: Request | None = None) -> Posted:
        """What the forge says now, the newest of each context, in its own words: descriptions are cut, and
        `neutral` reads `success` where a forge knows nothing like it."""
        ...

    async def comment(self, request: Request, marker: str, body: str) -> None:
        """Our one comment under that marker, made or brought up to date; an equal one is left alone."""
        ...

    async def approvals(self, request: Request) -> Sequence[Approval]:
        """Who said yes to the request's head: labels that are on it, and approving reviews of members.

        Azure does not tell who set a label, so there labels are no approvals.
        """
        ...

    async def members(self, team: str) -> frozenset[str]:
        """Accounts of a team, in lower case, as of the last five minutes: on GitHub `organisation/team`, on
        GitLab a group with its path (`group/subgroup`, or `group/`), on Azure DevOps `project/team`.

        Groups that belong to a team of Azure's are not looked into.
        """
        ...

    async def merged_as(self, sha: str) -> Request | None:
        """The merged request by which a commit came to its branch; None where there is none."""
        ...

    async def close(self) -> None: ...


def connect(settings: ForgeSettings) -> Forge:
    """The driver for these settings; nothing is sent yet."""
    from .azuredevops import AzureDevOps
    from .github import github
    from .gitlab import GitLab

    match settings.driver:
        case "github":
            return github(settings)
        case "gitlab":
            return GitLab(settings)
        case "azuredevops":
            return AzureDevOps(settings)


__all__ = ["Approval", "Check", "Forge", "Request", "connect"]
