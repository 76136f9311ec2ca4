"""The simulated cloud: a pool is asked for, and its nodes join the cluster some time later."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from reconciler.cluster.client import Client
from reconciler.dev.clock import Pace, Timer
from reconciler.errors import Conflict, ReconcilerError
from reconciler.model.names import ObjectKey

from .faults import Fault, Faults
from .nodes import node, ready_condition
from .pools import Pool, PoolSpec, Refused

NO_CAPACITY = "The requested VM size is not available in this location now (AllocationFailed, simulated)"


class Cloud:
    """Pools by name. Nothing is kept on disk: the pools end with the process."""

    def __init__(self, cluster: Client, pace: Pace) -> None:
        self._cluster = cluster
        self._pace = pace
        self._pools: dict[str, Pool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: list[Timer] = []
        self.faults = Faults()

    def pools(self) -> list[Pool]:
        return list(self._pools.values())

    def put(self, name: str, spec: PoolSpec) -> Pool:
        """Begins to make the pool as asked. Idempotent, but a failed pool is tried again."""
        pool = self._pools.get(name)
        if pool and pool.state == "deleting":
            raise Refused(409, "OperationNotAllowed", f"pool {name} is being deleted", retry_after=5)
        if pool and pool.spec.instance_type != spec.instance_type:
            raise Refused(400, "PropertyChangeNotAllowed", "the instance type of a pool cannot be changed")
        if pool and pool.spec == spec and pool.state != "failed":
            return pool
        self._refuse_over_quota(name, spec)
        return self._begin(pool, name, spec)

    def _refuse_over_quota(self, name: str, spec: PoolSpec) -> None:
        if self.faults.take("quota", name, spec):
            text = f"the request would exceed the approved quota of {spec.instance_type} (simulated)"
            raise Refused(403, "QuotaExceeded", text)

    def _begin(self, pool: Pool | None, name: str, spec: PoolSpec) -> Pool:
        if pool is None:
            pool = self._pools[name] = Pool(name, spec)
        else:
            pool.state = "creating" if pool.state == "failed" else "updating"
            pool.spec = spec
        pool.reason = pool.message = ""
        self._resize(pool)
        return pool

    def _resize(self, pool: Pool) -> None:
        while len(pool.nodes) + len(pool.timers) > pool.spec.count:
            self._drop_one(pool)
        for place in range(pool.spec.count - len(pool.nodes) - len(pool.timers)):
            self._order_node(pool, place)
        self._settle(pool)

    def _drop_one(self, pool: Pool) -> None:
        if pool.timers:
            pool.timers.popitem()[1].cancel()
            return
        name, _ = pool.nodes.popitem()
        self._spawn(partial(self._remove_node, name))

    def _order_node(self, pool: Pool, place: int) -> None:
        if self.faults.take("neverJoins", pool.name, pool.spec):
            return
        late = self.faults.take("lateJoin", pool.name, pool.spec)
        delay = self._pace.speed.node_join_seconds * (1 + place / 4) + (late.seconds if late else 0)
        name = pool.next_name()
        pool.timers[name] = self._pace.after(delay, partial(self._arrive, pool, name))

    def _arrive(self, pool: Pool, name: str) -> None:
        del pool.timers[name]
        if fault := self.faults.take("capacity", pool.name, pool.spec):
            self._fail(pool, fault)
            return
        at_once = self._pace.speed.node_ready_seconds == 0
        pool.nodes[name] = False
        self._spawn(partial(self._join, pool, name, at_once))

    def _fail(self, pool: Pool, fault: Fault) -> None:
        pool.cancel()
        pool.state, pool.reason, pool.message = "failed", "NoCapacity", NO_CAPACITY

    async def _join(self, pool: Pool, name: str, ready: bool) -> None:
        try:
            await self._cluster.create(node(pool, name, ready, self._pace.now()))
        except Conflict:
            ready = False
        if name not in pool.nodes or pool.state == "deleting":
            await self._remove_node(name)
        elif ready:
            self._ready(pool, name)
        else:
            self._pace.after(self._pace.speed.node_ready_seconds, lambda: self._start(pool, name))

    def _start(self, pool: Pool, name: str) -> None:
        if name in pool.nodes:
            self._spawn(partial(self._report_ready, pool, name))

    async def _report_ready(self, pool: Pool, name: str) -> None:
        await self._set_ready(name, ready=True)
        self._ready(pool, name)

    async def _set_ready(self, name: str, ready: bool) -> None:
        condition = ready_condition(ready, self._pace.now(), lost=not ready)
        key = ObjectKey("Node", "", name)
        await self._cluster.merge_patch(key, {"status": {"conditions": [condition]}}, subresource="status")

    def _ready(self, pool: Pool, name: str) -> None:
        if name in pool.nodes:
            pool.nodes[name] = True
            self._settle(pool)

    def _settle(self, pool: Pool) -> None:
        """A pool is ready when as many nodes as were asked for are."""
        if pool.state in ("creating", "updating") and sum(pool.nodes.values()) == pool.spec.count:
            pool.state = "ready"

    def delete(self, name: str) -> bool:
        """Begins to remove the pool; false where there is none."""
        pool = self._pools.get(name)
        if pool is None:
            return False
        if pool.state != "deleting":
            pool.state = "deleting"
            pool.cancel()
            self._pace.after(
                self._pace.speed.pool_gone_seconds, lambda: self._spawn(partial(self._gone, pool))
            )
        return True

    async def _gone(self, pool: Pool) -> None:
        for name in list(pool.nodes):
            await self._remove_node(name)
        self._pools.pop(pool.name, None)

    async def _remove_node(self, name: str) -> None:
        await self._cluster.delete(ObjectKey("Node", "", name))

    def inject(self, fault: Fault) -> None:
        """From now on things go wrong; `nodeLost` happens at once and only once."""
        if fault.kind != "nodeLost":
            self.faults.add(fault)
            return
        for pool in self.pools():
            for name in list(pool.nodes):
                if fault.meets(name, pool.spec) or fault.meets(pool.name, pool.spec):
                    self._lose(pool, name, fault)

    def _lose(self, pool: Pool, name: str, fault: Fault) -> None:
        if fault.remove:
            del pool.nodes[name]
            self._spawn(partial(self._remove_node, name))
        else:
            pool.nodes[name] = False
            self._spawn(partial(self._set_ready, name, ready=False))
        if fault.repair:
            self._timers.append(self._pace.after(fault.seconds, partial(self._repair, pool, name)))

    def _repair(self, pool: Pool, name: str) -> None:
        if pool.name not in self._pools or pool.state == "deleting":
            return
        if name in pool.nodes:
            self._spawn(partial(self._report_ready, pool, name))
        else:
            self._resize(pool)

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._insist(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _insist(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs `work`; where the API server fails, again a second later."""
        try:
            await work()
        except ReconcilerError:
            self._timers.append(self._pace.after(1.0, lambda: self._spawn(work)))

    async def close(self) -> None:
        for pool in self.pools():
            pool.cancel()
        for timer in self._timers:
            timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
