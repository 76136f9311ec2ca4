"""What a server can do by its age: the listed differences between an old server and a supported one.

Each is probed on every server by `test_apiserver_ages.py`: those from `since` on do it, older ones do not.
Where the release is not documented, `since` is the oldest supported one.
"""

from dataclasses import dataclass

SUPPORTED = (1, 27)


@dataclass(frozen=True)
class Age:
    """`why` says what an older server does instead."""

    since: tuple[int, int]
    why: str


AGES = {
    "openapi v3": Age((1, 24), "kubectl falls back to /openapi/v2"),
    "aggregated discovery": Age((1, 30), "the legacy documents are served whatever is asked for"),
    "policy/v1": Age((1, 21), "disruption budgets are served as policy/v1beta1 alone"),
    "self-subject reviews": Age((1, 28), "404: who one is cannot be asked"),
    "field validation": Age((1, 25), "the parameter is ignored: unknown fields are dropped in silence"),
    "newer fields": Age((1, 24), "fields of later releases, here a pod's `os`, are dropped in silence"),
    "subresource in managedFields": Age((1, 22), "status writes have an entry without `subresource`"),
    "spec apart from status": Age((1, 22), "an apply to /status owns what it says of the spec"),
    "initial events": Age((1, 32), "a watch with sendInitialEvents and resourceVersionMatch is refused"),
    "name label of namespaces": Age((1, 21), "namespaces have no label kubernetes.io/metadata.name"),
    "paths through lists": Age(SUPPORTED, "causes name spec.parts.name, not spec.parts[0].name"),
    "list types beside int-or-string": Age(
        SUPPORTED, "one int-or-string field makes every list of its kind atomic to an apply"
    ),
}


def able(version: tuple[int, int], feature: str) -> bool:
    return version >= AGES[feature].since
