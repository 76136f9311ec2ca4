"""What nobody wants any more: the children first, then the pool under them, the Workspace object last."""

from collections.abc import Iterator

from ..model import names
from ..model.names import WorkspaceId
from ..model.plan import DeleteObject, DeletePool, Hold, Step
from ..model.world import Desired, Observed, ObservedObject, ObservedWorkspace

_ORDER = ("Service", "Deployment", "StatefulSet", "Job", "ConfigMap")


def prune(seen: ObservedWorkspace, desired: Desired, observed: Observed) -> Iterator[Step | Hold]:
    if not seen.exists:
        return
    if (hold := reason_to_keep(seen, desired, observed)) is not None:
        yield hold
        return
    yield from _delete(seen, observed)


def reason_to_keep(seen: ObservedWorkspace, desired: Desired, observed: Observed) -> Hold | None:
    """Unknown is not absent, and what does not parse is not deleted."""
    path = seen.mirror.annotation(names.PATH) if seen.mirror else ""
    if path in desired.broken:
        problems = desired.broken[path].problems
        return Hold(seen.id, problems[0].reason, "; ".join(map(str, problems[:3])))
    if unknown := unidentified(desired, observed):
        return Hold(
            seen.id, "UnreadableSpec", f"{unknown} cannot be read and may declare it; nothing is deleted"
        )
    if "cluster" in observed.unseen:
        return Hold(seen.id, "Unavailable", "the cluster cannot be read", recheck_after=5.0, waiting=True)
    if unseen := sorted({p.driver for p in seen.pools} & observed.unseen):
        return Hold(seen.id, "Unavailable", f"{unseen[0]} cannot be read", recheck_after=5.0, waiting=True)
    return None


def unidentified(desired: Desired, observed: Observed) -> str:
    """A broken file of which nobody knows what it declares; empty where there is none."""
    named = {line.path for line in observed.fleet.values()}
    unknown = (b.path for b in desired.broken.values() if b.identities is None and b.path not in named)
    return min(unknown, default="")


def leaving(desired: Desired, observed: Observed) -> frozenset[WorkspaceId]:
    """Every workspace we own that is no longer declared, whether or not this cycle looks at it."""
    kept = frozenset[WorkspaceId]().union(*(file.identities or () for file in desired.broken.values()))
    wanted, invalid = desired.workspaces, desired.invalid
    gone = [id for id in observed.fleet if id not in wanted and id not in invalid and id not in kept]
    return frozenset(id for id in gone if observed.fleet[id].path not in desired.broken)


def _delete(seen: ObservedWorkspace, observed: Observed) -> Iterator[Step | Hold]:
    named = {key for key in seen.objects if observed.config_users.get(key)}
    children = sorted(
        seen.objects.keys() - named, key=lambda k: (_ORDER.index(k.kind) if k.kind in _ORDER else 0, k)
    )
    for key in children:
        live = seen.objects[key]
        if not live.deleting:
            yield Step(seen.id, DeleteObject(key, live.uid), "no longer declared", "prune")
    if children or seen.pods:
        yield Hold(seen.id, "Deleting", "its objects are being deleted", waiting=True)
        return
    for pool in sorted(seen.pools, key=lambda p: p.name):
        if pool.state != "deleting":
            yield Step(seen.id, DeletePool(pool.name, pool.driver), "no longer declared", "prune")
    if seen.pools:
        yield Hold(seen.id, "Deleting", "its pool is being deleted", recheck_after=5.0, waiting=True)
    elif seen.mirror is not None:
        yield from _delete_mirror(seen, seen.mirror)
    elif named:
        users = ", ".join(sorted(str(id) for id in observed.config_users[min(named)]))
        yield Hold(seen.id, "Deleting", f"{min(named)} stays: {users} still names it", waiting=True)


def _delete_mirror(seen: ObservedWorkspace, mirror: ObservedObject) -> Iterator[Step | Hold]:
    """Then what it names may go; a finalizer is awaited, never removed."""
    if not mirror.deleting:
        yield Step(seen.id, DeleteObject(mirror.key, mirror.uid), "no longer declared", "prune")
        return
    awaited = ", ".join(mirror.manifest["metadata"].get("finalizers") or [])
    why = f"its Workspace object waits for {awaited}" if awaited else "its Workspace object is being deleted"
    yield Hold(seen.id, "Deleting", why, waiting=True)
