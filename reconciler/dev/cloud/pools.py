"""What the simulated cloud is asked for, and what it says about it."""

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from reconciler.dev.rows import Row
from reconciler.model.world import PoolState


class Taint(Row):
    key: str
    value: str = ""
    effect: str = "NoSchedule"


GPU_TAINT = Taint(key="sku", value="gpu")


class PoolSpec(Row):
    """A pool as requested."""

    key: str
    instance_type: str
    count: int = Field(ge=0, le=1000)
    gpus_per_node: int = Field(ge=0)
    labels: dict[str, str] = Field(default={})
    taints: tuple[Taint, ...] = (GPU_TAINT,)


class Refused(Exception):
    """The cloud's answer to a request it does not accept."""

    def __init__(self, status: int, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class Pool(BaseModel):
    """A pool as it is. `nodes` says which members are ready; those in `coming` have no Node object yet."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    spec: PoolSpec
    state: PoolState = "creating"
    reason: str = ""
    message: str = ""
    nodes: dict[str, bool] = {}
    born: int = 0
    coming: dict[str, asyncio.Task[None]] = Field(default={}, exclude=True)

    @property
    def size(self) -> int:
        return len(self.nodes) + len(self.coming)

    def next_name(self) -> str:
        """Names are never used twice, as in a scale set."""
        self.born += 1
        return f"aks-{self.name}-vmss{self.born - 1:06x}"

    def stop_growing(self) -> None:
        while self.coming:
            self.coming.popitem()[1].cancel()

    def report(self) -> dict[str, Any]:
        said = {"name": self.name, "state": self.state, "reason": self.reason, "message": self.message}
        return said | {"nodes": sorted(self.nodes)} | self.spec.model_dump(by_alias=True)
