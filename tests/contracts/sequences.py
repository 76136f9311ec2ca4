"""Seeded random sequences of writes to one object: what several managers might do to it, wisely or not."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from contracts.parts import NAMESPACE, Chooser, Kind, Object, metadata

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
APPLIERS = ("one", "two", "kubectl")
EDITORS = ("editor", "two")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: Any = None
    media: str = "application/json"
    query: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One write. `request(live, before)` is asked once for each server, with what that answered last."""

    name: str
    request: Callable[[Object, Object], Request]


def sequence(seed: int, kind: Kind, length: int, *, plain: bool) -> list[Step]:
    """`length` writes to one object, the first of which creates it."""
    author = Author(kind, Chooser(seed, plain), f"{kind.plural}-{seed}")
    first = author.choose.choice([author.create, author.apply])
    weights = {
        author.apply: 34,
        author.put: 12,
        author.merge: 11,
        author.json: 10,
        author.strategic: 11,
        author.status: 8 if kind.status else 0,
        author.client_side: 4,
        author.create: 3,
        author.delete: 4,
    }
    rest = author.choose.choices(list(weights), weights=list(weights.values()), k=length - 1)
    return [make() for make in (first, *rest)]


class Author:
    def __init__(self, kind: Kind, choose: Chooser, name: str) -> None:
        self.kind = kind
        self.choose = choose
        self.target = f"{kind.path}/{name}"
        self.head = {"name": name, "namespace": NAMESPACE}
        self.type = {"apiVersion": kind.api_version, "kind": kind.name}

    def part(self) -> Object:
        made = self.kind.part(self.choose)
        if self.choose.chance(0.3):
            made["metadata"] = metadata(self.choose)
        return made

    def whole(self) -> Object:
        made = self.part()
        self.kind.whole(made)
        return {**self.type, **made, "metadata": {**(made.get("metadata") or {}), **self.head}}

    def editor(self) -> dict[str, str]:
        return self.by(self.choose.choice(EDITORS))

    def by(self, manager: str, **more: str) -> dict[str, str]:
        return {"fieldManager": manager, **more, **({"dryRun": "All"} if self.choose.chance(0.06) else {})}

    def patch(self, name: str, body: Any, media: str, query: dict[str, str], below: str = "") -> Step:
        request = Request("PATCH", self.target + below, body, media, query)
        return Step(name, lambda live, before: request)

    def apply(self) -> Step:
        """Now and then too little for an object, or what no schema has a place for."""
        body, force = self.whole(), self.choose.chance(0.4)
        if not self.kind.custom and self.choose.chance(0.15):
            body = {**self.part(), **self.type, "metadata": self.head}
        if self.choose.chance(0.03):
            body["spec"] = {"nonsense": 1}
        query = self.by(self.choose.choice(APPLIERS), **({"force": "true"} if force else {}))
        return self.patch("force apply" if force else "apply", body, APPLY, query)

    def create(self) -> Step:
        request = Request("POST", self.kind.path, self.whole(), query=self.editor())
        return Step("create", lambda live, before: request)

    def delete(self) -> Step:
        return Step("delete", lambda live, before: Request("DELETE", self.target))

    def put(self) -> Step:
        """The live object with other content, under its own version, none or the one before."""
        made, query = self.whole(), self.editor()
        conditional = self.choose.plain and self.kind.name == "Service"
        version = self.choose.choice(["own", "own", "stale", "stale" if conditional else "none"])

        def request(live: Object, before: Object) -> Request:
            body = {**live, **made, "metadata": {**live.get("metadata", {}), **made["metadata"]}}
            if self.kind.name == "Service":
                kept = {k: v for k, v in live.get("spec", {}).items() if k.startswith("clusterIP")}
                body["spec"] = {**kept, **body["spec"]}
            head = {k: v for k, v in body["metadata"].items() if k != "resourceVersion"}
            known = {"own": live, "none": {}, "stale": before or live}[version].get("metadata", {})
            if known.get("resourceVersion"):
                head["resourceVersion"] = known["resourceVersion"]
            return Request("PUT", self.target, {**body, "metadata": head}, query=query)

        return Step(f"put under {version} version", request)

    def merge(self) -> Step:
        body = self.part()
        if self.choose.chance(0.3):
            body["data" if self.kind.name == "ConfigMap" else "spec"] = {self.choose.choice("abc"): None}
        return self.patch("merge patch", body, MERGE, self.editor())

    def json(self) -> Step:
        path, values = self.choose.choice(self.kind.places)
        op = self.choose.choice(["add", "add", "replace", "replace", "remove", "test", "copy", "move"])
        operation: Object = {"op": op, "path": path}
        if op in ("copy", "move"):
            operation["from"] = self.choose.choice(self.kind.places)[0]
        elif op != "remove":
            operation["value"] = self.choose.choice(values)
        return self.patch("JSON patch", [operation], JSON_PATCH, self.editor())

    def strategic(self) -> Step:
        body = self.part()
        head = body.get("metadata") or {}
        if isinstance(head.get("finalizers"), list) and self.choose.chance(0.5):
            head["$deleteFromPrimitiveList/finalizers"] = head.pop("finalizers")
        if self.kind.name == "Deployment" and self.choose.chance(0.6):
            spec = body["spec"] = dict(body.get("spec") or {})
            template = spec["template"] = dict(spec.get("template") or {})
            template["spec"] = self.directed(dict(template.get("spec") or {}))
        return self.patch("strategic patch", body, STRATEGIC, self.editor())

    def directed(self, pod: Object) -> Object:
        """A pod template's spec with an order of its containers, or with one of them or all replaced."""
        if self.choose.chance(0.5):
            names = self.choose.sample(["main", "side"], 2)
            return {**pod, "$setElementOrder/containers": [{"name": name} for name in names]}
        directive = self.choose.choice([{"name": "side", "$patch": "delete"}, {"$patch": "replace"}])
        return {**pod, "containers": [*(pod.get("containers") or ()), directive]}

    def status(self) -> Step:
        assert self.kind.status
        body = {"status": self.kind.status(self.choose)}
        if self.choose.chance(0.5):
            return self.patch("status patch", body, MERGE, self.editor(), "/status")
        body |= {**self.type, "metadata": self.head}
        query = self.by("reporter" if self.choose.plain else self.choose.choice(APPLIERS[:2]), force="true")
        return self.patch("status apply", body, APPLY, query, "/status")

    def client_side(self) -> Step:
        """What kubectl's client-side apply leaves behind, for a later server-side one to adopt."""
        body = self.whole()
        notes = body["metadata"].get("annotations") or {}
        head = {**body["metadata"], "annotations": {**notes, LAST_APPLIED: json.dumps(body, sort_keys=True)}}
        query = {"fieldManager": "kubectl-client-side-apply"}
        return self.patch("client-side apply", {**body, "metadata": head}, MERGE, query)
