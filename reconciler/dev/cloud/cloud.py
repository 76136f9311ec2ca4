"""The simulated cloud: a pool is asked for, and its nodes join the cluster some time later."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from reconciler.cluster.client import Client
from reconciler.dev.clock import Pace
from reconciler.errors import Conflict, NotFound, ReconcilerError
from reconciler.model.names import ObjectKey

from .faults import Fault, Faults
from .nodes import node, ready_condition
from .pools import Pool, PoolSpec, Refused

NO_CAPACITY = "The requested VM size is not available in this location now (AllocationFailed, simulated)"
Answer = TypeVar("Answer")
_POOLS = TypeAdapter(list[Pool])


class Cloud:
    """Pools by name. With a file `kept` they outlive the process; faults do not."""

    def __init__(self, cluster: Client, pace: Pace, kept: Path | None = None) -> None:
        self._cluster = cluster
        self._pace = pace
        self._kept = kept
        self._pools: dict[str, Pool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.faults = Faults()

    def start(self) -> None:
        """Goes on with the pools that were kept, and with what was under way."""
        if self._kept is None or not self._kept.exists():
            return
        for pool in _POOLS.validate_json(self._kept.read_bytes()):
            self._pools[pool.name] = pool
            if pool.state == "deleting":
                self._spawn(self._remove(pool))
            elif pool.state in ("creating", "updating"):
                for name in [name for name, is_ready in pool.nodes.items() if not is_ready]:
                    self._spawn(self._join(pool, name))
                self._resize(pool)

    def _keep(self) -> None:
        if self._kept is not None:
            draft = self._kept.with_suffix(".new")
            draft.write_bytes(_POOLS.dump_json(self.pools()))
            draft.replace(self._kept)

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
        if self.faults.take("quota", name, spec):
            text = f"the request would exceed the approved quota of {spec.instance_type} (simulated)"
            raise Refused(403, "QuotaExceeded", text)
        if pool is None:
            pool = self._pools[name] = Pool(name=name, spec=spec)
        else:
            pool.state = "creating" if pool.state == "failed" else "updating"
            pool.spec, pool.reason, pool.message = spec, "", ""
        self._resize(pool)
        return pool

    def _resize(self, pool: Pool) -> None:
        while pool.size > pool.spec.count:
            if pool.coming:
                pool.coming.popitem()[1].cancel()
            else:
                self._spawn(self._remove_node(pool.nodes.popitem()[0]))
        for place in range(pool.spec.count - pool.size):
            if self.faults.take("neverJoins", pool.name, pool.spec):
                continue
            late = self.faults.take("lateJoin", pool.name, pool.spec)
            delay = self._pace.speed.node_join_seconds * (1 + place / 4) + (late.seconds if late else 0)
            self._order(pool, delay)
        self._settle(pool)

    def _order(self, pool: Pool, delay: float) -> None:
        name = pool.next_name()
        pool.coming[name] = self._spawn(self._grow(pool, name, delay))

    async def _grow(self, pool: Pool, name: str, delay: float) -> None:
        await self._pace.sleep(delay)
        del pool.coming[name]
        if self.faults.take("capacity", pool.name, pool.spec):
            pool.stop_growing()
            pool.state, pool.reason, pool.message = "failed", "NoCapacity", NO_CAPACITY
            self._keep()
            return
        pool.nodes[name] = False
        self._keep()
        await self._join(pool, name)

    async def _join(self, pool: Pool, name: str) -> None:
        at_once = self._pace.speed.node_ready_seconds == 0
        try:
            made = node(pool, name, at_once, self._pace.now())
            await self._insist(lambda: self._cluster.create(made))
        except Conflict:
            at_once = False
        if name not in pool.nodes:
            await self._remove_node(name)
        elif at_once:
            self._is_ready(pool, name)
        else:
            await self._pace.sleep(self._pace.speed.node_ready_seconds)
            await self._turn(pool, name, ready=True)

    async def _turn(self, pool: Pool, name: str, *, ready: bool) -> None:
        """The node says that it is ready, or says nothing any more."""
        if name not in pool.nodes:
            return
        condition = ready_condition(ready, self._pace.now(), lost=not ready)
        body, key = {"status": {"conditions": [condition]}}, ObjectKey("Node", "", name)
        await self._insist(lambda: self._cluster.merge_patch(key, body, subresource="status"))
        if ready:
            self._is_ready(pool, name)

    def _is_ready(self, pool: Pool, name: str) -> None:
        if name in pool.nodes:
            pool.nodes[name] = True
            self._settle(pool)

    def _settle(self, pool: Pool) -> None:
        """A pool is ready when as many nodes as were asked for are."""
        if pool.state in ("creating", "updating") and sum(pool.nodes.values()) == pool.spec.count:
            pool.state = "ready"
        self._keep()

    def delete(self, name: str) -> bool:
        """Begins to remove the pool; false where there is none."""
        pool = self._pools.get(name)
        if pool is None:
            return False
        if pool.state != "deleting":
            pool.state = "deleting"
            pool.stop_growing()
            self._keep()
            self._spawn(self._remove(pool))
        return True

    async def _remove(self, pool: Pool) -> None:
        await self._pace.sleep(self._pace.speed.pool_gone_seconds)
        while pool.nodes:
            await self._remove_node(pool.nodes.popitem()[0])
        self._pools.pop(pool.name, None)
        self._keep()

    async def _remove_node(self, name: str) -> None:
        await self._insist(lambda: self._cluster.delete(ObjectKey("Node", "", name)))

    def inject(self, fault: Fault) -> None:
        """From now on things go wrong; `nodeLost` happens at once and only once."""
        if fault.kind != "nodeLost":
            self.faults.add(fault)
            return
        for pool in self.pools():
            for name in list(pool.nodes):
                if fault.meets(name, pool.spec) or fault.meets(pool.name, pool.spec):
                    self._spawn(self._lose(pool, name, fault))

    async def _lose(self, pool: Pool, name: str, fault: Fault) -> None:
        if fault.remove:
            pool.nodes.pop(name, None)
            if fault.repair:
                self._order(pool, fault.seconds + self._pace.speed.node_join_seconds)
            self._keep()
            await self._remove_node(name)
            return
        pool.nodes[name] = False
        self._keep()
        await self._turn(pool, name, ready=False)
        if fault.repair:
            await self._pace.sleep(fault.seconds)
            await self._turn(pool, name, ready=True)

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _insist(self, call: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """Where the API server fails, again a second later. Raises Conflict."""
        while True:
            try:
                return await call()
            except Conflict:
                raise
            except NotFound:
                return None
            except ReconcilerError:
                await self._pace.sleep(1.0)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
