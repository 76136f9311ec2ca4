"""Names on the wire: each has one constant, here."""

import base64
import hashlib
from typing import Any, NamedTuple

import orjson

PREFIX = "reconciler.dev/"

OWNER = PREFIX + "owner"
"""`<cluster id>/<namespace>/<name>`: this object belongs to that workspace of this daemon."""
SPEC = PREFIX + "spec"
RENDER = PREFIX + "render"
COMMIT = PREFIX + "commit"
PATH = PREFIX + "path"
POOL = PREFIX + "pool"
WEIGHTS_GIB = PREFIX + "weights-gib"
SUSPEND = PREFIX + "suspend"
ON_IMMUTABLE_CHANGE = PREFIX + "on-immutable-change"
PROTECT = PREFIX + "protect"
ADOPT = PREFIX + "adopt"
SERVE = PREFIX + "serve"
DRIFT = PREFIX + "drift"

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "reconciler"
"""Value of the managed-by label, and our field manager in server-side apply."""

WORKSPACE = "kaito.sh/workspace"
WORKSPACE_NAMESPACE = "kaito.sh/workspacenamespace"
BYPASS_RESOURCE_CHECKS = "kaito.sh/bypass-resource-checks"
RUNTIME = "kaito.sh/runtime"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"

GROUP = "kaito.sh"
CRD_NAME = "workspaces.kaito.sh"
FOREIGN_FINALIZER = "workspace.finalizer.kaito.sh"
FOREIGN_HASH = "workspace.kaito.io/hash"
DELIVERY_MARKS = (
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/instance",
)
"""Labels or annotations by which Flux and Argo CD mark what they deliver."""

PLAN_LABEL = "reconciler/plan"
"""By which a member has a stranger's pull request planned."""
ACK_LABEL = "reconciler-ack/"
"""Before a fingerprint: the label of a pull request that acknowledges a group."""


def check_context(cluster: str, stage: str) -> str:
    """What a check is called: `reconciler/prod/plan`."""
    return f"reconciler/{cluster}/{stage}"


STATE_CONFIGMAP = "reconciler-state"
LEASE = "reconciler"
ACK_TRAILER = "Reconciler-Ack"
CONDITIONS_ENTRY = "conditions"
"""Entry of the state ConfigMap: what is wrong with the daemon's own surroundings."""
ACK_ENTRY = "ack."
"""Before a fingerprint: the entry of the state ConfigMap by which `reconciler ack` asks."""


class WorkspaceId(NamedTuple):
    """Identity of a workspace: never its path."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "WorkspaceId":
        namespace, _, name = text.partition("/")
        return cls(namespace, name)


class ObjectKey(NamedTuple):
    """A Kubernetes object; `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def owner_mark(cluster_id: str, workspace: WorkspaceId) -> str:
    return f"{cluster_id}/{workspace}"


def owner_of(mark: str, cluster_id: str) -> WorkspaceId | None:
    """The workspace in an owner annotation, or None where the mark is another cluster's or malformed."""
    cluster, _, rest = mark.partition("/")
    namespace, slash, name = rest.partition("/")
    if cluster != cluster_id or not slash or not namespace or not name:
        return None
    return WorkspaceId(namespace, name)


def fingerprint(value: Any) -> str:
    """16 hex digits over canonical JSON: equal content, equal fingerprint, whatever the key order."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def pool_name(cluster_id: str, key: str, generation: int) -> str:
    """`r` and 11 base-32 characters: within AKS's 12 lower-case alphanumerics, starting with a letter."""
    digest = hashlib.sha256(f"{cluster_id}/{key}/{generation}".encode()).digest()
    return "r" + base64.b32encode(digest).decode().lower()[:11]
