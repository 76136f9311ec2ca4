"""Service: EndpointSlices that name the pods behind it, one slice for each mapping of its ports.

A service without selector keeps the slices that others wrote for it. A slice is never split, however
many pods there are; dual-stack addresses, topology hints and `Endpoints` objects are not modelled.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from reconciler.dev.clock import Pace
from reconciler.dev.objects import deleting, finished, key_of, labels_of, owner_reference, ready
from reconciler.dev.view import View
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .pods import suffixed

OURS = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
Ports = tuple[tuple[str, int, str], ...]
"""Name, number and protocol of each."""


class Endpoints:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self.queue = view.controller("Service", self._reconcile, pace, owned=("EndpointSlice",))
        view.subscribe("Pod", self._heed_pod)

    def _heed_pod(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        for pod in filter(None, (old, new)):
            for service in self._view.selecting(pod):
                self.queue.add(key_of(service))

    async def _reconcile(self, service: Manifest) -> None:
        if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            return
        wanted = endpoints_of(service, self._view.selected(service)) or {(): []}
        spare = []
        for live in self._view.controlled(service, "EndpointSlice"):
            endpoints = wanted.pop(_ports_of(live), None)
            if endpoints is None:
                spare.append(live)
            elif endpoints != live["endpoints"]:
                await self._view.patch(key_of(live), {"endpoints": endpoints})
        for ports, endpoints in wanted.items():
            told = [dict(zip(("name", "port", "protocol"), port, strict=True)) for port in ports]
            body = {"ports": told, "endpoints": endpoints}
            if spare:
                await self._view.patch(key_of(spare.pop()), body)
            else:
                await self._view.create(_slice(service) | body)
        for live in spare:
            await self._view.delete(live)


def endpoints_of(service: Manifest, pods: Iterable[Manifest]) -> dict[Ports, list[dict[str, Any]]]:
    """Those of the pods that it selects, by what its ports mean there; without an address a pod is none."""
    found: dict[Ports, list[dict[str, Any]]] = defaultdict(list)
    for pod in pods:
        if pod.get("status", {}).get("podIP") and not finished(pod):
            found[_mapping(service, pod)].append(_endpoint(service, pod))
    return {ports: sorted(each, key=lambda e: str(e["addresses"])) for ports, each in found.items()}


def _endpoint(service: Manifest, pod: Manifest) -> dict[str, Any]:
    usable = (ready(pod) and not deleting(pod)) or bool(service["spec"].get("publishNotReadyAddresses"))
    target = {part: pod["metadata"][part] for part in ("namespace", "name", "uid")}
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": usable, "serving": ready(pod), "terminating": deleting(pod)},
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {"kind": "Pod"} | target,
    }


def _mapping(service: Manifest, pod: Manifest) -> Ports:
    """A port whose target the pod does not name is left out there."""
    named = {
        (port.get("name"), port.get("protocol", "TCP")): port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or []
    }
    found = []
    for port in service["spec"].get("ports") or []:
        protocol = port.get("protocol", "TCP")
        target = port.get("targetPort") or port["port"]
        number = target if isinstance(target, int) else named.get((target, protocol))
        if number:
            found.append((port.get("name", ""), number, protocol))
    return tuple(found)


def _ports_of(live: Manifest) -> Ports:
    return tuple((port["name"], port["port"], port["protocol"]) for port in live.get("ports") or [])


def _slice(service: Manifest) -> Manifest:
    metadata = service["metadata"]
    own = OURS | {"kubernetes.io/service-name": metadata["name"]}
    if service["spec"].get("clusterIP") == "None":
        own["service.kubernetes.io/headless"] = ""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": suffixed(metadata["name"]),
            "namespace": metadata["namespace"],
            "labels": labels_of(service) | own,
            "ownerReferences": [owner_reference(service)],
        },
        "addressType": "IPv4",
    }
