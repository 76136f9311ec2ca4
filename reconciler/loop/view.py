"""What is seen of the world, indexed by workspace. Fed by watches and drivers, read by planning."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..cluster.cache import Cache, Selection
from ..model import names
from ..model.catalogues import Catalogue
from ..model.names import ObjectKey, WorkspaceId
from ..model.policy import Policy
from ..model.settings import Engine
from ..model.sku import Sku
from ..model.world import (
    Artifact,
    Desired,
    DesiredWorkspace,
    Footprint,
    Manifest,
    Observed,
    ObservedObject,
    ObservedPool,
    ObservedWorkspace,
    nodes_of,
)
from ..planning.blockers import operator_marks
from ..planning.delivered import named_config
from ..planning.readiness import live_ready
from ..planning.tuning_life import artifact_of
from . import parts
from .facts import Facts
from .references import References
from .wakeups import Wakeups

_OURS = f"{names.MANAGED_BY}={names.MANAGER}"
_CHILDREN = ("Deployment", "StatefulSet", "Job", "Service")


def selections(engine: Engine) -> tuple[Selection, ...]:
    """What this engine watches: our own objects, our pods and nodes; never Secrets.

    Workspaces of others too: they tell of another operator, and name ConfigMaps.
    """
    delivered = (Selection("Workspace"), Selection("ConfigMap", _OURS))
    if engine == "kaito":
        return delivered
    children = (Selection(kind, _OURS) for kind in _CHILDREN)
    return (*delivered, *children, Selection("Pod", names.WORKSPACE), Selection("Node", names.WORKSPACE))


@dataclass
class _Index:
    """Keys of what belongs to one workspace."""

    mirror: ObjectKey | None = None
    children: set[ObjectKey] = field(default_factory=set)
    pods: set[ObjectKey] = field(default_factory=set)
    nodes: set[ObjectKey] = field(default_factory=set)

    def place(self, key: ObjectKey, present: bool) -> None:
        if key.kind == "Workspace":
            self.mirror = key if present else None
            return
        keys = {"Pod": self.pods, "Node": self.nodes}.get(key.kind, self.children)
        (keys.add if present else keys.discard)(key)

    @property
    def empty(self) -> bool:
        return not (self.mirror or self.children or self.pods or self.nodes)


class View:
    """`wakeups` is told which workspaces look different now."""

    def __init__(self, cluster_id: str, wakeups: Wakeups, skus: Catalogue[Sku], engine: Engine) -> None:
        self.cluster_id = cluster_id
        self.facts = Facts()
        self.artifacts: dict[WorkspaceId, Artifact] = {}
        self.fleet: dict[WorkspaceId, Footprint] = {}
        self.drivers_unseen: set[str] = set()
        self._wakeups = wakeups
        self._skus = skus
        self._engine = engine
        self._references = References()
        self._marked_by_operator: dict[ObjectKey, str] = {}
        self._index: dict[WorkspaceId, _Index] = {}
        self._pools: dict[str, Sequence[ObservedPool]] = {}
        self._pools_of: dict[WorkspaceId, tuple[ObservedPool, ...]] = {}
        self._looked_at: dict[WorkspaceId, tuple[object, ...]] = {}
        self.cache: Cache | None = None

    # --- what feeds it

    def on_change(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        was, now = (self._workspace_of(m) if m is not None else None for m in (old, new))
        for id, present in ((was, False), (now, True)):
            if id is not None and (present or id != now):
                self._index.setdefault(id, _Index()).place(key, present)
        self._wakeups.mark(id for id in {was, now} if id is not None)
        if key.kind == "Workspace":
            self._note_workspace(key, new)
        elif key.kind == "ConfigMap":
            self._wakeups.mark(self._references.users.get(key, ()))

    def _note_workspace(self, key: ObjectKey, live: Manifest | None) -> None:
        named = named_config(live) if live is not None else None
        self._wakeups.mark(self._references.note("live", WorkspaceId(key.namespace, key.name), named))
        marks = operator_marks(live) if live is not None and self._engine == "native" else ""
        before = bool(self._marked_by_operator)
        if marks:
            self._marked_by_operator[key] = marks
        else:
            self._marked_by_operator.pop(key, None)
        if before != bool(self._marked_by_operator):
            self._wakeups.mark_all()

    def pools_seen(self, driver: str, pools: Sequence[ObservedPool]) -> None:
        """A whole look at one driver; only workspaces whose pools changed are marked."""
        self.drivers_unseen.discard(driver)
        self._pools[driver] = pools
        grouped: dict[WorkspaceId, list[ObservedPool]] = {}
        for pool in (p for seen in self._pools.values() for p in seen):
            grouped.setdefault(WorkspaceId.parse(pool.key), []).append(pool)
        found = {id: tuple(sorted(pools, key=lambda p: p.name)) for id, pools in grouped.items()}
        changed = {
            id for id in found.keys() | self._pools_of.keys() if found.get(id) != self._pools_of.get(id)
        }
        self._pools_of = found
        self._wakeups.mark(changed)

    def driver_unseen(self, driver: str) -> None:
        self.drivers_unseen.add(driver)

    # --- what is read from it

    @property
    def known(self) -> set[WorkspaceId]:
        """Every workspace of which anything is there."""
        return {*self._index, *self._pools_of}

    @property
    def transitional(self) -> bool:
        """Whether some pool is on its way, so that the cloud must be asked again soon."""
        return any(p.state not in ("ready",) for pools in self._pools_of.values() for p in pools)

    @property
    def crd_served(self) -> bool:
        return "Workspace" not in self._not_served

    @property
    def unseen(self) -> frozenset[str]:
        assert self.cache is not None
        kinds = self.cache.unseen.keys() - self._not_served
        return frozenset(self.drivers_unseen | ({"cluster"} if kinds else set()))

    @property
    def _not_served(self) -> set[str]:
        assert self.cache is not None
        return {kind for kind, why in self.cache.unseen.items() if why == "not served"}

    def observed(self, scope: Iterable[WorkspaceId], desired: Desired, now: float) -> Observed:
        """Slices for `scope`, and the fleet brought up to date for it."""
        found = {id: self._slice(id, desired, now) for id in scope}
        for id in found:
            self._looked_at[id] = self._signature(id, desired.workspaces.get(id))
        for id, seen in found.items():
            self._note_fleet(id, seen, desired)
            self._note_named(id, desired)
            self._note_artifact(id, seen, desired)
        return Observed(
            now=now,
            workspaces=found,
            fleet=self.fleet,
            unseen=self.unseen,
            crd_served=self.crd_served,
            config_users=self._references.users,
            engine_conflict=min(self._marked_by_operator.values(), default=""),
            artifacts=self.artifacts,
        )

    def glimpse(self, scope: Iterable[WorkspaceId], desired: Desired, now: float) -> Observed:
        """The same without taking note of anything, for plans that nobody carries out. Holds still."""
        found = {id: self._slice(id, desired, now) for id in scope}
        wanted = ((id, seen, desired.workspaces.get(id)) for id, seen in found.items())
        made = {id: artifact_of(want, seen) for id, seen, want in wanted if want and want.kind == "tuning"}
        kept = {id: artifact for id, artifact in self.artifacts.items() if id not in made}
        return Observed(
            now=now,
            workspaces=found,
            fleet=dict(self.fleet),
            unseen=self.unseen,
            crd_served=self.crd_served,
            config_users=self._references.users,
            engine_conflict=min(self._marked_by_operator.values(), default=""),
            artifacts=kept | {id: artifact for id, artifact in made.items() if artifact is not None},
        )

    def version(self, scope: Iterable[WorkspaceId]) -> tuple[object, ...]:
        """Equal as long as nothing of these workspaces, or of what all depend on, looks different."""
        seen = tuple(self._signature(id, None) for id in sorted(scope))
        return seen, self.unseen, self.crd_served, bool(self._marked_by_operator)

    def differs(self, id: WorkspaceId, want: DesiredWorkspace | None) -> bool:
        """Whether anything of it is not as it was when a cycle last looked."""
        return self._looked_at.get(id) != self._signature(id, want)

    def live(self, key: ObjectKey) -> Manifest | None:
        assert self.cache is not None
        return self.cache.get(key)

    def mirror(self, id: WorkspaceId) -> Manifest | None:
        """The live Workspace object, where it is ours."""
        found = self.live(ObjectKey("Workspace", id.namespace, id.name))
        return found if found is not None and self._workspace_of(found) == id else None

    # --- inside

    def _signature(self, id: WorkspaceId, want: DesiredWorkspace | None) -> tuple[object, ...]:
        index = self._index.get(id) or _Index()
        keys = (*((index.mirror,) if index.mirror else ()), *index.children, *index.pods, *index.nodes)
        live = ((key, self.live(key)) for key in keys)
        versions = {key: m["metadata"].get("resourceVersion") for key, m in live if m is not None}
        declared = (want.mirror.spec, want.mirror.render, want.origin.path) if want is not None else ()
        return declared, versions, self._pools_of.get(id)

    def _slice(self, id: WorkspaceId, desired: Desired, now: float) -> ObservedWorkspace:
        index = self._index.get(id)
        if index is not None and index.empty:
            del self._index[id]
            index = None
        index = index or _Index()
        mirror = self._object(index.mirror) if index.mirror else None
        children = index.children | self._shared(id, desired)
        objects = {key: found for key in children if (found := self._object(key)) is not None}
        seen = ObservedWorkspace(
            id,
            mirror,
            self._pools_of.get(id, ()),
            tuple(parts.node(m) for key in sorted(index.nodes) if (m := self.live(key)) is not None),
            objects,
            tuple(parts.pod(m) for key in sorted(index.pods) if (m := self.live(key)) is not None),
        )
        return self.facts.added_to(seen, now)

    def _shared(self, id: WorkspaceId, desired: Desired) -> set[ObjectKey]:
        """ConfigMaps it names that another workspace of ours owns."""
        want = desired.workspaces.get(id)
        named = (o.key for o in want.config) if want is not None else ()
        return {k for k in named if (m := self.live(k)) is not None and self._workspace_of(m) is not None}

    def _object(self, key: ObjectKey) -> ObservedObject | None:
        manifest = self.live(key)
        if manifest is None:
            return None
        metadata = manifest["metadata"]
        dropped = self.facts.dropped(key, str(metadata.get("uid", "")))
        return ObservedObject(
            key, manifest, str(metadata.get("resourceVersion", "")), str(metadata.get("uid", "")), dropped
        )

    def hourly(self, policy: Policy) -> dict[str, float]:
        """$/h by instance type, for a scrape in another thread: the fleet is copied at once."""
        nodes = nodes_of([*self.fleet.values()])
        return {kind: policy.hourly({kind: count}) for kind, count in nodes.items()}

    def _note_fleet(self, id: WorkspaceId, seen: ObservedWorkspace, desired: Desired) -> None:
        if not seen.exists:
            self.fleet.pop(id, None)
            self.facts.forget(id)
            if id not in desired.workspaces:
                self._looked_at.pop(id, None)
            return
        self.fleet[id] = Footprint.of(
            self._machines(seen),
            protected=seen.mirror is not None and seen.mirror.annotation(names.PROTECT) == "true",
            path=seen.mirror.annotation(names.PATH) if seen.mirror else "",
            ready=all(live_ready(o.manifest) for o in seen.objects.values()),
        )

    def _machines(self, seen: ObservedWorkspace) -> list[tuple[str, int, int]]:
        """(instance type, nodes, GPUs of each): its pools, or what it asks of the Kaito operator."""
        if self._engine == "native" or seen.mirror is None:
            return [(p.instance_type, p.count, p.gpus_per_node) for p in seen.pools]
        resource = seen.mirror.manifest.get("resource") or {}
        kind = str(resource.get("instanceType") or "")
        sku = self._skus.get(kind)
        return [(kind, int(resource.get("count") or 1), sku.gpus if sku is not None else 1)]

    def _note_named(self, id: WorkspaceId, desired: Desired) -> None:
        want = desired.workspaces.get(id)
        named = want.config[0].key if want is not None and want.config else None
        self._wakeups.mark(self._references.note("git", id, named))

    def _note_artifact(self, id: WorkspaceId, seen: ObservedWorkspace, desired: Desired) -> None:
        want = desired.workspaces.get(id)
        artifact = artifact_of(want, seen) if want is not None and want.kind == "tuning" else None
        if self.artifacts.get(id) == artifact:
            return
        if artifact is None:
            del self.artifacts[id]
        else:
            self.artifacts[id] = artifact
        self._wakeups.mark(other for other, w in desired.workspaces.items() if id in w.needs)

    def _workspace_of(self, manifest: Manifest) -> WorkspaceId | None:
        metadata = manifest.get("metadata", {})
        labels = metadata.get("labels") or {}
        match manifest.get("kind"):
            case "Pod":
                return WorkspaceId(metadata.get("namespace", ""), labels.get(names.WORKSPACE, ""))
            case "Node":
                return WorkspaceId(labels.get(names.WORKSPACE_NAMESPACE, ""), labels.get(names.WORKSPACE, ""))
        mark = (metadata.get("annotations") or {}).get(names.OWNER, "")
        return names.owner_of(mark, self.cluster_id)
