"""What the real server adds to built-in objects and refuses to change, as far as clients notice."""

import base64
import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from reconciler.dev.api.errors import Cause, cause
from reconciler.dev.api.store import Object

Completion = Callable[[Object, Object], None]
GENERATIONS = {
    *("deployments", "replicasets", "statefulsets", "jobs"),
    *("customresourcedefinitions", "poddisruptionbudgets", "endpointslices", "networkpolicies"),
}


def has_generation(plural: str) -> bool:
    return plural in GENERATIONS


def complete(plural: str, old: Object, obj: Object) -> None:
    """Fill in what depends on more than the schema's defaults, in place. `old` is empty for a create."""
    if plural in COMPLETIONS:
        COMPLETIONS[plural](old, obj)
    elif plural in WORKLOADS:
        WORKLOADS[plural](old, obj)
        _pod_spec(obj["spec"]["template"]["spec"])


ADMITTED = {
    "tolerations": [
        {"key": f"node.kubernetes.io/{why}", "operator": "Exists"}
        | {"effect": "NoExecute", "tolerationSeconds": 300}
        for why in ("not-ready", "unreachable")
    ],
    "priority": 0,
    "preemptionPolicy": "PreemptLowerPriority",
    "serviceAccountName": "default",
    "enableServiceLinks": True,
}
"""What admission adds to a new pod; later writes keep it."""


