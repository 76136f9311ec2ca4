"""The GPU pool under a workspace: create, scale, wait, replace."""

from collections.abc import Iterator

from ..model.plan import CreatePool, DeletePool, Hold, ScalePool, Step
from ..model.world import DesiredPool, ObservedPool
from .case import Case, chosen_pool_name, current_pool
from .readiness import workload_ready

RETRY_FAILED_POOL = 60.0
"""Seconds before a failed pool is asked for again: capacity rarely returns sooner."""


def gate(case: Case) -> Iterator[Step | Hold]:
    """What must still happen before the first workload; nothing once all GPUs are there."""
    want = case.want.pool
    if want is None:
        return
    if case.cloud_unseen():
        yield case.wait("Unavailable", _unreadable(want), 5.0)
        return
    yield from shape(case, want)


def upkeep(case: Case) -> Iterator[Step | Hold]:
    """The same for a running workload, plus removing the pools it was moved away from.

    A workload that does its job is ready also while nobody can see its pool.
    """
    want = case.want.pool
    if want is None:
        return
    if case.cloud_unseen():
        yield case.wait("PoolUnseen", _unreadable(want), 5.0)
        return
    yield from shape(case, want)
    yield from _remnants(case)


def moves(case: Case) -> bool:
    """Whether the running workload is still the one of before a replacement.

    An unreadable cloud cannot tell which pools there are, so it is assumed.
    """
    live, want = case.live_workload, case.want.workload
    if live is None or want is None or live.spec == want.spec or not case.want.workspace.replaces:
        return False
    pool = current_pool(case)
    others = (p for p in case.seen.pools if p.state != "deleting" and (pool is None or p.name != pool.name))
    return case.cloud_unseen() or any(others)


def shape(case: Case, want: DesiredPool) -> Iterator[Step | Hold]:
    pool = current_pool(case)
    if pool is None:
        name = chosen_pool_name(case)
        yield Step(case.id, CreatePool(name, want), f"pool {name} does not exist")
    elif pool.state == "failed":
        yield from _failed(case, want, pool)
    elif pool.count != want.count:
        why = f"pool {pool.name} has {pool.count} nodes, {want.count} wanted"
        yield Step(case.id, ScalePool(pool.name, want, pool.count), why)
    else:
        yield from _nodes(case, want, pool)


def unfinished_remnants(case: Case) -> Iterator[Hold]:
    """A pool still being deleted under the wanted name must be gone first: the cloud refuses the PUT."""
    for pool in case.seen.pools:
        if pool.state == "deleting" and case.want.pool and pool.name == chosen_pool_name(case):
            yield case.wait("PoolDeleting", f"pool {pool.name} is still being deleted", recheck_after=5.0)


def _unreadable(want: DesiredPool) -> str:
    return f"{want.driver} cannot be read; its pools stay as they are"


def _failed(case: Case, want: DesiredPool, pool: ObservedPool) -> Iterator[Step | Hold]:
    reason, said = pool.reason or "PoolFailed", pool.message or "the cloud gave no reason"
    since = case.seen.since.get("poolFailed", case.now)
    left = RETRY_FAILED_POOL - (case.now - since)
    if left > 0:
        why = f"pool {pool.name} failed: {said}; it is asked for again every {RETRY_FAILED_POOL:.0f} s"
        yield case.hold(reason, why, recheck_after=left)
    else:
        yield Step(case.id, CreatePool(pool.name, want), f"pool {pool.name} failed with {reason}", "retry")


def _nodes(case: Case, want: DesiredPool, pool: ObservedPool) -> Iterator[Hold]:
    nodes = [n for n in case.seen.nodes if n.pool == pool.name]
    ready = [n for n in nodes if n.ready]
    if len(ready) < want.count:
        yield case.wait("NodesNotReady", f"{len(ready)} of {want.count} nodes of pool {pool.name} are ready")
        return
    poor = [n for n in ready if n.gpus < want.gpus_per_node]
    if poor:
        found = f"{poor[0].gpus} of {want.gpus_per_node} GPUs"
        why = f"node {poor[0].name} offers {found}; its device plugin is not ready"
        yield case.wait("GpusMissing", why)


def _remnants(case: Case) -> Iterator[Step | Hold]:
    pool = current_pool(case)
    old = [p for p in case.seen.pools if p.state != "deleting" and pool is not None and p.name != pool.name]
    for remnant in sorted(old, key=lambda p: p.name):
        nodes = {n.name for n in case.seen.nodes if n.pool == remnant.name}
        if workload_ready(case) and not moves(case) and not any(p.node in nodes for p in case.seen.pods):
            why = f"replaced by pool {pool.name if pool else ''}"
            yield Step(case.id, DeletePool(remnant.name, remnant.driver), why, "release")
        else:
            yield case.wait("Replacing", f"pool {remnant.name} stays until its successor serves")
