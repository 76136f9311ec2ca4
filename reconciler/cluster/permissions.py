"""What our account may do, by the API server's own word."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .client import Client

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Access(NamedTuple):
    """One verb on one resource; without a namespace everywhere, without a name on all. `plural` holds the
    subresource."""

    verb: str
    group: str
    plural: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        plural, _, subresource = self.plural.partition("/")
        resource = ".".join(filter(None, (plural, self.group))) + (f"/{subresource}" if subresource else "")
        what = f"{self.verb} {resource}" + (f" {self.name}" if self.name else "")
        return what + (f" in {self.namespace}" if self.namespace else "")


async def denied(client: Client, wanted: Iterable[Access]) -> Sequence[Access]:
    """Those that are not allowed. Raises what the server answers."""
    asked = list(wanted)
    allowed = await asyncio.gather(*(_allowed(client, each) for each in asked))
    return [each for each, may in zip(asked, allowed, strict=True) if not may]


async def _allowed(client: Client, access: Access) -> bool:
    plural, _, subresource = access.plural.partition("/")
    attributes = {
        "verb": access.verb,
        "group": access.group,
        "resource": plural,
        "subresource": subresource,
        "namespace": access.namespace,
        "name": access.name,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
    }
    answer = await client.ask(_REVIEWS, review)
    return bool((answer.get("status") or {}).get("allowed"))
