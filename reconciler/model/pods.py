"""Parts of pods that users write: pod templates and volume sources, as Kubernetes 1.32 has them.

Checked is what an API server would drop or refuse only when the workload is made, long after the push.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from . import grammar
from .finding import Finding, Path, finding
from .suggestion import nearest

Findings = Iterator[Finding]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VOLUME_SOURCES = _words(
    "awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI emptyDir ephemeral fc"
    " flexVolume flocker gcePersistentDisk gitRepo glusterfs hostPath image iscsi nfs persistentVolumeClaim"
    " photonPersistentDisk portworxVolume projected quobyte rbd scaleIO secret storageos vsphereVolume"
)
TEMPLATE_FIELDS = frozenset({"metadata", "spec"})
POD_FIELDS = _words(
    "activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy"
    " enableServiceLinks ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname"
    " imagePullSecrets initContainers nodeName nodeSelector os overhead preemptionPolicy priority"
    " priorityClassName readinessGates resourceClaims resources restartPolicy runtimeClassName schedulerName"
    " schedulingGates securityContext serviceAccount serviceAccountName setHostnameAsFQDN"
    " shareProcessNamespace subdomain terminationGracePeriodSeconds tolerations topologySpreadConstraints"
    " volumes"
)
CONTAINER_FIELDS = _words(
    "args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe"
    " resizePolicy resources restartPolicy securityContext startupProbe stdin stdinOnce"
    " terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir"
)


def volume_source(at: Path, source: Mapping[str, Any]) -> Findings:
    """Exactly one kind of volume, which Kubernetes knows."""
    yield from _known(at, source, VOLUME_SOURCES, "kind of volume")
    kinds = [kind for kind in source if kind in VOLUME_SOURCES]
    if len(kinds) > 1:
        rule = f"a volume has one source, and here are {' and '.join(kinds)}"
        yield finding(at, None, rule, "keep one of them")
    if not source:
        yield finding(at, None, "a volume needs a source", "name one, such as persistentVolumeClaim")


def template(at: Path, found: Mapping[str, Any]) -> Findings:
    """A pod template whose containers can be started. Kaito overwrites `affinity` and adds tolerations."""
    yield from _known(at, found, TEMPLATE_FIELDS, "field")
    spec = found.get("spec")
    if not isinstance(spec, dict) or not _items(spec, "containers"):
        where = (*at, "spec", "containers")
        yield finding(where, None, "a pod template needs containers", "add at least one container")
        return
    at = (*at, "spec")
    yield from _known(at, spec, POD_FIELDS, "field")
    policy = spec.get("restartPolicy", "Always")
    if policy != "Always":
        where = (*at, "restartPolicy")
        yield finding(where, policy, "a server is always restarted", "leave it out")
    yield from _containers(at, spec)
    yield from _volumes((*at, "volumes"), _items(spec, "volumes"))


def _volumes(at: Path, volumes: list[Any]) -> Findings:
    seen: set[str] = set()
    for i, volume in enumerate(volumes):
        where = (*at, i)
        if not isinstance(volume, dict):
            yield finding(where, volume, "it must be a mapping", "give the volume a name and a source")
            continue
        yield from _named(where, volume)
        yield from _once(where, volume, seen, "volume")
        yield from volume_source(where, {k: v for k, v in volume.items() if k != "name"})


def _containers(at: Path, spec: Mapping[str, Any]) -> Findings:
    seen: set[str] = set()
    volumes = {str(v["name"]) for v in _items(spec, "volumes") if isinstance(v, dict) and v.get("name")}
    for field in ("initContainers", "containers"):
        for i, container in enumerate(_items(spec, field)):
            where = (*at, field, i)
            if not isinstance(container, dict):
                yield finding(
                    where, container, "it must be a mapping", "give the container a name and an image"
                )
                continue
            yield from _known(where, container, CONTAINER_FIELDS, "field")
            yield from _named(where, container)
            yield from _image((*where, "image"), container.get("image"))
            yield from _mounts((*where, "volumeMounts"), _items(container, "volumeMounts"), volumes)
            yield from _once(where, container, seen, "container")


def _image(at: Path, image: Any) -> Findings:
    if not image:
        yield finding(at, None, "a container needs an image", "add it")
    elif not isinstance(image, str):
        yield finding(at, image, "an image is text", "write it as registry/repository:tag, in quotes")
    elif fault := grammar.image_fault(image):
        yield finding(at, image, fault, "write it as registry/repository:tag, in lower case")


def _mounts(at: Path, mounts: list[Any], volumes: Collection[str]) -> Findings:
    for i, mount in enumerate(mounts):
        name = str(mount.get("name", "")) if isinstance(mount, dict) else ""
        if name not in volumes:
            near = nearest(name, volumes)
            remedy = f"did you mean {near}?" if near else "add it to spec.volumes"
            yield finding((*at, i, "name"), name, "the template has no such volume", remedy)


def _once(at: Path, part: Mapping[str, Any], seen: set[str], what: str) -> Findings:
    """Names are unique among their kind; `seen` are those before it."""
    name = str(part.get("name", ""))
    if name and name in seen:
        yield finding((*at, "name"), name, f"two {what}s have this name", f"give each {what} its own name")
    seen.add(name)


def _named(at: Path, part: Mapping[str, Any]) -> Findings:
    name = part.get("name")
    fault = grammar.label_fault(str(name)) if name else "it needs a name"
    if fault:
        yield finding((*at, "name"), name, fault, "choose such a name")


def _known(at: Path, part: Mapping[str, Any], known: Iterable[str], what: str) -> Findings:
    for name in part:
        if name not in known:
            near = nearest(str(name), known)
            remedy = f"did you mean {near}?" if near else "remove it"
            yield finding((*at, str(name)), None, f"unknown {what}", remedy)


def _items(spec: Mapping[str, Any], field: str) -> list[Any]:
    found = spec.get(field)
    return found if isinstance(found, list) else []
