"""Random parts of objects of a few kinds: what one of several managers may have to say about them."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Part = Callable[["Chooser"], Object]
NAMESPACE = "sequences"
EPOCH = "2020-01-01T00:00:00Z"
VOLUMES = [{"name": "v", "configMap": {"name": "c"}}]


class Chooser(random.Random):
    """`plain` leaves out what servers before 1.22 take otherwise, by their age.

    Those are empty and null values, ports without a protocol, fields whose list or map type has changed
    since, objects without a schema of their own, and applies to a status by one who applies to the rest too.
    """

    def __new__(cls, seed: int, plain: bool) -> "Chooser":
        return super().__new__(cls, seed)

    def __init__(self, seed: int, plain: bool) -> None:
        super().__init__(seed)
        self.plain = plain

    def chance(self, share: float) -> bool:
        return self.random() < share

    def some(self, options: Any) -> list[Any]:
        """A few of them, in any order."""
        return self.sample(list(options), self.randint(int(self.plain), min(len(options), 3)))

    def mapping(self, keys: str, *values: Any) -> Object:
        return {key: self.choice(values) for key in self.some(keys)}

    def picked(self, **options: Callable[[], Any]) -> Object:
        """Some of the fields; now and then one of them empty or null."""
        made = {name: options[name]() for name in self.some(options) or self.some(options)}
        for name, value in made.items():
            if not self.plain and self.chance(0.03):
                made[name] = None
            elif not self.plain and self.chance(0.03) and isinstance(value, dict | list):
                made[name] = type(value)()
        return made


@dataclass(frozen=True)
class Kind:
    """`part` says some of what an object may hold; `whole` adds what it cannot do without, in place."""

    name: str
    api_version: str
    plural: str
    part: Part
    places: tuple[tuple[str, tuple[Any, ...]], ...]
    whole: Callable[[Object], None] = lambda made: None
    status: Part | None = None

    @property
    def custom(self) -> bool:
        return "." in self.api_version

    @property
    def path(self) -> str:
        root = "apis" if "/" in self.api_version else "api"
        return f"/{root}/{self.api_version}/namespaces/{NAMESPACE}/{self.plural}"


def metadata(choose: Chooser) -> Object:
    return choose.picked(
        labels=lambda: choose.mapping("xyz", "1", "2"),
        annotations=lambda: choose.mapping("xyz", "1", "2"),
        finalizers=lambda: choose.some(["a.b/c", "d.e/f", "g.h/i"]),
    )


def unique(items: list[Object], *keys: str) -> list[Object]:
    return list({tuple(item.get(key) for key in keys): item for item in items}.values())


def several(make: Part, choose: Chooser, *keys: str) -> list[Object]:
    return unique([make(choose) for _ in range(choose.randint(1, 3))], *keys)


def config_map(choose: Chooser) -> Object:
    return choose.picked(
        data=lambda: choose.mapping("abcd", "1", "2", "3"),
        binaryData=lambda: choose.mapping("pq", "AQ==", "Ag=="),
    )


def service_port(choose: Chooser) -> Object:
    number = choose.choice([80, 443, 53])
    protocol = "UDP" if number == 53 else "TCP"
    more = choose.picked(protocol=lambda: protocol, targetPort=lambda: choose.choice([8080, "web"]))
    return {"port": number, "name": f"p{number}", **({"protocol": protocol} if choose.plain else {}), **more}


def service(choose: Chooser) -> Object:
    retyped = {"selector": lambda: choose.mapping("xyz", "1", "2")}
    spec = choose.picked(
        ports=lambda: several(service_port, choose, "port"),
        publishNotReadyAddresses=lambda: True,
        **({} if choose.plain else retyped),
    )
    return {"spec": spec}


def whole_service(made: Object) -> None:
    spec = made["spec"] = dict(made.get("spec") or {})
    spec["ports"] = spec.get("ports") or [{"port": 80, "name": "p80", "protocol": "TCP"}]


def container_port(choose: Chooser) -> Object:
    protocol = choose.choice(["TCP", "UDP"])
    more = {"protocol": protocol} if choose.plain else choose.picked(protocol=lambda: protocol)
    return {"containerPort": choose.choice([80, 443]), **more}


def variable(choose: Chooser) -> Object:
    return {"name": choose.choice("ABC"), **choose.picked(value=lambda: choose.choice("12"))}


def container(choose: Chooser) -> Object:
    def probe() -> Object:
        return {"httpGet": {"path": "/", "port": 80}, **choose.picked(periodSeconds=lambda: 5)}

    def security() -> Object:
        return choose.picked(runAsUser=lambda: 5, readOnlyRootFilesystem=lambda: choose.chance(0.5))

    made = choose.picked(
        args=lambda: choose.some("abc"),
        env=lambda: several(variable, choose, "name"),
        ports=lambda: several(container_port, choose, "containerPort", "protocol"),
        resources=lambda: {"limits": choose.mapping(("cpu", "memory"), "1", "2")},
        imagePullPolicy=lambda: choose.choice(["Always", "IfNotPresent"]),
        volumeMounts=lambda: [{"name": "v", "mountPath": f"/{choose.choice('mn')}"}],
        readinessProbe=probe,
        securityContext=security,
        workingDir=lambda: "/w",
    )
    image = {"image": choose.choice(["nginx:1", "nginx:2"])} if choose.chance(0.7) else {}
    return {"name": choose.choice(["main", "main", "side"]), **made, **image}


def pod(choose: Chooser) -> Object:
    retyped = {
        "nodeSelector": lambda: choose.mapping("xyz", "1", "2"),
        "imagePullSecrets": lambda: [{"name": name} for name in choose.some("st")],
    }
    made = choose.picked(
        containers=lambda: several(container, choose, "name"),
        tolerations=lambda: [{"key": choose.choice("kl"), "operator": "Exists"}],
        terminationGracePeriodSeconds=lambda: choose.choice([0, 5]),
        serviceAccountName=lambda: "robot",
        securityContext=lambda: choose.picked(runAsUser=lambda: 5),
        **({} if choose.plain else retyped),
    )
    return {**made, "volumes": VOLUMES}


def deployment(choose: Chooser) -> Object:
    rolling = {"rollingUpdate": {"maxSurge": 1}}
    spec = choose.picked(
        replicas=lambda: choose.randint(0, 3),
        minReadySeconds=lambda: choose.choice([0, 5]),
        paused=lambda: choose.chance(0.5),
        strategy=lambda: choose.choice([{"type": "Recreate"}, {"type": "RollingUpdate"}, rolling]),
    )
    if choose.chance(0.7):
        spec["template"] = {"spec": pod(choose)}
        if choose.chance(0.3):
            notes = choose.picked(annotations=lambda: choose.mapping("xyz", "1", "2"))
            spec["template"]["metadata"] = notes
    return {"spec": spec}


def whole_deployment(made: Object) -> None:
    spec = made["spec"] = {**(made.get("spec") or {}), "selector": {"matchLabels": {"app": "web"}}}
    template = spec["template"] = dict(spec.get("template") or {})
    head = template["metadata"] = dict(template.get("metadata") or {})
    head["labels"] = {**(head.get("labels") or {}), "app": "web"}
    inside = template["spec"] = dict(template.get("spec") or {})
    inside["volumes"] = VOLUMES
    inside["containers"] = [
        {"image": "nginx:1", **one} for one in inside.get("containers") or [{"name": "main"}]
    ]


def deployment_status(choose: Chooser) -> Object:
    def condition(name: str) -> Object:
        since = {"lastUpdateTime": EPOCH, "lastTransitionTime": EPOCH}
        return {"type": name, "status": choose.choice(["True", "False"]), **since}

    return choose.picked(
        observedGeneration=lambda: 1,
        conditions=lambda: [condition(name) for name in choose.some(["Available", "Progressing"])],
    )


def rule(choose: Chooser) -> Object:
    more = choose.picked(port=lambda: choose.choice([80, 81]), weight=lambda: choose.randint(1, 3))
    return {"port": 80, "host": choose.choice("hi"), **more}


def sprocket(choose: Chooser) -> Object:
    free = ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 2, "c": [1]}}, {"d": "e"})
    nested = {
        "on": lambda: choose.chance(0.5),
        "note": lambda: choose.choice("uv"),
        "inner": lambda: choose.mapping("kl", "1", "2"),
    }
    spec = choose.picked(
        size=lambda: choose.choice("SL"),
        count=lambda: choose.randint(1, 3),
        tags=lambda: choose.some("abc"),
        rules=lambda: several(rule, choose, "host", "port"),
        steps=lambda: choose.some("xyz"),
        limits=lambda: choose.mapping("pqr", 1, 2),
        whole=lambda: choose.mapping("pqr", 1, 2),
        nested=lambda: choose.picked(**nested),
        **({} if choose.plain else {"free": lambda: choose.choice(free)}),
    )
    return {"spec": spec}


def sprocket_status(choose: Chooser) -> Object:
    def condition(name: str) -> Object:
        more = choose.picked(reason=lambda: "Why")
        return {"type": name, "status": choose.choice(["True", "False"]), **more}

    return choose.picked(
        phase=lambda: choose.choice(["Up", "Down"]),
        conditions=lambda: [condition(name) for name in choose.some(["Ready", "Known"])],
    )


HEAD = (
    ("/metadata/labels", ({"x": "1"}, {"y": "2"}, 1)),
    ("/metadata/labels/x", ("1", "2", None)),
    ("/metadata/annotations/y", ("1", "2", {"a": "b"})),
)
KINDS = (
    Kind(
        *("ConfigMap", "v1", "configmaps", config_map),
        (*HEAD, ("/data/a", ("1", "2", 1)), ("/data/b", ("1",)), ("/data", ({}, {"c": "1"}))),
    ),
    Kind(
        *("Service", "v1", "services", service),
        (*HEAD, ("/spec/ports/0/targetPort", (8080, "web")), ("/spec/publishNotReadyAddresses", (True, 1))),
        whole_service,
    ),
    Kind(
        *("Deployment", "apps/v1", "deployments", deployment),
        (
            *HEAD,
            ("/spec/replicas", (1, 2, None, "x")),
            ("/spec/template/spec/containers/0/image", ("nginx:3", "nginx:4")),
            ("/spec/template/spec/containers/1/image", ("nginx:3", "nginx:4")),
            ("/spec/template/spec/containers/0/env/-", ({"name": "D", "value": "1"},)),
        ),
        whole_deployment,
        deployment_status,
    ),
    Kind(
        *("Sprocket", "example.org/v1", "sprockets", sprocket),
        (
            *HEAD,
            ("/spec/count", (1, 2, "x", 0)),
            ("/spec/tags/-", ("a", "d")),
            ("/spec/tags/0", ("a", "d", 1)),
            ("/spec/rules/0/weight", (1, 2, None)),
            ("/spec/limits/p", (1, 2)),
        ),
        status=sprocket_status,
    ),
)


def _struct(*required: str, **properties: Object) -> Object:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _list(items: Object, kind: str, *keys: str) -> Object:
    by = {"x-kubernetes-list-map-keys": list(keys)} if keys else {}
    return {"type": "array", "items": items, "x-kubernetes-list-type": kind, **by}


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
NUMBERS = {"type": "object", "additionalProperties": NUMBER}
SCHEMA = _struct(
    spec=_struct(
        size={**TEXT, "enum": ["S", "L"], "default": "S"},
        count={**NUMBER, "minimum": 1},
        tags=_list(TEXT, "set"),
        rules=_list(
            _struct("host", host=TEXT, port={**NUMBER, "default": 80}, weight=NUMBER), "map", "host", "port"
        ),
        steps=_list(TEXT, "atomic"),
        limits=NUMBERS,
        whole={**NUMBERS, "x-kubernetes-map-type": "atomic"},
        free={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        nested=_struct(
            on={"type": "boolean"}, note=TEXT, inner={"type": "object", "additionalProperties": TEXT}
        ),
    ),
    status=_struct(
        phase=TEXT,
        conditions=_list(_struct("type", "status", type=TEXT, status=TEXT, reason=TEXT), "map", "type"),
    ),
)
VERSION = {
    "name": "v1",
    "served": True,
    "storage": True,
    "subresources": {"status": {}},
    "schema": {"openAPIV3Schema": SCHEMA},
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "sprockets.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {
            "kind": "Sprocket",
            "plural": "sprockets",
            "singular": "sprocket",
            "listKind": "SprocketList",
        },
        "versions": [VERSION],
    },
}
