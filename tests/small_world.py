"""A world in memory: plain data that plans are carried out on, one tick at a time.

It plays the API server (apply with forced ownership, uids, generations), the cloud (pools and nodes
take ticks) and the controllers (Deployments, Jobs), and can be disturbed between ticks.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from builders import CLUSTER_ID, NOW, PRICES, context, copied, declared, policy

from reconciler.loop.facts import Facts
from reconciler.loop.ledger import Ledger
from reconciler.loop.planner import Planner
from reconciler.model import names
from reconciler.model.names import ObjectKey, WorkspaceId
from reconciler.model.plan import (
    Applied,
    ApplyObject,
    CreatePool,
    DeleteObject,
    DeletePool,
    InstallCrd,
    Plan,
    ScalePool,
    Step,
)
from reconciler.model.policy import Policy
from reconciler.model.status import WorkspaceStatus
from reconciler.model.world import (
    Artifact,
    Desired,
    Footprint,
    Manifest,
    Observed,
    ObservedNode,
    ObservedObject,
    ObservedPod,
    ObservedPool,
    ObservedWorkspace,
    Occupant,
)
from reconciler.planning.diff import make_plan
from reconciler.planning.guards import guard
from reconciler.planning.manifests import Context
from reconciler.planning.readiness import live_ready
from reconciler.planning.resolve import Memo, changed_between, resolve_again
from reconciler.planning.status import assess
from reconciler.planning.tuning_life import artifact_of

TICK = 60.0
JOB_TICKS, POOL_TICKS, NODE_TICKS = 2, 2, 1
DIGEST = "sha256:" + "d" * 64
LOOKED = frozenset(
    (kind, namespace)
    for kind in ("Workspace", "ConfigMap", "Deployment", "Job", "Service")
    for namespace in ("ai", "ml")
)


def done(coroutine: Any) -> Any:
    """The result of a coroutine that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


@dataclass
class Pool:
    seen: ObservedPool
    nodes: list[ObservedNode] = field(default_factory=list)
    age: int = 0


@dataclass
class Live:
    """A live object, and what we last applied of it."""

    manifest: Manifest
    applied: Manifest
    age: int = 0


