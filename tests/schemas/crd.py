"""The Workspace's CRD: its structural schema from the model, and around it what kubectl shows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

STATUS = Path(__file__).with_name("workspace_status.yaml")
HEAD = """# The Workspace of kaito.sh as Kaito defines it, with our additions in status (`make schemas`).
# Installed only where the cluster serves no Workspace yet. Both versions have one schema.
"""
COLUMNS = (
    ("Instance", "string", ".resource.instanceType"),
    *((name, "string", f'.status.conditions[?(@.type=="{name}")].status')
      for name in ("ResourceReady", "InferenceReady", "WorkspaceReady")),
    ("Age", "date", ".metadata.creationTimestamp"),
)  # fmt: skip
ATOMIC = ("labelSelector", "matchExpressions", "values")
"""Of a selector: changed as a whole, as in Kubernetes' own types."""
DEFAULTS = ("count", "accessMode")
"""What Kaito's CRD defaults; anything more would show as drift."""
OPEN = ("template", "volumeSource")
LATER = ("source", "input", "output", "preset", "method")
"""Kaito's CRD does not require these: its webhook does, and so does this program."""

Schema = dict[str, Any]


class _Plain(yaml.SafeDumper):
    """Writes out what stands in two places: not every reader takes anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text(workspace: Schema) -> str:
    """`workspace` is the model's JSON Schema."""
    return HEAD + yaml.dump(_crd(workspace), Dumper=_Plain, sort_keys=False, width=110)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def _crd(workspace: Schema) -> Schema:
    names = {
        "kind": "Workspace",
        "listKind": "WorkspaceList",
        "plural": "workspaces",
        "singular": "workspace",
        "shortNames": ["wk", "wks", "workspace"],
        "categories": ["workspace"],
    }
    versions = [_version(name, name == "v1alpha1", workspace) for name in ("v1alpha1", "v1beta1")]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "workspaces.kaito.sh"},
        "spec": {"group": "kaito.sh", "scope": "Namespaced", "names": names, "versions": versions},
    }


def _version(name: str, stored: bool, workspace: Schema) -> Schema:
    columns = [{"name": n, "type": kind, "jsonPath": path} for n, kind, path in COLUMNS]
    return {
        "name": name,
        "served": True,
        "storage": stored,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": _root(workspace)},
    }


def _root(workspace: Schema) -> Schema:
    parts = {n: _structural(p, workspace["$defs"], n) for n, p in workspace["properties"].items()}
    parts |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    parts["status"] = yaml.safe_load(STATUS.read_text())
    order = ("apiVersion", "kind", "metadata", "resource", "inference", "tuning", "status")
    return {
        "type": "object",
        "description": "One model to serve or to tune, and the machines for it. There is no spec.",
        "properties": {name: parts[name] for name in order},
    }


def _structural(part: Schema, known: Schema, name: str) -> Schema:
    """Without references and nulls, which a structural schema knows not."""
    described = {"description": part["description"]} if "description" in part else {}
    if name in OPEN:
        return {"type": "object", **described, "x-kubernetes-preserve-unknown-fields": True}
    if choices := [each for each in part.get("anyOf", ()) if each.get("type") != "null"]:
        return _structural({**choices[0], **described}, known, name)
    if "$ref" in part:
        return _structural({**known[part["$ref"].rpartition("/")[2]], **described}, known, name)
    return {"type": part["type"], **described, **_more(part, known, name)}


def _more(part: Schema, known: Schema, name: str) -> Schema:
    kept = {key: part[key] for key in ("minimum",) if key in part}
    if "enum" in part and name != "method":  # the method is taken in any case
        kept["enum"] = part["enum"]
    if name in DEFAULTS and part.get("default"):
        kept["default"] = part["default"]
    if name in ATOMIC:
        kept["x-kubernetes-map-type" if part["type"] == "object" else "x-kubernetes-list-type"] = "atomic"
    if "items" in part:
        kept["items"] = _structural(part["items"], known, "")
    if part.get("additionalProperties"):
        kept["additionalProperties"] = _structural(part["additionalProperties"], known, "")
    if "properties" in part:
        required = [each for each in part.get("required", ()) if each not in LATER]
        kept |= {"required": required} if required else {}
        kept["properties"] = {n: _structural(p, known, n) for n, p in part["properties"].items()}
    return kept
