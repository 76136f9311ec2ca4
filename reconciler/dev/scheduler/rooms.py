"""What each node has left, found by label without looking at every node."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from reconciler.dev.objects import labels_of, ready
from reconciler.model.world import Manifest

from .demand import FIELD, Demand, Resources, amount

Label = tuple[str, str]
MISMATCH = "node(s) didn't match Pod's node affinity/selector"
NOTHING = Decimal(0)


@dataclass(slots=True)
class Room:
    """One node; `used` is what pods placed on it request."""

    name: str
    labels: Mapping[str, str]
    taints: list[Mapping[str, Any]]
    total: Resources
    used: dict[str, Decimal]

    def free(self, resource: str) -> Decimal:
        return self.total.get(resource, NOTHING) - self.used.get(resource, NOTHING)

    def objections(self, demand: Demand) -> list[str]:
        """Why the pod cannot go here, in the words of the Kubernetes scheduler; empty where it can."""
        if not demand.wants(self.labels):
            return [MISMATCH]
        for taint in self.taints:
            if not demand.stands(taint):
                return [f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"]
        short = [name for name, value in demand.requests.items() if value > self.free(name)]
        return ["Too many pods" if name == "pods" else f"Insufficient {name}" for name in short]


class Rooms:
    """All nodes. Placing is by pod uid and idempotent."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}
        self._labelled: dict[Label, set[str]] = defaultdict(set)
        self._placed: dict[str, tuple[str, Resources]] = {}
        self._used: dict[str, dict[str, Decimal]] = defaultdict(dict)

    def set_node(self, node: Manifest) -> None:
        name = node["metadata"]["name"]
        self.drop_node(name)
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        total = {key: amount(str(value)) for key, value in allocatable.items()}
        labels = labels_of(node) | {f"{FIELD}metadata.name": name}
        self._rooms[name] = Room(name, labels, _hard_taints(node), total, self._used[name])
        for label in labels.items():
            self._labelled[label].add(name)

    def drop_node(self, name: str) -> None:
        room = self._rooms.pop(name, None)
        for label in room.labels.items() if room else ():
            self._labelled[label].discard(name)
            if not self._labelled[label]:
                del self._labelled[label]

    def labels(self, name: str) -> Iterable[Label]:
        room = self._rooms.get(name)
        return room.labels.items() if room else ()

    def place(self, uid: str, node: str, requests: Resources) -> None:
        if uid not in self._placed:
            self._placed[uid] = (node, requests)
            self._use(node, requests, 1)

    def release(self, uid: str) -> str:
        """The node it was on, if any."""
        node, requests = self._placed.pop(uid, ("", {}))
        self._use(node, requests, -1)
        return node

    def _use(self, node: str, requests: Resources, sign: int) -> None:
        used = self._used[node]
        for name, value in requests.items():
            used[name] = used.get(name, NOTHING) + sign * value

    def key(self, demand: Demand) -> Label | None:
        """A label that every fitting node has, the rarest; None where no single one is demanded."""
        [term, *others] = demand.terms or [()]
        exact = [e for e in term if e["operator"] == "In" and len(e["values"]) == 1]
        labels = [] if others else [(e["key"], e["values"][0]) for e in exact]
        return min(labels, key=lambda label: len(self._labelled.get(label, ())), default=None)

    def choose(self, demand: Demand) -> tuple[str, str]:
        """A node, or none and the reason. The emptiest one that fits, by name where several are."""
        if not self._rooms:
            return "", "no nodes available to schedule pods"
        key = self.key(demand)
        names = self._rooms if key is None else self._labelled.get(key, set())
        fitting: list[Room] = []
        objections = Counter({MISMATCH: len(self._rooms) - len(names)})
        for room in map(self._rooms.__getitem__, names):
            against = room.objections(demand)
            objections.update(against)
            if not against:
                fitting.append(room)
        if fitting:
            return min(fitting, key=lambda room: (-room.free("pods"), room.name)).name, ""
        told = ", ".join(sorted(f"{number} {why}" for why, number in objections.items() if number))
        return "", f"0/{len(self._rooms)} nodes are available: {told}."


def _hard_taints(node: Manifest) -> list[Mapping[str, Any]]:
    spec = node.get("spec") or {}
    taints = [each for each in spec.get("taints") or [] if each["effect"] in ("NoSchedule", "NoExecute")]
    said = {"unschedulable": spec.get("unschedulable"), "not-ready": not ready(node)}
    own = (f"node.kubernetes.io/{name}" for name, holds in said.items() if holds)
    return taints + [{"key": key, "effect": "NoSchedule"} for key in own]
