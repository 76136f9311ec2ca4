"""Short names for what tests of planning talk about: declarations, and one workspace's surroundings."""

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import yaml

from reconciler.model import names
from reconciler.model.catalogues import Catalogue, Catalogues
from reconciler.model.declared import Declarations, ParsedFile
from reconciler.model.names import ObjectKey, WorkspaceId
from reconciler.model.plan import Hold, Plan, Step
from reconciler.model.policy import Policy
from reconciler.model.sku import Sku
from reconciler.model.world import (
    Desired,
    DesiredObject,
    DesiredWorkspace,
    Footprint,
    Manifest,
    Observed,
    ObservedNode,
    ObservedObject,
    ObservedPod,
    ObservedPool,
    ObservedWorkspace,
)
from reconciler.planning.manifests import Context
from reconciler.planning.resolve import resolve
from reconciler.sources import catalog, specs

CLUSTER_ID = "c1"
NAMESPACE = "ai"
A100, V100, EIGHT = "Standard_NC24ads_A100_v4", "Standard_NC6s_v3", "Standard_ND96asr_v4"
PRICES = {A100: 4.0, V100: 3.0, EIGHT: 27.0}
NOW = 1_800_000_000.0
URL = "https://example.com/data.parquet"
Labels = Mapping[str, str]
NOTHING: Labels = MappingProxyType({})


# --- declarations ----------------------------------------------------------------------------------


def workspace_yaml(
    name: str,
    *,
    namespace: str = "",
    instance_type: str = A100,
    count: int = 1,
    preset: str = "phi-3-mini-4k-instruct",
    labels: Labels = NOTHING,
    annotations: Labels = NOTHING,
    selector: Labels = NOTHING,
    adapters: Labels = NOTHING,
    **more: Any,
) -> str:
    """A serving workspace; `adapters` are images by name, `more` goes into `inference`."""
    listed = [{"source": {"name": n, "image": image}} for n, image in adapters.items()]
    inference = {"preset": {"name": preset}, **({"adapters": listed} if listed else {}), **more}
    resource = {
        "instanceType": instance_type,
        "count": count,
        "labelSelector": {"matchLabels": dict(selector)},
    }
    return _document(name, namespace, (labels, annotations), {"resource": resource, "inference": inference})


def tuning_yaml(
    name: str,
    *,
    namespace: str = "",
    instance_type: str = A100,
    preset: str = "phi-3-mini-4k-instruct",
    method: str = "qlora",
    output: str = "",
    labels: Labels = NOTHING,
    annotations: Labels = NOTHING,
    **more: Any,
) -> str:
    """A tuning workspace that pushes to `output_of(name)`; `more` goes into `tuning`."""
    tuning = {
        "preset": {"name": preset},
        "method": method,
        "input": {"urls": [URL]},
        "output": {"image": output or output_of(name), "imagePushSecret": "push"},
        **more,
    }
    resource = {"instanceType": instance_type, "labelSelector": {"matchLabels": {}}}
    return _document(name, namespace, (labels, annotations), {"resource": resource, "tuning": tuning})


def config_yaml(name: str, text: str, key: str = "training_config.yaml") -> str:
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {key: text}}
    return str(yaml.safe_dump(document))


def qlora_config(epochs: int = 3) -> str:
    """A `training_config.yaml` that says little."""
    arguments = f"  TrainingArguments: {{num_train_epochs: {epochs}}}\n"
    return f"training_config:\n  QuantizationConfig: {{load_in_4bit: true}}\n{arguments}"


def output_of(name: str) -> str:
    return f"registry.example.com/adapters/{name}:1"


def _document(name: str, namespace: str, marks: tuple[Labels, Labels], body: Manifest) -> str:
    labels, annotations = marks
    metadata: Manifest = {"name": name}
    metadata |= {"namespace": namespace} if namespace else {}
    metadata |= {"labels": dict(labels)} if labels else {}
    metadata |= {"annotations": {_long(k): v for k, v in annotations.items()}} if annotations else {}
    document = {"apiVersion": "kaito.sh/v1alpha1", "kind": "Workspace", "metadata": metadata, **body}
    return str(yaml.safe_dump(document, sort_keys=False))


