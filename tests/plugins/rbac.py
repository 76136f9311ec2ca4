"""Kubernetes' access rules, read by our own few lines: what requests need, and what roles grant."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from e2e.proxy import Passed

VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

_OBJECTS = re.compile(
    r"/(?:api|apis/([a-z0-9.-]+))/v[a-z0-9]+(?:/namespaces/([^/]+)(?=/))?/([a-z]+)(?:/([^/]+))?(?:/([a-z]+))?$"
)


class Need(NamedTuple):
    """`resource` is a plural, with the subresource where there is one."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str


def needs(passed: Iterable[Passed]) -> set[Need]:
    """What the requests must have been allowed. Discovery is open to everybody and left out."""
    return {need for each in passed for need in _needs(each)}


def _needs(passed: Passed) -> Iterator[Need]:
    found = _OBJECTS.search(passed.path)
    if found is None:
        return
    if passed.user:
        namespace, name = passed.user.split(":")[2:]
        yield Need("impersonate", "", "serviceaccounts", namespace, name)
        return
    group, namespace, plural, name, subresource = (part or "" for part in found.groups())
    if plural == "namespaces":
        namespace = name
    resource, query = "/".join(filter(None, (plural, subresource))), parse_qs(passed.query)
    if passed.method == "GET" and not name:
        (fields,) = query.get("fieldSelector", [""])
        verb = "watch" if "watch" in query else "list"
        yield Need(verb, group, resource, namespace, fields.removeprefix("metadata.name="))
    else:
        yield Need(VERBS[passed.method], group, resource, namespace, name)
    if passed.method == "PATCH" and passed.code == 201:  # a server asks for both
        yield Need("create", group, resource, namespace, name)


class Grant(NamedTuple):
    """One verb on one resource. `namespace` is empty for everywhere, `names` for all objects."""

    verb: str
    group: str
    resource: str
    namespace: str
    names: tuple[str, ...]

    def allows(self, need: Need) -> bool:
        return (
            self[:3] == need[:3]
            and self.namespace in ("", need.namespace)
            and (not self.names or need.name in self.names)
        )


def grants(objects: Iterable[dict[str, Any]]) -> list[Grant]:
    """Of the roles among the objects; bindings are in the same namespaces."""
    return [
        Grant(
            verb, group, resource, role["metadata"].get("namespace", ""), tuple(rule.get("resourceNames", ()))
        )
        for role in objects
        if role["kind"] in ("Role", "ClusterRole")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def refused(needed: Iterable[Need], granted: list[Grant]) -> list[Need]:
    return sorted(need for need in needed if not any(grant.allows(need) for grant in granted))


def idle(needed: Iterable[Need], granted: list[Grant]) -> list[Grant]:
    """What nothing needs; of several that allow the same, the narrowest is the one that is used."""
    narrowest_first = sorted(granted, key=lambda grant: (not grant.names, not grant.namespace))
    used = {next(grant for grant in narrowest_first if grant.allows(need)) for need in needed}
    return [grant for grant in granted if grant not in used]
