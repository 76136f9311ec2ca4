"""What the real server adds to built-in objects and refuses to change, as far as clients notice."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from reconciler.dev.api.errors import Cause, cause
from reconciler.dev.api.store import Object

Completion = Callable[[Object, Object], None]
GENERATIONS = {"deployments", "replicasets", "statefulsets", "jobs", "customresourcedefinitions"}


def has_generation(plural: str) -> bool:
    return plural in GENERATIONS


def complete(plural: str, old: Object, obj: Object) -> None:
    """Fill in defaults, in place. `old` is empty for a create."""
    if plural in COMPLETIONS:
        COMPLETIONS[plural](old, obj)


def _fill(target: Object, **defaults: Any) -> None:
    for name, value in defaults.items():
        target.setdefault(name, value)


ADMITTED = (
    "tolerations",
    "priority",
    "preemptionPolicy",
    "serviceAccountName",
    "enableServiceLinks",
    "nodeName",
)


def _pod(old: Object, obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if old:
        _fill(spec, **{name: old["spec"][name] for name in ADMITTED if name in old["spec"]})
    else:
        _fill(spec, tolerations=[_eviction("not-ready"), _eviction("unreachable")])
        _fill(spec, priority=0, preemptionPolicy="PreemptLowerPriority", serviceAccountName="default")
        _fill(spec, enableServiceLinks=True)
        obj.setdefault("status", {"phase": "Pending", "qosClass": _quality(spec)})
    _pod_spec(spec)


def _eviction(why: str) -> Object:
    key = f"node.kubernetes.io/{why}"
    return {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}


def _quality(spec: Object) -> str:
    resources = [
        c.get("resources") or {} for c in (*spec.get("containers", ()), *spec.get("initContainers", ()))
    ]
    if not any(r.get("limits") or r.get("requests") for r in resources):
        return "BestEffort"
    exact = all(
        r.get("limits") and {"cpu", "memory"} <= set(r["limits"]) and r.get("requests", {}) == r["limits"]
        for r in resources
    )
    return "Guaranteed" if exact else "Burstable"


def _pod_spec(spec: Object) -> None:
    _fill(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    _fill(spec, terminationGracePeriodSeconds=30, securityContext={})
    if "serviceAccountName" in spec:
        _fill(spec, serviceAccount=spec["serviceAccountName"])
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        _container(container)
    for volume in spec.get("volumes", ()):
        _volume(volume)


def _container(container: Object) -> None:
    image = container.get("image", "")
    floating = "@" not in image and image.rpartition("/")[2].partition(":")[2] in ("", "latest")
    _fill(container, imagePullPolicy="Always" if floating else "IfNotPresent", resources={})
    _fill(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    for port in container.get("ports", ()):
        _fill(port, protocol="TCP")
    for env in container.get("env", ()):
        if env.get("value") == "":
            del env["value"]
        if "fieldRef" in env.get("valueFrom", {}):
            _fill(env["valueFrom"]["fieldRef"], apiVersion="v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _probe(container[name])
    resources = container["resources"]
    for name, value in resources.get("limits", {}).items():
        resources.setdefault("requests", {}).setdefault(name, value)


def _probe(probe: Object) -> None:
    _fill(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if "httpGet" in probe:
        _fill(probe["httpGet"], path="/", scheme="HTTP")
    if "grpc" in probe:
        _fill(probe["grpc"], service="")


def _volume(volume: Object) -> None:
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        if source in volume:
            _fill(volume[source], defaultMode=420)
    if "hostPath" in volume:
        _fill(volume["hostPath"], type="")
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}
    for source_item in volume.get("projected", {}).get("sources", ()):
        if "serviceAccountToken" in source_item:
            _fill(source_item["serviceAccountToken"], expirationSeconds=3600)


def _template(obj: Object) -> Object:
    spec: Object = obj.setdefault("spec", {})
    _pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))
    return spec


def _deployment(old: Object, obj: Object) -> None:
    spec = _template(obj)
    _fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    strategy = spec["strategy"]
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy, rollingUpdate={})
        _fill(strategy["rollingUpdate"], maxSurge="25%", maxUnavailable="25%")
    _fill(obj, status={})


def _replica_set(old: Object, obj: Object) -> None:
    spec = _template(obj)
    _fill(spec, replicas=1)
    _fill(obj, status={"replicas": 0})


def _stateful_set(old: Object, obj: Object) -> None:
    spec = _template(obj)
    _fill(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady", updateStrategy={})
    _fill(spec, persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"})
    strategy = spec["updateStrategy"]
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy, rollingUpdate={"partition": 0})
    for claim in spec.get("volumeClaimTemplates", ()):
        _fill(claim, apiVersion="v1", kind="PersistentVolumeClaim", status={"phase": "Pending"})
        _fill(claim["spec"], volumeMode="Filesystem")
    _fill(obj, status={"replicas": 0, "availableReplicas": 0})


def _job(old: Object, obj: Object) -> None:
    spec = _template(obj)
    _fill(
        spec,
        backoffLimit=6,
        completionMode="NonIndexed",
        suspend=False,
        podReplacementPolicy="TerminatingOrFailed",
    )
    if "completions" not in spec and "parallelism" not in spec:
        _fill(spec, completions=1)
    _fill(spec, parallelism=1)
    if "podFailurePolicy" in spec:
        spec["podReplacementPolicy"] = "Failed"
    if not old and not spec.get("manualSelector"):
        uid, name = obj["metadata"]["uid"], obj["metadata"].get("name", "")
        labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
        for prefix in ("", "batch.kubernetes.io/"):
            labels[prefix + "controller-uid"] = uid
            labels[prefix + "job-name"] = name
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    elif old:
        _keep_generated(old["spec"], spec)
    _fill(obj, status={})


def _keep_generated(old: Object, spec: Object) -> None:
    """A client that sends its own manifest again does not know the generated selector and labels."""
    _fill(spec, selector=old.get("selector"))
    labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
    for name, value in old["template"].get("metadata", {}).get("labels", {}).items():
        if name.endswith(("controller-uid", "job-name")):
            labels.setdefault(name, value)


def _service(old: Object, obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _fill(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster")
    for port in spec.get("ports", ()):
        _fill(port, protocol="TCP", targetPort=port.get("port"))
    if spec["type"] != "ExternalName":
        kept = old.get("spec", {}).get("clusterIP") if old else _address(obj["metadata"]["uid"])
        if not spec.get("clusterIP"):
            spec["clusterIP"] = kept
        _fill(spec, clusterIPs=[spec["clusterIP"]], ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    _fill(obj, status={"loadBalancer": {}})


def _address(uid: str) -> str:
    """An address in 10.96.0.0/16 by the object's uid; two may share one, for nothing routes there."""
    number = 10 + int(uid[:8], 16) % 65_000
    return f"10.96.{number >> 8}.{number & 255}"


