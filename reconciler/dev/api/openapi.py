"""OpenAPI v3 documents: enough for kubectl to validate, merge and apply."""

import re
from typing import Any

import orjson

from reconciler.dev.api.kinds import DELETE_OPTIONS, Registry, Resource
from reconciler.dev.api.schema import META, builtin

Object = dict[str, Any]
REFERENCE = re.compile(r'"\$ref":"#/components/schemas/([^"]+)"')


def index(registry: Registry) -> Object:
    found = {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in map(_path, registry)}
    return {"paths": found}


def document(parts: list[str], registry: Registry) -> Object | None:
    """The document at `api/v1` or `apis/<group>/<version>`; None where nothing is served there."""
    wanted = "/".join(parts)
    resources = [resource for resource in registry if _path(resource) == wanted]
    if not resources:
        return None
    schemas: Object = {_schema_name(resource): _schema(resource) for resource in resources}
    schemas.update({name: builtin().definitions[name] for name in (META + "ObjectMeta", DELETE_OPTIONS)})
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.32.0"},
        "paths": {path: found for resource in resources for path, found in _operations(resource).items()},
        "components": {"schemas": _with_referred(schemas)},
    }


def _path(resource: Resource) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"


def _schema_name(resource: Resource) -> str:
    if resource.definition:
        return resource.definition
    reversed_group = ".".join(reversed(resource.group.split(".")))
    return f"{reversed_group}.{resource.version}.{resource.kind}"


def _gvk(resource: Resource) -> Object:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema(resource: Resource) -> Object:
    node = dict(resource.type.node)
    if resource.custom:
        text, metadata = {"type": "string"}, {"$ref": f"#/components/schemas/{META}ObjectMeta"}
        head = {"apiVersion": text, "kind": text, "metadata": metadata}
        node["properties"] = {**(node.get("properties") or {}), **head}
    node["x-kubernetes-group-version-kind"] = [_gvk(resource)]
    return node


def _operations(resource: Resource) -> Object:
    """Only the patch, where kubectl looks for `fieldValidation` and for which patches are served."""
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    types = ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"]
    if not resource.custom:
        types.append("application/strategic-merge-patch+json")
    names = ("dryRun", "fieldManager", "fieldValidation", "force")
    patch = {
        "operationId": f"patch{resource.group}{resource.version}{resource.plural}",
        "parameters": [{"name": n, "in": "query", "schema": {"type": "string"}} for n in names],
        "requestBody": {"content": {name: {"schema": {"type": "object"}} for name in types}},
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": _gvk(resource),
    }
    return {f"/{_path(resource)}{scope}/{resource.plural}/{{name}}": {"patch": patch}}


def _with_referred(schemas: Object) -> Object:
    """`schemas` and the definitions that they refer to, over any number of steps."""
    waiting = list(schemas.values())
    while waiting:
        for name in REFERENCE.findall(orjson.dumps(waiting.pop()).decode()):
            if name not in schemas:
                schemas[name] = builtin().definitions[name]
                waiting.append(schemas[name])
    return schemas