def _long(annotation: str) -> str:
    return annotation if "/" in annotation else names.PREFIX + annotation


@functools.lru_cache(maxsize=10_000)
def parsed(path: str, text: str) -> ParsedFile:
    return specs.parse(path, text.encode(), NAMESPACE)


def declared(
    files: Mapping[str, str],
    *,
    revision: str = "1" * 40,
    remembered: Mapping[str, frozenset[WorkspaceId]] = {},
    commits: Mapping[str, str] = {},
) -> Declarations:
    """A whole tree through the real parser; text by path."""
    found = {path: parsed(path, text) for path, text in files.items()}
    return Declarations(revision, found, commits, remembered)


@functools.cache
def catalogues() -> Catalogues:
    """What ships, and instance types these tests count on."""
    shipped = catalog.load()
    big = Sku(name=EIGHT, gpus=8, gpuMemoryGib=320, vcpus=96)
    others = [s for s in shipped.skus if s.name not in (A100, V100, EIGHT)]
    small = [
        Sku(name=A100, gpus=1, gpuMemoryGib=80, vcpus=24),
        Sku(name=V100, gpus=1, gpuMemoryGib=16, vcpus=6),
    ]
    return Catalogues(shipped.presets, Catalogue.of([*small, big, *others]))


def context(**changes: Any) -> Context:
    templates = (("lora", "training_config: {}\n"), ("qlora", "training_config: {}\n"))
    return replace(Context(CLUSTER_ID, catalogues(), templates=templates), **changes)


def policy(**changes: Any) -> Policy:
    return replace(Policy(CLUSTER_ID, prices=PRICES), **changes)


def desired(*texts: str, where: Context | None = None, **more: Any) -> Desired:
    """Each text in a file of its own, named after its workspace."""
    return resolve(declared({path_of(text): text for text in texts}, **more), where or context())


def path_of(text: str) -> str:
    return f"{yaml.safe_load(text)['metadata']['name']}.yaml"


def wanted(text: str, *others: str, where: Context | None = None) -> DesiredWorkspace:
    """What the first text means."""
    found = desired(text, *others, where=where)
    assert not found.invalid, found.invalid
    return next(w for w in found.workspaces.values() if w.origin.path == path_of(text))


def ws(name: str, namespace: str = NAMESPACE) -> WorkspaceId:
    return WorkspaceId(namespace, name)


# --- observations ----------------------------------------------------------------------------------


def live(want: DesiredObject, *, uid: str = "", **changes: Any) -> ObservedObject:
    """The object as applied; `changes` are dotted paths with `__` for dots."""
    manifest: Manifest = copied(want.manifest)
    for path, value in changes.items():
        place(manifest, path.split("__"), value)
    return ObservedObject(want.key, manifest, "1", uid or f"uid-{want.key.kind}-{want.key.name}")


def serving(want: DesiredObject, **changes: Any) -> ObservedObject:
    """A Deployment all of whose replicas are ready."""
    replicas = want.manifest["spec"]["replicas"]
    status = {"readyReplicas": replicas, "updatedReplicas": replicas, "observedGeneration": 1}
    return live(want, **{"status": status, "metadata__generation": 1, **changes})


def finished(want: DesiredObject, end: str = "Complete", **changes: Any) -> ObservedObject:
    """A Job that ended."""
    return live(want, status={"conditions": [{"type": end, "status": "True"}]}, **changes)


def pool_of(want: DesiredWorkspace, generation: int = 0, **changes: Any) -> ObservedPool:
    assert want.pool is not None
    found = ObservedPool(
        name=names.pool_name(CLUSTER_ID, want.pool.key, generation),
        key=want.pool.key,
        driver=want.pool.driver,
        instance_type=want.pool.instance_type,
        count=want.pool.count,
        gpus_per_node=want.pool.gpus_per_node,
        state="ready",
    )
    return replace(found, **changes)


def nodes_of(pool: ObservedPool, ready: bool = True, gpus: int | None = None) -> tuple[ObservedNode, ...]:
    gpus = pool.gpus_per_node if gpus is None else gpus
    numbered = range(pool.count)
    return tuple(
        ObservedNode(f"{pool.name}-{n}", pool.name, ready, gpus, pool.instance_type) for n in numbered
    )