def _namespace(old: Object, obj: Object) -> None:
    metadata = obj["metadata"]
    metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata.get("name", "")
    if not old:
        obj["spec"] = {"finalizers": ["kubernetes"]}
    _fill(obj, status={"phase": "Active"})


def _claim(old: Object, obj: Object) -> None:
    _fill(obj.setdefault("spec", {}), volumeMode="Filesystem")
    _fill(obj, status={"phase": "Pending"})


def _secret(old: Object, obj: Object) -> None:
    _fill(obj, type="Opaque")
    plain = obj.pop("stringData", {})
    for name, value in plain.items():
        obj.setdefault("data", {})[name] = base64.b64encode(value.encode()).decode()


def _node(old: Object, obj: Object) -> None:
    _fill(obj, spec={}, status={})


def _event(old: Object, obj: Object) -> None:
    _fill(obj, source={}, firstTimestamp=None, lastTimestamp=None, eventTime=None)
    _fill(obj, reportingComponent="", reportingInstance="")
    for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
        if obj[name] is None:
            del obj[name]


COMPLETIONS: dict[str, Completion] = {
    "pods": _pod,
    "deployments": _deployment,
    "replicasets": _replica_set,
    "statefulsets": _stateful_set,
    "jobs": _job,
    "services": _service,
    "namespaces": _namespace,
    "persistentvolumeclaims": _claim,
    "secrets": _secret,
    "nodes": _node,
    "events": _event,
}

IMMUTABLE: dict[str, tuple[str, ...]] = {
    "deployments": ("selector",),
    "replicasets": ("selector",),
    "jobs": ("selector", "template", "completions", "completionMode"),
    "pods": (
        "containers",
        "initContainers",
        "volumes",
        "restartPolicy",
        "serviceAccountName",
        "nodeSelector",
    ),
    "persistentvolumeclaims": ("accessModes", "selector", "storageClassName", "volumeMode", "dataSource"),
}
STATEFUL_SET_MUTABLE = {
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
}


def forbidden_changes(plural: str, old: Object, obj: Object) -> list[Cause]:
    """Changes of fields that cannot change; the message shows the new value, as a real server's does."""
    return list(_forbidden(plural, old, obj)) if old else []


def _forbidden(plural: str, old: Object, obj: Object) -> Iterator[Cause]:
    before, after = old.get("spec", {}), obj.get("spec", {})
    for name in IMMUTABLE.get(plural, ()):
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
