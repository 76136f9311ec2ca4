"""Engine `kaito`: the Workspace object and the ConfigMaps it names; the operator makes the rest.

A ConfigMap goes before the Workspace that names it, because the operator's webhook refuses a Workspace
whose ConfigMap is missing. One that several name is written by the first of them only, and stays while
any still names it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..model import names
from ..model.names import ObjectKey, WorkspaceId
from ..model.plan import DeleteObject, Hold, Step
from ..model.world import DesiredObject, DesiredWorkspace, Manifest
from . import drift, operator
from .case import Case
from .compare import compare
from .manifests import Context, owned

Texts = Mapping[tuple[str, str], Mapping[str, str]]
"""Data of each declared ConfigMap by namespace and name."""


def named_config(manifest: Manifest) -> ObjectKey | None:
    """The ConfigMap that a Workspace names in `tuning.config` or `inference.config`."""
    block = manifest.get("tuning") or manifest.get("inference") or {}
    name = block.get("config") if isinstance(block, dict) else None
    return ObjectKey("ConfigMap", manifest["metadata"].get("namespace", ""), str(name)) if name else None


def configured(
    workspaces: Mapping[WorkspaceId, DesiredWorkspace], texts: Texts, context: Context
) -> Mapping[WorkspaceId, DesiredWorkspace]:
    """Fills in `config`. What a tenant may not have owns nothing."""
    if context.engine != "kaito":
        return workspaces
    users: dict[ObjectKey, list[WorkspaceId]] = {}
    for id in sorted(workspaces):
        key = named_config(workspaces[id].mirror.manifest)
        if key is not None and not workspaces[id].refused:
            users.setdefault(key, []).append(id)
    found = dict(workspaces)
    for key, ids in users.items():
        wanted = _config(key, texts[key.namespace, key.name], ids[0], context)
        for id in ids:
            found[id] = replace(found[id], config=(wanted,))
    return found


def _config(key: ObjectKey, data: Mapping[str, str], owner: WorkspaceId, context: Context) -> DesiredObject:
    metadata = {
        "name": key.name,
        "namespace": key.namespace,
        "labels": {names.MANAGED_BY: names.MANAGER},
    }
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}
    mark = names.owner_mark(context.cluster_id, owner)
    return owned(manifest, mark, names.fingerprint([dict(data), mark]))


# --- the life of it --------------------------------------------------------------------------------


def deliver(case: Case) -> Iterator[Step | Hold]:
    for wanted in case.want.config:
        found = list(_configuration(case, wanted))
        yield from found
        if wanted.key not in case.seen.objects and any(isinstance(f, Hold) for f in found):
            return
    yield from compare(case, case.want.mirror, case.seen.mirror)
    yield from _unused(case)
    yield from operator.report(case)


def _configuration(case: Case, wanted: DesiredObject) -> Iterator[Step | Hold]:
    live = case.seen.objects.get(wanted.key)
    owner = wanted.manifest["metadata"]["annotations"][names.OWNER]
    if owner == names.owner_mark(case.policy.cluster_id, case.id):
        yield from compare(case, wanted, live)
    elif live is None or drift.changes(wanted, live):
        first = names.owner_of(owner, case.policy.cluster_id)
        yield case.wait("WaitingForConfig", f"{wanted.key} is written with workspace {first}")


def _unused(case: Case) -> Iterator[Step]:
    for key in sorted(case.seen.objects.keys() - {w.key for w in case.want.config}):
        live = case.seen.objects[key]
        if not live.deleting and not case.world.config_users.get(key):
            yield Step(case.id, DeleteObject(key, live.uid), "no workspace names it any more", "prune")
