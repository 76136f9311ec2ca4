"""What a client asks before it asks for objects: groups, resources, versions, OpenAPI, health, reviews."""

from typing import Any, Protocol

import orjson
from aiohttp import web

from reconciler.dev.api import openapi
from reconciler.dev.api.errors import ApiError
from reconciler.dev.api.kinds import VERBS, Registry, Resource
from reconciler.dev.api.serving import Reply

Object = dict[str, Any]
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Discovered(Protocol):
    """A server to be discovered."""

    registry: Registry
    version: str


def reply(request: web.BaseRequest, path: str, body: bytes, server: Discovered) -> Reply:
    """Raises 404, 405 and 415."""
    path = path.rstrip("/")
    registry = server.registry
    if path in ("/healthz", "/livez", "/readyz"):
        return Reply(b"ok", headers={"Content-Type": "text/plain"})
    if request.method == "POST":
        return _json(_review(path, _object(body)), 201)
    if request.method != "GET":
        raise ApiError(405, "the server does not allow this method on the requested resource")
    if path in ("/api", "/apis") and "g=apidiscovery.k8s.io" in request.headers.get("Accept", ""):
        return Reply(
            orjson.dumps(_aggregated(registry, core=path == "/api")), headers={"Content-Type": AGGREGATED}
        )
    if path == "/openapi/v2":
        raise ApiError(501, "OpenAPI v2 is not served by this development server: read /openapi/v3")
    found = _document(path, registry, server.version)
    if found is None:
        raise ApiError(404, "the server could not find the requested resource")
    return _json(found)


def _json(document: Any, code: int = 200) -> Reply:
    return Reply(orjson.dumps(document), code)


def _object(body: bytes) -> Object:
    try:
        return dict(orjson.loads(body))
    except (ValueError, TypeError) as error:
        raise ApiError(415, "reviews are read as JSON only") from error


def _document(path: str, registry: Registry, version: str) -> Any:
    groups = registry.groups()
    match path.strip("/").split("/"):
        case ["version"]:
            return _version(version)
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            named = [_group(name, list(versions)) for name, versions in groups.items() if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}
        case ["apis", group] if group in groups:
            return {"apiVersion": "v1", **_group(group, list(groups[group]))}
        case ["api", wanted] if wanted in groups[""]:
            return _resources(wanted, groups[""][wanted])
        case ["apis", group, wanted] if wanted in groups.get(group, ()):
            return _resources(f"{group}/{wanted}", groups[group][wanted])
        case ["openapi", "v3"]:
            return openapi.index(registry)
        case ["openapi", "v3", *rest]:
            return openapi.document(rest, registry)
    return None


def _version(text: str) -> Object:
    major, minor, _ = text.lstrip("v").split(".", 2)
    facts = {"gitCommit": "", "gitTreeState": "clean", "buildDate": "2024-12-11T18:00:00Z"}
    built = {"goVersion": "go1.23.3", "compiler": "gc", "platform": "linux/amd64"}
    return {"major": major, "minor": minor, "gitVersion": text, **facts, **built}


def _group(name: str, versions: list[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"kind": "APIGroup", "name": name, "versions": listed, "preferredVersion": listed[0]}


def _resources(group_version: str, resources: list[Resource]) -> Object:
    entries = [entry for resource in resources for entry in _entries(resource)]
    head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version}
    return {**head, "resources": entries}


def _entries(resource: Resource) -> list[Object]:
    common = {"namespaced": resource.namespaced, "kind": resource.kind}
    own = {"name": resource.plural, "singularName": resource.singular, **common, "verbs": VERBS}
    optional = {"shortNames": resource.short_names, "categories": resource.categories}
    subresources = [
        {"name": f"{resource.plural}/{sub}", "singularName": "", **common, "verbs": _verbs(sub)}
        for sub in resource.subresources
    ]
    return [{**own, **{k: v for k, v in optional.items() if v}}, *subresources]


def _verbs(subresource: str) -> list[str]:
    return ["get"] if subresource == "log" else ["get", "patch", "update"]


def _aggregated(registry: Registry, *, core: bool) -> Object:
    items = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [
                {"version": name, "freshness": "Current", "resources": list(map(_aggregated_resource, found))}
                for name, found in versions.items()
            ],
        }
        for group, versions in registry.groups().items()
        if (group == "") == core
    ]
    head = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}}
    return {**head, "items": items}


def _aggregated_resource(resource: Resource) -> Object:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": VERBS,
        "shortNames": resource.short_names,
        "categories": resource.categories,
        "subresources": [
            {"subresource": sub, "responseKind": kind, "verbs": _verbs(sub)} for sub in resource.subresources
        ],
    }


def _review(path: str, body: Object) -> Object:
    """Everyone who has the token may do everything, and says who they are by impersonation alone."""
    kind = path.rpartition("/")[2]
    if path.startswith("/apis/authorization.k8s.io/v1/") and kind == "selfsubjectaccessreviews":
        return {**body, "status": {"allowed": True, "reason": "the development server has no RBAC"}}
    if path.startswith("/apis/authentication.k8s.io/v1/") and kind == "selfsubjectreviews":
        user = {"username": "developer", "groups": ["system:masters", "system:authenticated"]}
        return {**body, "status": {"userInfo": user}}
    raise ApiError(404, "the server could not find the requested resource")
