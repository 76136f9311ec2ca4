"""What requests mean while nobody has seen the cluster yet: whether they are valid needs none."""

import asyncio
from collections.abc import Collection

from ..errors import Unavailable
from ..model.declared import Declarations
from ..model.names import WorkspaceId
from ..model.world import Desired
from ..planning.manifests import Context
from ..planning.proposal import Proposal
from ..planning.resolve import Memo, changed_between, resolve_again
from .answer import Merges


class Blind:
    """An outlook for a daemon that starts while its cluster is away; `context` has no cluster's id."""

    def __init__(self, merges: Merges, context: Context) -> None:
        self._merges = merges
        self._context = context
        self._read: Declarations | None = None
        self._memo: Memo = {}
        self._desired = Desired("", {})

    @property
    def desired(self) -> Desired:
        read = self._merges.current
        if read is not None and read is not self._read:
            self._desired, self._memo = resolve_again(read, self._context, self._memo)
            self._read = read
        return self._desired

    async def resolved(self, declarations: Declarations) -> tuple[Desired, frozenset[WorkspaceId]]:
        now = self.desired
        found, _ = await asyncio.to_thread(resolve_again, declarations, self._context, self._memo)
        return found, changed_between(now, found)

    def version(self, scope: Collection[WorkspaceId]) -> tuple[object, ...]:
        """Unlike any that somebody who sees would give."""
        return ("blind",)

    async def proposal(self, desired: Desired, scope: Collection[WorkspaceId]) -> Proposal:
        raise Unavailable("the cluster could not be read since the daemon began")
