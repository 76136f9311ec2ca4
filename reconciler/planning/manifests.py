"""What all objects we write have in common: names, marks and fingerprints."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ..model import names
from ..model.catalogues import Catalogues
from ..model.names import ObjectKey, WorkspaceId
from ..model.settings import Engine, ImageSettings, Tenant
from ..model.workspace import Workspace
from ..model.world import DesiredObject, Manifest

_API_VERSIONS = {
    "ConfigMap": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "Job": "batch/v1",
}
_CHILD_LABELS = ("app.kubernetes.io/part-of", "app.kubernetes.io/component", "team", "cost-center")
"""The only labels of a Workspace that reach its children."""


@dataclass(frozen=True, slots=True)
class Context:
    """What resolving needs besides the declarations: the same for all workspaces of a daemon."""

    cluster_id: str
    catalogues: Catalogues
    engine: Engine = "native"
    driver: str = "simulated"
    tenants: tuple[Tenant, ...] = ()
    templates: tuple[tuple[str, str], ...] = ()
    """Default `training_config.yaml` by method."""
    images: ImageSettings = field(default_factory=ImageSettings)


@dataclass(frozen=True)
class Draft:
    """A workspace being resolved. `content` is the fingerprint of everything its user wrote."""

    context: Context
    workspace: Workspace
    config: str
    """Text of the training or inference configuration; empty where there is none."""

    @property
    def id(self) -> WorkspaceId:
        return self.workspace.id

    @property
    def runs_our_image(self) -> bool:
        """Whether our own runtime image does the work, not Kaito's or one that the workspace brings."""
        choice = self.workspace.preset
        brought = choice.preset_options.image if choice else ""
        return bool(choice and self.context.images.repository and not brought)

    @cached_property
    def content(self) -> str:
        raw = self.workspace.raw
        own = {k: v for k, v in self.workspace.metadata.annotations.items() if k.startswith("kaito.sh/")}
        said = {k: raw.get(k) for k in ("resource", "inference", "tuning")}
        return names.fingerprint([said, own, self.config])


def child(
    draft: Draft,
    kind: Literal["ConfigMap", "Service", "Deployment", "StatefulSet", "Job"],
    name: str,
    body: Any,
    content: str = "",
) -> DesiredObject:
    """`body` is the manifest's part after metadata, `content` a spec mark other than the draft's."""
    workspace = draft.workspace
    kept = {k: v for k, v in workspace.metadata.labels.items() if k in _CHILD_LABELS}
    labels = {**kept, names.MANAGED_BY: names.MANAGER, names.WORKSPACE: workspace.metadata.name}
    manifest: Manifest = {
        "apiVersion": _API_VERSIONS[kind],
        "kind": kind,
        "metadata": {"name": name, "namespace": draft.id.namespace, "labels": labels},
        **body,
    }
    return marked(draft, manifest, content or draft.content)


def mirror(draft: Draft, path: str, commit: str) -> DesiredObject:
    """The Workspace object: the document as written, and our marks."""
    raw = {k: v for k, v in draft.workspace.raw.items() if k != "status"}
    metadata = raw["metadata"]
    labels = {**(metadata.get("labels") or {}), names.MANAGED_BY: names.MANAGER}
    manifest = {**raw, "metadata": {**metadata, "labels": labels}}
    content = names.fingerprint([raw, draft.config])
    where = {names.PATH: path, **({names.COMMIT: commit} if commit else {})}
    return marked(draft, manifest, content, where)


def marked(
    draft: Draft, manifest: Manifest, content: str, more: dict[str, str] | None = None
) -> DesiredObject:
    """Adds owner and fingerprints; `more` annotations are not part of the rendering's fingerprint."""
    return owned(manifest, names.owner_mark(draft.context.cluster_id, draft.id), content, more)


def owned(manifest: Manifest, owner: str, content: str, more: dict[str, str] | None = None) -> DesiredObject:
    """The same for an owner's mark."""
    metadata = manifest["metadata"]
    render = _rendering(manifest)
    marks = {
        names.OWNER: owner,
        names.SPEC: content,
        names.RENDER: render,
        **(more or {}),
    }
    annotations = {**(metadata.get("annotations") or {}), **marks}
    full = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    key = ObjectKey(manifest["kind"], metadata["namespace"], metadata["name"])
    return DesiredObject(key, content, render, full)


def _rendering(manifest: Manifest) -> str:
    """Fingerprint of the whole, and of its pod template where it has one: its change restarts pods."""
    template = manifest.get("spec", {}).get("template")
    whole = names.fingerprint(manifest)
    return f"{whole}.{names.fingerprint(template)}" if template else whole
