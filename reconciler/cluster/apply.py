"""What surrounds our writes: who holds a name, what the server dropped, whether Workspaces are served."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing, suppress
from typing import Any

from reconciler.errors import Conflict, NotFound, Unavailable
from reconciler.model import names
from reconciler.model.fields import MISSING, differences
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest, Occupant

from .client import Client
from .failures import Gone
from .kinds import KINDS, key_of

CRD = "CustomResourceDefinition"
VERSIONS = ("v1alpha1", "v1beta1")


def dropped_fields(sent: Manifest, returned: Manifest) -> frozenset[str]:
    """Declared fields that the server did not keep, written as `spec.containers[name=x].foo`."""
    return frozenset(found.field for found in differences(sent, returned) if found.live is MISSING)


async def look(client: Client, kind: str, namespace: str) -> dict[ObjectKey, Occupant]:
    """Who holds which name: one list of metadata."""
    found, _ = await client.list(kind, namespace, metadata_only=True)
    return {key_of(item): _occupant(item["metadata"]) for item in found}


async def look_at(client: Client, keys: Iterable[ObjectKey]) -> dict[ObjectKey, Occupant]:
    """Who holds these names: one look at each, where a list would be long and the names are few."""
    wanted = list(keys)
    found = await asyncio.gather(*map(client.get, wanted))
    return {key: _occupant(o["metadata"]) for key, o in zip(wanted, found, strict=True) if o is not None}


def _occupant(metadata: dict[str, Any]) -> Occupant:
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    managers = {str(entry.get("manager", "")) for entry in metadata.get("managedFields") or []}
    carried = {**labels, **annotations}
    return Occupant(
        owner=str(annotations.get(names.OWNER, "")),
        managers=tuple(sorted(managers - {names.MANAGER, ""})),
        marks=tuple(f"{mark}={carried[mark]}" for mark in names.DELIVERY_MARKS if mark in carried),
    )


async def cluster_id(client: Client) -> str:
    """UID of the namespace kube-system: as good as an identity of the cluster can be."""
    found = await client.get(ObjectKey("Namespace", "", "kube-system"))
    if found is None:
        raise Unavailable("the cluster has no namespace kube-system, whose UID is its identity")
    return str(found["metadata"]["uid"])


async def workspace_versions(client: Client) -> list[str]:
    """Versions we know in which Workspaces are served; none where they are not, or not yet."""
    return [version for version in VERSIONS if await _serves(client, version)]


async def _serves(client: Client, version: str) -> bool:
    try:
        resources = await client.get_raw(f"/apis/{names.GROUP}/{version}")
    except NotFound:
        return False
    plural = KINDS["Workspace"].plural
    return any(each.get("name") == plural for each in resources.get("resources") or [])


async def install_crd(client: Client, manifest: Manifest, *, seconds: float = 30.0) -> None:
    """Creates it where there is none; an existing one is left as it is. Returns once it is established."""
    with suppress(Conflict):
        await client.create(manifest)
    name = key_of(manifest).name
    try:
        async with asyncio.timeout(seconds):
            await _established(client, f"metadata.name={name}")
    except TimeoutError:
        raise Unavailable(f"the definition {name} was not established within {seconds:g} s") from None


async def _established(client: Client, fields: str) -> None:
    while True:
        found, version = await client.list(CRD, fields=fields)
        if any(map(_is_established, found)):
            return
        try:
            async with aclosing(client.watch(CRD, fields=fields, resource_version=version)) as events:
                async for _, definition in events:
                    if _is_established(definition):
                        return
        except Gone:
            continue


def _is_established(definition: Manifest) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
