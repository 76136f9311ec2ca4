"""From a method and a path to a verb and a resource."""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.dev.api.errors import ApiError
from reconciler.dev.api.kinds import Registry, Resource
from reconciler.dev.api.listing import TRUE

NAMED = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
LEFT_OUT = {
    *("scale", "exec", "attach", "portforward", "proxy", "eviction", "binding"),
    *("ephemeralcontainers", "resize", "token", "finalize"),
}
COLLECTION = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}


@dataclass(frozen=True)
class Route:
    """`resource` is None for everything that is not an object: discovery, health, reviews."""

    verb: str
    resource: Resource | None = None
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def route(method: str, path: str, query: Mapping[str, str], registry: Registry) -> Route:
    """Raises 404 for what is not served and 405 for a method that does not fit."""
    parts = [part for part in path.split("/") if part]
    found = _object_path(parts)
    if found is None or found[2:3] == ["selfsubjectaccessreviews"] or found[2:3] == ["selfsubjectreviews"]:
        return Route(method.lower())
    group, version, *rest = found
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    if rest[0] == "watch":
        raise ApiError(404, "the deprecated /watch/ paths are not served: use ?watch=true")
    resource = registry.find(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        raise ApiError(404, "the server could not find the requested resource")
    name, subresource = (*rest[1:], "", "")[:2]
    if subresource and subresource not in resource.subresources:
        code = 501 if subresource in LEFT_OUT else 404
        raise ApiError(code, f"{rest[0]}/{subresource} is not served by this development server")
    return Route(_verb(method, name, subresource, query), resource, namespace, name, subresource)


def _object_path(parts: list[str]) -> list[str] | None:
    """[group, version, plural, …] or None where the path names no resource."""
    if parts[:1] == ["api"] and len(parts) > 2:
        return ["", *parts[1:]]
    if parts[:1] == ["apis"] and len(parts) > 3:
        return parts[1:]
    return None


def _verb(method: str, name: str, subresource: str, query: Mapping[str, str]) -> str:
    verb = (NAMED if name else COLLECTION).get(method)
    if verb is None or (subresource == "log" and verb != "get") or (subresource and verb == "delete"):
        raise ApiError(405, "the server does not allow this method on the requested resource")
    return "watch" if verb == "list" and query.get("watch") in TRUE else verb
