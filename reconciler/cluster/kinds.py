"""The kinds this program reads or writes, and where the API serves them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

from reconciler.errors import InvalidSpec
from reconciler.model import names
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind in one version; `group` is empty for the core API."""

    name: str
    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """As access rules name it: `deployments.apps`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """URL path; raises InvalidSpec for a part that is no path segment."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = ["namespaces", namespace] if self.namespaced and namespace else []
        parts += [self.plural, *filter(None, (name, subresource))]
        return "/".join([root, *map(_segment, parts)])


def _segment(text: str) -> str:
    if text in (".", "..") or "/" in text or "%" in text:
        raise InvalidSpec(f"{text!r} cannot be part of an object's address; use letters, digits, '-' and '.'")
    return quote(text, safe="")


def _table(*kinds: Kind) -> Mapping[str, Kind]:
    return MappingProxyType({kind.name: kind for kind in kinds})


KINDS = _table(
    Kind("Namespace", "", "v1", "namespaces", namespaced=False),
    Kind("Node", "", "v1", "nodes", namespaced=False),
    Kind("ConfigMap", "", "v1", "configmaps"),
    Kind("Event", "", "v1", "events"),
    Kind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims"),
    Kind("Pod", "", "v1", "pods"),
    Kind("Secret", "", "v1", "secrets"),
    Kind("Service", "", "v1", "services"),
    Kind("ServiceAccount", "", "v1", "serviceaccounts"),
    Kind("Deployment", "apps", "v1", "deployments"),
    Kind("ReplicaSet", "apps", "v1", "replicasets"),
    Kind("StatefulSet", "apps", "v1", "statefulsets"),
    Kind("Job", "batch", "v1", "jobs"),
    Kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
    Kind("Lease", "coordination.k8s.io", "v1", "leases"),
    Kind(
        "CustomResourceDefinition",
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        namespaced=False,
    ),
    Kind("Workspace", names.GROUP, "v1alpha1", "workspaces"),
)
"""By name. A cluster may serve Workspace in another version: see `Client.serves`."""


def key_of(manifest: Manifest) -> ObjectKey:
    """Raises InvalidSpec where kind or name is missing."""
    metadata = manifest.get("metadata") or {}
    kind, name = manifest.get("kind"), metadata.get("name")
    if not kind or not name:
        raise InvalidSpec(f"a manifest needs kind and metadata.name, found {kind!r} and {name!r}")
    return ObjectKey(str(kind), str(metadata.get("namespace") or ""), str(name))