class SmallWorld:
    nothing = Applied()

    def __init__(self, where: Context | None = None, rules: Policy | None = None) -> None:
        self.context, self.rules = where or context(), rules or policy()
        self.now = NOW
        self.pools: dict[str, Pool] = {}
        self.objects: dict[ObjectKey, Live] = {}
        self.foreign: dict[ObjectKey, Occupant] = {}
        self.unseen: frozenset[str] = frozenset()
        self.desired: Desired | None = None
        self.files: Mapping[str, str] = {}
        self.spoilt: frozenset[WorkspaceId] = frozenset()
        """Workspaces whose file was broken by the last commit."""
        self.ledger = Ledger(None)
        self.stolen: list[ObjectKey] = []
        """Names of others that we wrote to."""
        self._uids = 0
        self._remembered: dict[str, frozenset[WorkspaceId]] = {}
        self.restart()

    # --- what the daemon would do

    def restart(self) -> None:
        """Loses all memory that may be lost; the ledger has a store."""
        self.facts, self.planner, self.memo = Facts(), Planner(), Memo()
        self.statuses: dict[WorkspaceId, WorkspaceStatus] = {}
        self._remembered.clear()
        self._before: tuple[Desired | None, dict[WorkspaceId, Any]] = (None, {})
        self._unseen_before: frozenset[str] = frozenset()
        self._touched: set[WorkspaceId] = set()
        self._due: dict[WorkspaceId, float] = {}
        self._pools_seen: dict[str, Pool] = {}
        self._objects_seen: dict[ObjectKey, Manifest] = {}

    def push(self, files: Mapping[str, str]) -> Desired:
        """A commit that holds exactly these files."""
        self.spoilt = frozenset()
        self.files = files
        tree = declared(files, revision=names.fingerprint(sorted(files.items())))
        for path, parsed in tree.files.items():
            if not parsed.problems:
                self._remembered[path] = frozenset(d.id for d in parsed.declarations)
        known = {path: ids for path, ids in self._remembered.items() if path in tree.files}
        broken = {path: ids for path, ids in known.items() if tree.files[path].problems}
        tree = replace(tree, remembered=broken)
        self.desired, self.memo = resolve_again(tree, self.context, self.memo)
        return self.desired

    def plan(self) -> tuple[Plan, Observed]:
        """A full pass."""
        assert self.desired is not None
        world = self.observed()
        rules = self.ledger.policy(self.rules, self.now)
        return guard(make_plan(self.desired, world, rules), self.desired, world, rules), world

    def cycle(self) -> Plan:
        """Plans everything, carries it out, tells of it, and lets a tick pass."""
        plan, world = self.plan()
        self.carry_out(plan, world)
        self.tick()
        return plan

    def carry_out(self, plan: Plan, world: Observed) -> None:
        self._touched = {step.workspace for step in plan.steps}
        done(self.ledger.publish(plan, world.fleet, self.now))
        done(self.ledger.deleting(plan.steps, world.fleet, self.now))
        self._tell(plan, world, self.apply(plan.steps))

    def crash(self, after: int) -> None:
        """Dies in the middle of a cycle, after so many steps, and starts again."""
        plan, world = self.plan()
        done(self.ledger.deleting(plan.steps, world.fleet, self.now))
        self.apply(plan.steps[:after])
        self.restart()

    def cycles(self, count: int) -> None:
        for _ in range(count):
            self.cycle()

    def acknowledge(self) -> None:
        """Lets everything through that is held and published."""
        for fingerprint in list(self.ledger.published):
            done(self.ledger.acknowledge(fingerprint, self.now))

    def share(self) -> tuple[Plan, Plan, Observed]:
        """The incremental plan and a full pass over the same look; marks are those of view and daemon."""
        assert self.desired is not None
        world = self.observed()
        before, slices = self._before
        now = {id: (seen, _manifests(seen), self._made(id, world)) for id, seen in world.workspaces.items()}
        marked = {id for id in now.keys() | slices.keys() if now.get(id) != slices.get(id)}
        marked |= changed_between(before, self.desired) | (
            world.fleet.keys() - self.desired.workspaces.keys()
        )
        marked |= {id for id, due in self._due.items() if due <= self.now} if before else set()
        marked |= self._touched  # the watch tells of what the daemon did itself
        if world.unseen != self._unseen_before:  # the daemon marks everything when a system comes or goes
            marked |= now.keys() | self.desired.workspaces.keys()
        self._unseen_before = world.unseen
        rules = self.ledger.policy(self.rules, self.now)
        part = replace(
            world, workspaces={id: world.workspaces.get(id) or ObservedWorkspace(id) for id in marked}
        )
        one = self.planner.plan(self.desired, part, rules)
        all_of_it = guard(make_plan(self.desired, world, rules), self.desired, world, rules)
        self._before = (self.desired, now)
        self._due = {}
        for hold in all_of_it.holds:
            if hold.recheck_after is not None:
                due = self.now + hold.recheck_after
                self._due[hold.workspace] = min(due, self._due.get(hold.workspace, due))
        return one, all_of_it, world

    def _made(self, id: WorkspaceId, world: Observed) -> list[Artifact | None]:
        """The artifacts it waits for: a new one marks those that need it."""
        want = self.desired.workspaces.get(id) if self.desired is not None else None
        return [world.artifacts.get(needed) for needed in sorted(want.needs)] if want is not None else []

    def _tell(self, plan: Plan, world: Observed, applied: Applied) -> None:
        assert self.desired is not None
        self.statuses = assess(self.desired, world, plan, applied, self.statuses)
        for id, status in self.statuses.items():
            live = self.objects.get(ObjectKey("Workspace", *id))
            if live is not None and status.artifact is not None:
                a = status.artifact
                said = {"image": a.image, "digest": a.digest, "contentKey": a.content_key}
                live.manifest.setdefault("status", {})["artifact"] = said

    def released(self) -> frozenset[str]:
        return self.ledger.policy(self.rules, self.now).released

    def fleet(self) -> Mapping[WorkspaceId, Footprint]:
        return self.observed().fleet

    # --- what is seen

    def observed(self) -> Observed:
        """What cannot be read now is as it was seen last."""
        assert self.desired is not None
        if "simulated" not in self.unseen:
            self._pools_seen = {name: replace(pool) for name, pool in self.pools.items()}
        if "cluster" not in self.unseen:
            self._objects_seen = {key: live.manifest for key, live in self.objects.items()}
        ids = {*self.desired.workspaces, *self.desired.invalid, *self.owned()}
        seen = {id: self._slice(id) for id in sorted(ids)}
        artifacts: dict[WorkspaceId, Artifact] = {}
        for id, want in self.desired.workspaces.items():
            if want.kind == "tuning" and (found := artifact_of(want, seen[id])) is not None:
                artifacts[id] = found
        return Observed(
            now=self.now,
            workspaces=seen,
            fleet={id: self._footprint(s) for id, s in seen.items() if s.exists},
            unseen=self.unseen,
            occupants={**self.foreign, **self._occupied()},
            looked=LOOKED,
            artifacts=artifacts,
        )

    def owned(self) -> set[WorkspaceId]:
        """Workspaces of which anything is seen."""
        marks = {owner_of(manifest) for manifest in self._objects_seen.values()}
        return {id for id in marks if id} | {WorkspaceId.parse(p.seen.key) for p in self._pools_seen.values()}

    def _occupied(self) -> dict[ObjectKey, Occupant]:
        marks = {k: m["metadata"].get("annotations") or {} for k, m in self._objects_seen.items()}
        return {key: Occupant(mark.get(names.OWNER, ""), ("kubectl-edit",)) for key, mark in marks.items()}

    def _slice(self, id: WorkspaceId) -> ObservedWorkspace:
        mine = {k: _observed(k, m) for k, m in self._objects_seen.items() if owner_of(m) == id}
        mirror = next((o for k, o in mine.items() if k.kind == "Workspace"), None)
        pools = sorted(
            (p for p in self._pools_seen.values() if p.seen.key == str(id)), key=lambda p: p.seen.name
        )
        seen = ObservedWorkspace(
            id,
            mirror,
            tuple(p.seen for p in pools),
            tuple(n for p in self.pools.values() if p.seen.key == str(id) for n in p.nodes),
            {k: o for k, o in mine.items() if k.kind != "Workspace"},
            self._pods(id),
        )
        return self.facts.added_to(seen, self.now)

    def _pods(self, id: WorkspaceId) -> tuple[ObservedPod, ...]:
        job = self.objects.get(ObjectKey("Job", *id))
        if job is None or not job.manifest.get("status"):
            return ()
        report = json.dumps({"artifact": {"digest": DIGEST}})
        return (ObservedPod(f"{id.name}-x", "Succeeded", False, termination_message=report),)

    def _footprint(self, seen: ObservedWorkspace) -> Footprint:
        return Footprint(
            gpus=sum(p.count * p.gpus_per_node for p in seen.pools),
            protected=seen.mirror is not None and seen.mirror.annotation(names.PROTECT) == "true",
            path=seen.mirror.annotation(names.PATH) if seen.mirror else "",
            ready=all(live_ready(o.manifest) for o in seen.objects.values()),
            nodes=Counter(kind for p in seen.pools for kind in [p.instance_type] * p.count),
        )

    # --- what is done

    def apply(self, steps: Iterable[Step]) -> Applied:
        for step in steps:
            self._perform(step)
            self.facts.corrected(step)
        return Applied(done=tuple(steps))

    def _perform(self, step: Step) -> None:
        match step.action:
            case InstallCrd():
                pass
            case CreatePool(name, pool):
                self._create_pool(name, pool)
            case ScalePool(name, pool, _):
                self.pools[name].seen = replace(self.pools[name].seen, count=pool.count, state="updating")
                self.pools[name].age = 0
            case DeletePool(name, _):
                self.pools[name].seen = replace(self.pools[name].seen, state="deleting")
                self.pools[name].age = 0
            case ApplyObject(wanted):
                self._write(step.workspace, wanted.key, wanted.manifest)
            case DeleteObject(key, uid):
                live = self.objects.get(key)
                if live is not None and live.manifest["metadata"]["uid"] == uid:
                    live.manifest["metadata"]["deletionTimestamp"] = "now"
                    self.stolen += [key] if owner_of(live.manifest) != step.workspace else []

    def _create_pool(self, name: str, pool: Any) -> None:
        assert name not in self.pools or self.pools[name].seen.key == pool.key, "a pool of another key"
        seen = ObservedPool(
            name, pool.key, pool.driver, pool.instance_type, pool.count, pool.gpus_per_node, "creating"
        )
        self.pools[name] = Pool(seen)

    def _write(self, id: WorkspaceId, key: ObjectKey, manifest: Manifest) -> None:
        live = self.objects.get(key)
        if key in self.foreign or (live is not None and owner_of(live.manifest) != id):
            self.stolen.append(key)
        if live is None:
            self._uids += 1
            metadata = {**manifest["metadata"], "uid": f"u{self._uids}", "generation": 1}
            self.foreign = {k: o for k, o in self.foreign.items() if k != key}
            self.objects[key] = Live(copied({**manifest, "metadata": metadata}), copied(manifest))
            return
        before = copied(live.manifest.get("spec"))
        _remove(live.manifest, live.applied, manifest)
        _merge(live.manifest, manifest)
        live.manifest["metadata"].pop("managedFields", None)
        live.applied = copied(manifest)
        if live.manifest.get("spec") != before:
            live.manifest["metadata"]["generation"] += 1
            live.age = 0

    # --- time

    def tick(self) -> None:
        self.now += TICK
        for name in list(self.pools):
            self._tick_pool(name)
        for key in list(self.objects):
            live = self.objects[key]
            live.age += 1
            if "deletionTimestamp" in live.manifest["metadata"]:
                del self.objects[key]
            elif key.kind == "Deployment":
                self._tick_deployment(key, live)
            elif key.kind == "Job":
                self._tick_job(key, live)

    def _tick_pool(self, name: str) -> None:
        pool = self.pools[name]
        pool.age += 1
        seen = pool.seen
        if seen.state == "deleting":
            if pool.age >= POOL_TICKS:
                del self.pools[name]
            return
        if seen.state in ("creating", "updating") and pool.age >= POOL_TICKS:
            pool.seen = replace(seen, state="ready")
        if pool.seen.state != "ready":
            return
        grown = [replace(n, ready=True, gpus=seen.gpus_per_node) for n in pool.nodes[: seen.count]]
        missing = range(len(grown), seen.count)
        pool.nodes = grown + [
            ObservedNode(f"{name}-{n}", name, False, 0, seen.instance_type) for n in missing
        ]

    def _places(self, live: Live) -> int:
        """Ready nodes of the instance type its pods are pinned to."""
        wanted = pinned_to(live.manifest)
        owner = owner_of(live.applied)
        pools = [
            p for p in self.pools.values() if p.seen.key == str(owner) and p.seen.instance_type == wanted
        ]
        return sum(n.ready for p in pools for n in p.nodes)

    def _tick_deployment(self, key: ObjectKey, live: Live) -> None:
        spec, metadata = live.manifest["spec"], live.manifest["metadata"]
        replicas = spec.get("replicas", 1)
        ready = min(replicas, self._places(live)) if live.age > 1 else 0
        live.manifest["status"] = {
            "readyReplicas": ready,
            "updatedReplicas": ready,
            "observedGeneration": metadata["generation"],
        }

    def _tick_job(self, key: ObjectKey, live: Live) -> None:
        if not self._places(live):
            live.age = 0
        elif live.age > JOB_TICKS and not live.manifest.get("status"):
            live.manifest["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

    # --- disturbances

    def delete(self, key: ObjectKey) -> None:
        self.objects.pop(key, None)

    def edit(self, key: ObjectKey, path: list[str], value: Any, manager: str = "kubectl-edit") -> None:
        """Somebody sets a field; `path` leads through mappings."""
        manifest = self.objects[key].manifest
        at, fields = manifest, {}
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = value
        for name in reversed(path):
            fields = {f"f:{name}": fields}
        entry = {"manager": manager, "operation": "Update", "fieldsV1": fields}
        manifest["metadata"].setdefault("managedFields", []).append(entry)

    def lose_nodes(self, name: str) -> None:
        self.pools[name].nodes = []

    def lose_pool(self, name: str) -> None:
        del self.pools[name]

    def fail_pool(self, name: str) -> None:
        self.pools[name].seen = replace(self.pools[name].seen, state="failed", reason="NoCapacity")

    def occupy(self, key: ObjectKey) -> None:
        """Somebody else's object under this name."""
        if key not in self.objects:
            self.foreign = {**self.foreign, key: Occupant("", ("kubectl-create",))}

    def vacate(self) -> None:
        self.foreign = {}


def owner_of(manifest: Manifest) -> WorkspaceId | None:
    mark = (manifest["metadata"].get("annotations") or {}).get(names.OWNER, "")
    return names.owner_of(mark, CLUSTER_ID)


def pinned_to(manifest: Manifest) -> str:
    """The instance type in the affinity of its pods."""
    said = json.dumps(manifest["spec"]["template"]["spec"]["affinity"])
    return next((kind for kind in PRICES if f'"{kind}"' in said), "")


def _manifests(seen: ObservedWorkspace) -> list[Manifest]:
    """The part that equality of observed objects leaves to their version."""
    return [o.manifest for o in (*seen.objects.values(), *([seen.mirror] if seen.mirror else []))]


def _observed(key: ObjectKey, manifest: Manifest) -> ObservedObject:
    return ObservedObject(key, copied(manifest), "", manifest["metadata"]["uid"])


def _merge(live: Manifest, wanted: Manifest) -> None:
    for name, value in wanted.items():
        if isinstance(value, dict) and isinstance(live.get(name), dict):
            _merge(live[name], value)
        else:
            live[name] = copied(value)


def _remove(live: Any, before: Any, wanted: Any) -> None:
    """Fields that we applied before and apply no more."""
    if not (isinstance(live, dict) and isinstance(before, dict)):
        return
    for name in before:
        if name not in wanted:
            live.pop(name, None)
        elif isinstance(wanted[name], dict):
            _remove(live.get(name), before[name], wanted[name])
