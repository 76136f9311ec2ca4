"""Where GPU nodes come from: one driver a file, all keeping the contract below.

A driver looks and begins; it never decides, waits or remembers. What it began shows in the next look.
`tests/contracts/test_provisioner.py` runs against every driver.
"""

from collections.abc import Sequence
from typing import Protocol

from reconciler.model.plan import PoolAction
from reconciler.model.world import ObservedPool


class Provisioner(Protocol):
    """One source of GPU pools."""

    name: str
    """As in `DesiredPool.driver`; also names the system in `Observed.unseen`."""

    async def observe(self) -> Sequence[ObservedPool]:
        """Every pool of ours, those that failed or are going included.

        Raises Unavailable where anything could not be read: a partial list would make pools look deleted.
        """
        ...

    async def apply(self, action: PoolAction) -> None:
        """Begins the action and returns as soon as the cloud accepted it.

        Idempotent: creating a pool that is there as wanted, or deleting one that is gone, does nothing.
        Creating a failed pool tries again. Raises QuotaExceeded, NoCapacity, NotPermitted where the cloud
        refused, NotYet where the pool is busy, Unavailable (with `retry_after` where the cloud named one)
        where it may not even have heard.
        """
        ...

    async def close(self) -> None: ...
