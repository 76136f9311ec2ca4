"""What would follow from other declarations than the watched ones; nothing of it is noted or carried out."""

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace

from ..cluster.apply import look_at
from ..errors import NotFound, NotYet, Unavailable
from ..model.declared import Declarations
from ..model.names import ObjectKey, WorkspaceId
from ..model.plan import Plan
from ..model.policy import Policy
from ..model.world import Desired, Observed
from ..planning.diff import make_plan
from ..planning.foresight import foreseen
from ..planning.proposal import Proposal
from ..planning.resolve import Memo, changed_between, resolve_again
from .cycle import looked
from .daemon import Daemon

FEW = 64
"""Names that are looked at one by one."""


class Outlook:
    """The daemon's own planner on its own view of the cluster."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    @property
    def desired(self) -> Desired:
        """What is declared now. Raises NotYet before there is anything."""
        if self._daemon.desired is None:
            raise NotYet("the watched ref has not been read yet")
        return self._daemon.desired

    async def resolved(self, declarations: Declarations) -> tuple[Desired, frozenset[WorkspaceId]]:
        """What they mean, and the workspaces that they change or leave out."""
        return await asyncio.to_thread(self._resolved, declarations, self.desired, self._daemon.memo)

    def _resolved(
        self, declarations: Declarations, now: Desired, memo: Memo
    ) -> tuple[Desired, frozenset[WorkspaceId]]:
        found, _ = resolve_again(declarations, self._daemon.context, memo)
        return found, changed_between(now, found)

    def version(self, scope: Collection[WorkspaceId]) -> tuple[object, ...]:
        """Equal as long as a proposal for these workspaces would come out the same."""
        return self._daemon.world.view.version(scope), self._policy().released

    async def proposal(self, desired: Desired, scope: Collection[WorkspaceId]) -> Proposal:
        """Raises Unavailable where cluster or cloud cannot be read."""
        observed = self._daemon.world.view.glimpse(scope, desired, time.time())
        if observed.unseen:
            raise Unavailable(f"{' and '.join(sorted(observed.unseen))} cannot be read")
        policy = self._policy()
        plan = await asyncio.to_thread(make_plan, desired, observed, policy)
        if plan.looks:
            observed = await self._looked(observed, desired, plan)
        return await asyncio.to_thread(foreseen, desired, observed, policy)

    def _policy(self) -> Policy:
        """Mode `observe` holds everything back in the daemon; here the plan is what it would be without."""
        world = self._daemon.world
        policy = world.ledger.policy(world.policy, time.time())
        return replace(policy, mode="full") if policy.mode == "observe" else policy

    async def _looked(self, observed: Observed, desired: Desired, plan: Plan) -> Observed:
        keys = list(_names(observed, desired, plan))
        if len(keys) > FEW:
            return await looked(self._daemon.world, observed, plan.looks)
        occupants = {}
        with suppress(NotFound):
            occupants = await look_at(self._daemon.world.hands.client, keys)
        return replace(observed, occupants=occupants, looked=plan.looks)


def _names(observed: Observed, desired: Desired, plan: Plan) -> Iterator[ObjectKey]:
    """Those that may be taken: of objects of these workspaces that are not ours yet."""
    for id, seen in observed.workspaces.items():
        want = desired.workspaces.get(id)
        for wanted in (want.mirror, *want.objects) if want is not None else ():
            if (wanted.key.kind, wanted.key.namespace) in plan.looks and wanted.key not in seen.objects:
                yield wanted.key
