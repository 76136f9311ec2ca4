"""Which resources are served: the built-in ones and those that custom resource definitions add."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from reconciler.dev.api.schema import META, Type, builtin, custom_type
from reconciler.dev.api.store import ResourceKey

CONDITIONAL = ("leases", "namespaces", "serviceaccounts", "customresourcedefinitions")
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, eq=False)
class Resource:
    """One resource in one version. All versions of a resource share `key`, and so their storage."""

    group: str
    version: str
    plural: str
    kind: str
    type: Type
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    definition: str = ""
    custom: bool = False
    storage_version: str = ""
    columns: tuple[dict[str, Any], ...] = field(default=())

    @property
    def key(self) -> ResourceKey:
        return self.group, self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored_api_version(self) -> str:
        version = self.storage_version or self.version
        return f"{self.group}/{version}" if self.group else version

    @property
    def needs_version(self) -> bool:
        """Whether an update must say which version it replaces."""
        return self.custom or self.plural in CONDITIONAL

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources


KINDS: tuple[tuple[str, str, str, str, str], ...] = (
    ("", "namespaces", "Namespace", "ns", "cluster status"),
    ("", "configmaps", "ConfigMap", "cm", ""),
    ("", "secrets", "Secret", "", ""),
    ("", "services", "Service", "svc", "status all"),
    ("", "serviceaccounts", "ServiceAccount", "sa", ""),
    ("", "nodes", "Node", "no", "cluster status"),
    ("", "pods", "Pod", "po", "status log all"),
    ("", "events", "Event", "ev", ""),
    ("", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", "status"),
    ("coordination.k8s.io", "leases", "Lease", "", ""),
    ("discovery.k8s.io", "endpointslices", "EndpointSlice", "", ""),
    ("networking.k8s.io", "networkpolicies", "NetworkPolicy", "netpol", ""),
    ("rbac.authorization.k8s.io", "roles", "Role", "", ""),
    ("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", "", ""),
    ("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", "", "cluster"),
    ("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", "", "cluster"),
    ("policy", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", "status"),
    ("apps", "deployments", "Deployment", "deploy", "status all"),
    ("apps", "replicasets", "ReplicaSet", "rs", "status all"),
    ("apps", "statefulsets", "StatefulSet", "sts", "status all"),
    ("batch", "jobs", "Job", "", "status all"),
    (
        *("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition"),
        *("crd crds", "cluster status api-extensions"),
    ),
)
"""Group, plural, kind, short names and traits: scope, subresources, categories. All are v1."""


def builtins() -> list[Resource]:
    return [_builtin(*row) for row in KINDS]


def _builtin(group: str, plural: str, kind: str, short: str, told: str) -> Resource:
    traits = set(told.split())
    package = f"io.k8s.api.{group.partition('.')[0] or 'core'}.v1."
    if group == "apiextensions.k8s.io":
        package = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
    return Resource(
        group=group,
        version="v1",
        plural=plural,
        kind=kind,
        type=builtin().named(package + kind),
        namespaced="cluster" not in traits,
        singular=kind.lower(),
        short_names=tuple(short.split()),
        categories=tuple(sorted(traits & {"all", "api-extensions"})),
        subresources=tuple(sorted(traits & {"status", "log"}, reverse=True)),
        definition=package + kind,
    )


def defined_by(crd: dict[str, Any]) -> list[Resource]:
    """The resources, one for each served version, of a custom resource definition."""
    spec = crd["spec"]
    names = spec["names"]
    storage = next(v["name"] for v in spec["versions"] if v.get("storage"))
    return [
        Resource(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            type=custom_type((version.get("schema") or {}).get("openAPIV3Schema")),
            namespaced=spec["scope"] == "Namespaced",
            singular=names.get("singular") or names["kind"].lower(),
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=("status",) if "status" in (version.get("subresources") or {}) else (),
            custom=True,
            storage_version=storage,
            columns=tuple(version.get("additionalPrinterColumns") or ()),
        )
        for version in spec["versions"]
        if version.get("served")
    ]


class Registry:
    """Served resources by (group, version, plural)."""

    def __init__(self) -> None:
        self._served = {(r.group, r.version, r.plural): r for r in builtins()}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._served.get((group, version, plural))

    def any_version(self, key: ResourceKey) -> Resource | None:
        """The resource in its storage version where that is served, else in any."""
        found = [r for r in self._served.values() if r.key == key]
        return next((r for r in found if r.api_version == r.stored_api_version), found[0] if found else None)

    def define(self, crd: dict[str, Any]) -> None:
        self.forget((crd["spec"]["group"], crd["spec"]["names"]["plural"]))
        for resource in defined_by(crd):
            self._served[resource.group, resource.version, resource.plural] = resource

    def forget(self, key: ResourceKey) -> None:
        self._served = {k: r for k, r in self._served.items() if r.key != key}

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._served.values()))

    def groups(self) -> dict[str, dict[str, list[Resource]]]:
        """Resources by group, then version; the newest stable version of a group comes first."""
        found: dict[str, dict[str, list[Resource]]] = {}
        for resource in sorted(self, key=lambda r: (r.group, _age(r.version), r.plural)):
            found.setdefault(resource.group, {}).setdefault(resource.version, []).append(resource)
        return found


def _age(version: str) -> tuple[int, str]:
    """Sort key: v2, v1, v1beta1, v1alpha1."""
    rank = 2 if "alpha" in version else 1 if "beta" in version else 0
    return rank, "".join(chr(0x10FFFF - ord(c)) if c.isdigit() else c for c in version)


DELETE_OPTIONS = META + "DeleteOptions"