def mirror_of(want: DesiredWorkspace, pool: str = "", **changes: Any) -> ObservedObject:
    """The Workspace object as we write it, with the pool's name."""
    found = live(want.mirror, **changes)
    if want.pool is not None:
        annotations = found.manifest["metadata"]["annotations"]
        annotations[names.POOL] = pool or names.pool_name(CLUSTER_ID, want.pool.key, 0)
    return found


def everything(want: DesiredWorkspace, **changes: Any) -> ObservedWorkspace:
    """A workspace that does its job, but for `changes`: slots of ObservedWorkspace, or objects by kind."""
    pools = (pool_of(want),) if want.pool is not None else ()
    slots = {k: v for k, v in changes.items() if k in ObservedWorkspace.__slots__}
    kinds = {k: v for k, v in changes.items() if k not in slots}
    objects = {o.key: _done(o) for o in want.objects}
    for key in list(objects):
        if key.kind in kinds:
            found = kinds[key.kind]
            objects.pop(key) if found is None else objects.update({key: found})
    seen = ObservedWorkspace(
        want.id,
        mirror_of(want),
        pools,
        tuple(n for p in pools for n in nodes_of(p)),
        objects,
        (reporting_pod(want),) if want.kind == "tuning" else (),
    )
    return replace(seen, **slots)


def _done(want: DesiredObject) -> ObservedObject:
    match want.key.kind:
        case "Deployment":
            return serving(want)
        case "Job":
            return finished(want)
    return live(want)


def reporting_pod(want: DesiredWorkspace, digest: str = "sha256:" + "a" * 64) -> ObservedPod:
    report = f'{{"artifact": {{"digest": "{digest}"}}}}'
    return ObservedPod(f"{want.id.name}-x", "Succeeded", False, termination_message=report)


def footprint(seen: ObservedWorkspace, **changes: Any) -> Footprint:
    line = Footprint(
        gpus=sum(p.count * p.gpus_per_node for p in seen.pools),
        protected=seen.mirror is not None and seen.mirror.annotation(names.PROTECT) == "true",
        path=seen.mirror.annotation(names.PATH) if seen.mirror else "",
        ready=True,
        nodes=Counter(kind for p in seen.pools for kind in [p.instance_type] * p.count),
    )
    return replace(line, **changes)


def observed(*seen: ObservedWorkspace, **changes: Any) -> Observed:
    """A world of these workspaces, in which every name was looked up."""
    kinds = ("Workspace", "ConfigMap", "Deployment", "Job", "Service")
    world = Observed(
        now=NOW,
        workspaces={s.id: s for s in seen},
        fleet={s.id: footprint(s) for s in seen if s.exists},
        looked=frozenset((kind, s.id.namespace) for s in seen for kind in kinds),
    )
    return replace(world, **changes)


# --- what is said ----------------------------------------------------------------------------------


def summary(said: Plan | list[Step | Hold]) -> list[str]:
    """`CreatePool`, `ApplyObject Deployment`, `hold NodesNotReady`: steps and holds, without their prose."""
    findings = [*said.steps, *said.holds] if isinstance(said, Plan) else said
    return [_brief(f) for f in findings]


def _brief(finding: Step | Hold) -> str:
    if isinstance(finding, Hold):
        return f"hold {finding.reason}"
    action = finding.action
    key: ObjectKey | None = getattr(action, "key", None) or getattr(
        getattr(action, "object", None), "key", None
    )
    verb = type(action).__name__
    return f"{verb} {key.kind}" if key is not None else verb


# --- plain data ------------------------------------------------------------------------------------


def copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: copied(v) for k, v in value.items()}
    return [copied(v) for v in value] if isinstance(value, list) else value


def place(manifest: Manifest, path: list[str], value: Any) -> None:
    """Sets a field below dicts and lists; `0` is a list's first item, value `...` deletes."""
    at: Any = manifest
    for name in path[:-1]:
        at = at[int(name)] if isinstance(at, list) else at.setdefault(name, {})
    if value is ...:
        at.pop(path[-1], None)
    elif isinstance(at, list):
        at[int(path[-1])] = value
    else:
        at[path[-1]] = value
