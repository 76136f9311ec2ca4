"""Plans for the cluster as it is now: read, never written."""

import time
from dataclasses import replace

from ..config import Settings
from ..model.declared import Declarations
from ..planning.foresight import foreseen
from ..planning.proposal import Proposal
from ..planning.resolve import resolve
from . import offline


async def planned(declarations: Declarations, settings: Settings) -> Proposal:
    """What the daemon would do next, whoever leads. Raises Unavailable and NotPermitted.

    Mode `observe` holds everything back in the daemon; here the plan is what it would be without.
    """
    from ..loop.cycle import planned as guarded
    from ..loop.daemon import everything
    from ..wiring import context, observing

    async with observing(settings) as world:
        if world.policy.mode == "observe":
            world.policy = replace(world.policy, mode="full")
        desired = resolve(
            declarations, context(settings, world.view.cluster_id, offline.catalogues(settings))
        )
        observed = world.view.observed(everything(desired, world), desired, time.time())
        _, observed = await guarded(world, desired, observed)
        return foreseen(desired, observed, world.ledger.policy(world.policy, observed.now))
