"""Writes the built-in schemas of the development API server; `make schemas` runs it.

The source is the OpenAPI data in PyPI's `kubernetes-validate` (Apache-2.0, from Kubernetes itself). Kept are
the kinds served there and what they refer to, without descriptions; added are the defaults of
`defaults.yaml`, and that a container needs an image (its types leave that to whoever fills in templates).
"""

import gzip
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from reconciler.dev import api

VERSION = "v1.32.0"
HOME = Path(api.__file__).parent
TARGET = HOME / "schemas.json.gz"
CORE = "io.k8s.api.core.v1."
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
KINDS = (
    *(CORE + k for k in ("Namespace", "ConfigMap", "Secret", "Service", "ServiceAccount", "Node", "Pod")),
    *(CORE + k for k in ("Event", "PersistentVolumeClaim")),
    *("io.k8s.api.apps.v1." + k for k in ("Deployment", "ReplicaSet", "StatefulSet")),
    "io.k8s.api.batch.v1.Job",
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.discovery.v1.EndpointSlice",
    "io.k8s.api.networking.v1.NetworkPolicy",
    "io.k8s.api.policy.v1.PodDisruptionBudget",
    *("io.k8s.api.rbac.v1." + k for k in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")),
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    META + "DeleteOptions",
)
REPLACED: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"x-kubernetes-int-or-string": True},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string", "format": "quantity"},
    META + "FieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}
DROPPED = {"description", "x-kubernetes-unions", "enum"}


def source() -> dict[str, Any]:
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        sys.exit("kubernetes-validate is not installed")
    folder = Path(spec.origin).parent / "kubernetes-json-schema" / f"{VERSION}-local"
    definitions: dict[str, Any] = json.loads((folder / "_definitions.json").read_text())["$defs"]
    return definitions


def reduced(node: Any, *, names: bool = False) -> Any:
    """`node` without prose; `names` says that its keys are property names, which are all kept."""
    if isinstance(node, list):
        return [reduced(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        k: reduced(v, names=not names and k == "properties")
        for k, v in node.items()
        if names or k not in DROPPED
    }
    if names:
        return kept
    if isinstance(kept.get("type"), list):
        kept["type"] = next(t for t in kept["type"] if t != "null")
    if "$ref" in kept:
        kept["$ref"] = "#/components/schemas/" + kept["$ref"].rpartition("/")[2]
    if not kept:
        kept["x-kubernetes-preserve-unknown-fields"] = True
    return kept


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rpartition("/")[2]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def reachable(definitions: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    waiting = list(KINDS)
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept[name] = REPLACED.get(name) or reduced(definitions[name])
            waiting.extend(references(kept[name]))
    kept[CORE + "Container"]["required"].append("image")
    for package, types in yaml.safe_load((HOME / "defaults.yaml").read_text()).items():
        for name, fields in types.items():
            for field, value in fields.items():
                kept[f"{package}.{name}"]["properties"][field]["default"] = value
    return dict(sorted(kept.items()))


def main() -> None:
    text = json.dumps(reachable(source()), separators=(",", ":"), sort_keys=True).encode()
    TARGET.write_bytes(gzip.compress(text, 9, mtime=0))


if __name__ == "__main__":
    main()