ALLOCATED = {
    "pods": {*ADMITTED, "serviceAccount"} - {"enableServiceLinks"},
    "services": {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"},
    "jobs": {"selector"},
    "namespaces": {"finalizers"},
}


def allocated(plural: str) -> set[str]:
    """Fields of a new object's spec that the server itself chooses, and so nobody owns."""
    return ALLOCATED.get(plural, set())


def _pod(old: Object, obj: Object) -> None:
    spec = obj["spec"]
    known = old["spec"] if old else ADMITTED
    for name in (*ADMITTED, "nodeName"):
        if name in known:
            spec.setdefault(name, copy.deepcopy(known[name]))
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        resources = container["resources"]
        if "limits" in resources:
            resources["requests"] = {**resources["limits"], **resources.get("requests", {})}
    obj.setdefault("status", {"phase": "Pending", "qosClass": _quality(spec)})
    _pod_spec(spec)


def _quality(spec: Object) -> str:
    containers = (*spec.get("containers", ()), *spec.get("initContainers", ()))
    resources = [c.get("resources") or {} for c in containers]
    if not any(r.get("limits") or r.get("requests") for r in resources):
        return "BestEffort"
    exact = all(
        {"cpu", "memory"} <= set(r.get("limits", ())) and r.get("requests", r["limits"]) == r["limits"]
        for r in resources
    )
    return "Guaranteed" if exact else "Burstable"


def _pod_spec(spec: Object) -> None:
    for name, other in (("serviceAccount", "serviceAccountName"), ("serviceAccountName", "serviceAccount")):
        if other in spec:
            spec.setdefault(name, spec[other])
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        _container(container)
    for volume in spec.get("volumes", ()):
        if set(volume) == {"name"}:
            volume["emptyDir"] = {}


def _container(container: Object) -> None:
    image = container.get("image", "")
    floating = "@" not in image and image.rpartition("/")[2].partition(":")[2] in ("", "latest")
    container.setdefault("imagePullPolicy", "Always" if floating else "IfNotPresent")


def _rolling(field: str) -> Completion:
    def complete(old: Object, obj: Object) -> None:
        strategy = obj["spec"][field]
        if strategy["type"] == "RollingUpdate" and "rollingUpdate" not in strategy:
            strategy["rollingUpdate"] = copy.deepcopy(ROLLING[field])

    return complete


ROLLING: dict[str, Object] = {
    "strategy": {"maxSurge": "25%", "maxUnavailable": "25%"},
    "updateStrategy": {"partition": 0},
}


def _stateful_set(old: Object, obj: Object) -> None:
    _rolling("updateStrategy")(old, obj)
    for claim in obj["spec"].get("volumeClaimTemplates", ()):
        claim.update({"apiVersion": "v1", "kind": "PersistentVolumeClaim"})


def _job(old: Object, obj: Object) -> None:
    spec = obj["spec"]
    if not old and "completions" not in spec and spec["parallelism"] == 1:
        spec["completions"] = 1
    if "podFailurePolicy" in spec:
        spec["podReplacementPolicy"] = "Failed"
    labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
    if not old and not spec.get("manualSelector"):
        uid, name = obj["metadata"]["uid"], obj["metadata"].get("name", "")
        for prefix in ("", "batch.kubernetes.io/"):
            labels.update({prefix + "controller-uid": uid, prefix + "job-name": name})
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    elif old:  # a client that sends its own manifest again does not know what was generated
        spec.setdefault("selector", old["spec"].get("selector"))
        kept = old["spec"]["template"].get("metadata", {}).get("labels", {})
        own = {k: v for k, v in kept.items() if k.endswith(("controller-uid", "job-name"))}
        labels.update({**own, **labels})


def _service(old: Object, obj: Object) -> None:
    spec = obj["spec"]
    for port in spec.get("ports", ()):
        port.setdefault("targetPort", port.get("port"))
    if spec["type"] == "ExternalName":
        return
    if not spec.get("clusterIP"):
        spec["clusterIP"] = old["spec"].get("clusterIP") if old else _address(obj["metadata"]["uid"])
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _address(uid: str) -> str:
    """An address in 10.96.0.0/16 by the object's uid; two may share one, for nothing routes there."""
    number = 10 + int(uid[:8], 16) % 65_000
    return f"10.96.{number >> 8}.{number & 255}"


def _namespace(old: Object, obj: Object) -> None:
    metadata = obj["metadata"]
    metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata.get("name", "")
    if not old:
        obj["spec"] = {"finalizers": ["kubernetes"]}


def _secret(old: Object, obj: Object) -> None:
    for name, value in obj.pop("stringData", {}).items():
        obj.setdefault("data", {})[name] = base64.b64encode(value.encode()).decode()


COMPLETIONS: dict[str, Completion] = {
    "pods": _pod,
    "services": _service,
    "namespaces": _namespace,
    "secrets": _secret,
}
WORKLOADS: dict[str, Completion] = {
    "deployments": _rolling("strategy"),
    "replicasets": lambda old, obj: None,
    "statefulsets": _stateful_set,
    "jobs": _job,
}

IMMUTABLE = {
    "deployments": "selector",
    "replicasets": "selector",
    "jobs": "selector template completions completionMode",
    "pods": "containers initContainers volumes restartPolicy serviceAccountName nodeSelector",
    "persistentvolumeclaims": "accessModes selector storageClassName volumeMode dataSource",
}
STATEFUL_SET_MUTABLE = {
    *("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit"),
    *("persistentVolumeClaimRetentionPolicy", "minReadySeconds"),
}


def violations(plural: str, old: Object, obj: Object) -> Iterator[Cause]:
    """What the schema does not say of a built-in kind, and changes that are forbidden."""
    for check in CHECKS.get(plural, ()):
        yield from check(obj)
    if old:
        yield from _forbidden(plural, old, obj)


def _negative_replicas(obj: Object) -> Iterator[Cause]:
    if obj["spec"]["replicas"] < 0:
        message = f"Invalid value: {obj['spec']['replicas']}: must be greater than or equal to 0"
        yield cause("FieldValueInvalid", "spec.replicas", message)


def _missed_selector(obj: Object) -> Iterator[Cause]:
    wanted = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    labels = (obj["spec"]["template"].get("metadata") or {}).get("labels") or {}
    if "selector" not in obj["spec"] or not wanted.items() <= labels.items():
        shown = orjson.dumps(labels).decode()
        message = f"Invalid value: {shown}: `selector` does not match template `labels`"
        yield cause("FieldValueInvalid", "spec.template.metadata.labels", message)


def _portless(obj: Object) -> Iterator[Cause]:
    if obj["spec"].get("clusterIP", "None") != "None" and not obj["spec"].get("ports"):
        yield cause("FieldValueRequired", "spec.ports", "Required value")


def _recreated_rolling(obj: Object) -> Iterator[Cause]:
    strategy = obj["spec"]["strategy"]
    if strategy["type"] == "Recreate" and "rollingUpdate" in strategy:
        message = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
        yield cause("FieldValueForbidden", "spec.strategy.rollingUpdate", message)


DATA_KEY = re.compile(r"(?!\.\.?$)[-._a-zA-Z0-9]{1,253}")


def _bad_keys(obj: Object) -> Iterator[Cause]:
    for field in ("data", "binaryData"):
        for name in obj.get(field) or ():
            if not DATA_KEY.fullmatch(name):
                message = f'Invalid value: "{name}": a valid config key must match [-._a-zA-Z0-9]+'
                yield cause("FieldValueInvalid", f"{field}[{name}]", message)


def _two_budgets(obj: Object) -> Iterator[Cause]:
    if {"minAvailable", "maxUnavailable"} <= obj["spec"].keys():
        shown = orjson.dumps(obj["spec"]).decode()
        message = f"Invalid value: {shown}: minAvailable and maxUnavailable cannot be both set"
        yield cause("FieldValueInvalid", "spec", message)


def _other_namespace(obj: Object) -> Iterator[Cause]:
    involved = obj.get("involvedObject", {}).get("namespace")
    if involved and involved != obj["metadata"]["namespace"]:
        message = f'Invalid value: "{involved}": does not match event.namespace'
        yield cause("FieldValueInvalid", "involvedObject.namespace", message)


CHECKS: dict[str, tuple[Callable[[Object], Iterator[Cause]], ...]] = {
    **dict.fromkeys(("replicasets", "statefulsets"), (_negative_replicas, _missed_selector)),
    "deployments": (_negative_replicas, _missed_selector, _recreated_rolling),
    "services": (_portless,),
    **dict.fromkeys(("configmaps", "secrets"), (_bad_keys,)),
    "poddisruptionbudgets": (_two_budgets,),
    "events": (_other_namespace,),
}


def _forbidden(plural: str, old: Object, obj: Object) -> Iterator[Cause]:
    before, after = old.get("spec", {}), obj.get("spec", {})
    for name in IMMUTABLE.get(plural, "").split():
        if _compared(plural, name, before.get(name)) != _compared(plural, name, after.get(name)):
            shown = orjson.dumps(after.get(name)).decode()
            yield cause("FieldValueInvalid", f"spec.{name}", f"Invalid value: {shown}: field is immutable")
    if plural == "statefulsets" and any(
        before.get(name) != after.get(name) for name in {*before, *after} - STATEFUL_SET_MUTABLE
    ):
        allowed = ", ".join(f"'{name}'" for name in sorted(STATEFUL_SET_MUTABLE))
        message = f"Forbidden: updates to statefulset spec for fields other than {allowed} are forbidden"
        yield cause("FieldValueForbidden", "spec", message)
    if old.get("immutable") and (old.get("data") != obj.get("data") or not obj.get("immutable")):
        yield cause("FieldValueForbidden", "data", "Forbidden: field is immutable when `immutable` is set")
    if plural == "secrets" and old.get("type") != obj.get("type"):
        yield cause("FieldValueInvalid", "type", f'Invalid value: "{obj.get("type")}": field is immutable')


def _compared(plural: str, name: str, value: Any) -> Any:
    """A pod's images may change."""
    if plural == "pods" and name in ("containers", "initContainers"):
        return [{k: v for k, v in c.items() if k != "image"} for c in value or ()]
    return value
