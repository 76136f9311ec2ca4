"""What the daemon says of manifests: read, resolved and judged by its own code, against what ships."""

from typing import Any

import yaml

from reconciler.cli import offline
from reconciler.cli.specs import problems_of
from reconciler.model.declared import Declarations
from reconciler.model.workspace import Problem
from reconciler.planning.resolve import resolve
from reconciler.sources import specs

CONTEXT = offline.context(None)
A100, A100X2, A100X4 = (f"Standard_NC{n}ads_A100_v4" for n in (24, 48, 96))
H100X2 = "Standard_NC80adis_H100_v5"
A10 = "Standard_NV36ads_A10_v5"
V100, V100X2 = "Standard_NC6s_v3", "Standard_NC12s_v3"
BOTH = ("kaito.sh/v1alpha1", "kaito.sh/v1beta1")
Manifest = dict[str, Any]


def problems(*manifests: Manifest | str) -> list[Problem]:
    """Every problem of a file that holds these."""
    texts = (m if isinstance(m, str) else yaml.safe_dump(m, sort_keys=False) for m in manifests)
    parsed = specs.parse("file.yaml", "---\n".join(texts).encode(), "ai")
    return problems_of(resolve(Declarations("r", {"file.yaml": parsed}, {}, {}), CONTEXT))


def said(*manifests: Manifest | str) -> list[str]:
    """The same as `field 'value': rule; remedy`."""
    return [str(problem).partition(": ")[2] for problem in problems(*manifests)]


def serving(
    preset: str, machine: str = A100, *, name: str = "workspace-x", version=BOTH[0], **more
) -> Manifest:
    """`more` are fields of `inference`, beside `count`, `annotations` and the preset's own `options`."""
    resource: Manifest = {"instanceType": machine, "labelSelector": {"matchLabels": {"apps": "x"}}}
    if (count := more.pop("count", None)) is not None:
        resource["count"] = count
    metadata: Manifest = {"name": name}
    if annotations := more.pop("annotations", None):
        metadata["annotations"] = annotations
    chosen = {"name": preset, **more.pop("options", {})}
    inference = more if not preset else {"preset": chosen, **more}
    head = {"apiVersion": version, "kind": "Workspace", "metadata": metadata}
    return {**head, "resource": resource, "inference": inference}


def tuning(preset: str = "phi-3-mini-128k-instruct", machine: str = A100, **more) -> Manifest:
    """`more` are fields of `tuning`; None leaves one out."""
    block = {
        "preset": {"name": preset},
        "method": "qlora",
        "input": {"urls": ["https://data.example.com/train.parquet"]},
        "output": {"image": "registry.example.com/adapters/a:1", "imagePushSecret": "push"},
        **more,
    }
    resource: Manifest = {"instanceType": machine, "labelSelector": {"matchLabels": {"app": "x"}}}
    if (count := block.pop("count", None)) is not None:
        resource["count"] = count
    head = {"apiVersion": BOTH[0], "kind": "Workspace", "metadata": {"name": "workspace-tuning"}}
    return {**head, "resource": resource, "tuning": {k: v for k, v in block.items() if v is not None}}


def private(image: str = "registry.example.com/llama:1") -> Manifest:
    return {"options": {"accessMode": "private", "presetOptions": {"image": image}}}


def token(secret: str = "hf-token") -> Manifest:
    return {"options": {"presetOptions": {"modelAccessSecret": secret}}}


def adapter(image: str = "registry.example.com/a:1", name: str = "adapter", **more) -> Manifest:
    return {"source": {"name": name, "image": image}, **more}


def config(name: str, text: str, key: str = "inference_config.yaml") -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {key: text}}


def template(*containers: Manifest) -> Manifest:
    return {"template": {"spec": {"containers": list(containers)}}}
