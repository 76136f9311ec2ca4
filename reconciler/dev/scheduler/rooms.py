"""What each node has left, found by label without looking at every node."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from reconciler.dev.objects import ready
from reconciler.model.world import Manifest

from .demand import Demand, Resources, Term, amount

Label = tuple[str, str]
MISMATCH = "node(s) didn't match Pod's node affinity/selector"


@dataclass(slots=True)
class Room:
    """One node; `used` is what pods placed on it request."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, Any], ...]
    total: Resources
    used: dict[str, Decimal] = field(default_factory=dict)

    def free(self, resource: str) -> Decimal:
        return self.total.get(resource, Decimal(0)) - self.used.get(resource, Decimal(0))

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
        self._labelled: dict[Label, dict[str, None]] = defaultdict(dict)
        self._placed: dict[str, tuple[str, Resources]] = {}
        self._used: dict[str, dict[str, Decimal]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._rooms)

    def set_node(self, node: Manifest) -> None:
        name = node["metadata"]["name"]
        self.drop_node(name)
        status = node.get("status") or {}
        total = {key: amount(str(value)) for key, value in (status.get("allocatable") or {}).items()}
        labels = node["metadata"].get("labels") or {}
        self._rooms[name] = Room(name, labels, _hard_taints(node), total, self._used[name])
        for label in labels.items():
            self._labelled[label][name] = None

    def drop_node(self, name: str) -> None:
        room = self._rooms.pop(name, None)
        for label in room.labels.items() if room else ():
            self._labelled[label].pop(name, None)
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
        if uid not in self._placed:
            return ""
        node, requests = self._placed.pop(uid)
        self._use(node, requests, -1)
        return node

    def _use(self, node: str, requests: Resources, sign: int) -> None:
        used = self._used[node]
        for name, value in requests.items():
            used[name] = used.get(name, Decimal(0)) + sign * value

    def keys(self, demand: Demand) -> set[Label] | None:
        """Labels of which any fitting node has one, as few nodes as possible having them; None: any node."""
        found: set[Label] = set()
        for term in demand.terms:
            labels = self._narrowest(term)
            if labels is None:
                return None
            found.update(labels)
        return found

    def _narrowest(self, term: Term) -> list[Label] | None:
        choices = [[(each.key, value) for value in each.values] for each in term if each.operator == "In"]
        return min(
            choices, key=lambda labels: sum(len(self._labelled.get(x, ())) for x in labels), default=None
        )

    def choose(self, demand: Demand) -> tuple[str, str]:
        """A node, or none and the reason. The emptiest one that fits, by name where several are."""
        keys = self.keys(demand)
        names = (
            self._rooms if keys is None else {name for key in keys for name in self._labelled.get(key, ())}
        )
        fitting: list[Room] = []
        objections: Counter[str] = Counter({MISMATCH: len(self._rooms) - len(names)})
        for name in names:
            room = self._rooms[name]
            against = room.objections(demand)
            objections.update(against)
            if not against:
                fitting.append(room)
        if fitting:
            return min(fitting, key=lambda room: (-room.free("pods"), room.name)).name, ""
        return "", self._refusal(objections)

    def _refusal(self, objections: Counter[str]) -> str:
        if not self._rooms:
            return "no nodes available to schedule pods"
        told = ", ".join(sorted(f"{number} {why}" for why, number in objections.items() if number))
        return f"0/{len(self._rooms)} nodes are available: {told}."


def _hard_taints(node: Manifest) -> tuple[Mapping[str, Any], ...]:
    spec = node.get("spec") or {}
    taints = [each for each in spec.get("taints") or [] if each["effect"] in ("NoSchedule", "NoExecute")]
    if spec.get("unschedulable"):
        taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
    if not ready(node):
        taints.append({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"})
    return tuple(taints)
