"""Does the workspace fit what the catalogues know of its preset and its instance type?"""

from collections.abc import Iterator

from . import annotations, names
from .catalogues import Catalogues
from .finding import Finding, finding
from .preset import Preset, Runtime
from .sizing.advice import advice
from .sizing.serving import least_gib
from .sku import Sku
from .suggestion import nearest
from .workspace import Workspace

Findings = Iterator[Finding]

_INSTANCE_TYPE = ("resource", "instanceType")


def problems(
    workspace: Workspace, catalogues: Catalogues, *, byo: bool = False, scales_adapters: bool = False
) -> list[Finding]:
    """All that the catalogues forbid. `byo`: nodes are the user's own, of whatever type.

    `scales_adapters`: what serves them gives an adapter its strength in every runtime.
    """
    found = [
        *_preset(workspace, catalogues),
        *_access(workspace, catalogues),
        *_runtime(workspace, catalogues),
        *([] if scales_adapters else _strengths(workspace, catalogues)),
    ]
    if byo:
        return found
    found += _instance_type(workspace, catalogues)
    if workspace.resource.partition:
        rule = "GPUs can be shared only on nodes you bring yourself"
        found.append(finding(("resource", "partition"), None, rule, "remove the partition"))
    if not workspace.wants(names.BYPASS_RESOURCE_CHECKS):
        found += _short(workspace, catalogues)
    return found


def warnings(workspace: Workspace, catalogues: Catalogues, config: object = None) -> tuple[str, ...]:
    """What works or may work, yet somebody should know. `config`: what its configuration says, as data."""
    sku, preset = catalogues.skus.get(workspace.instance_type), preset_of(workspace, catalogues)
    said = [f"{preset.name}: {preset.deprecated}"] if preset and preset.deprecated else []
    if preset and not preset.known:
        said.append(
            f"{preset.name} is not in the catalogue: nothing is known of its size, or whether it fits"
        )
    if sku and sku.retired:
        said.append(f"{sku.name}: its retirement date is {sku.retired.on}; use {sku.retired.replacement}")
    if sku and preset and preset.tuning and workspace.tuning:
        advised = preset.tuning.advised_gib[workspace.tuning.method]
        if sku.gib_per_gpu < advised:
            said.append(
                f"{workspace.tuning.method} tuning of {preset.name} wants {advised:g} GiB per GPU; "
                f"{sku.name} has {sku.gib_per_gpu:g} GiB and may run out of memory"
            )
    said += _misspelt(workspace)
    if sku and preset:
        said += advice(workspace, preset, runtime(workspace, preset), sku, config)
    if workspace.wants(names.BYPASS_RESOURCE_CHECKS):
        said += [
            f"{f.rule} (let through by {names.BYPASS_RESOURCE_CHECKS})" for f in _short(workspace, catalogues)
        ]
    return tuple(said)


def _misspelt(workspace: Workspace) -> Iterator[str]:
    """A later Kaito may know more annotations than we do, so an unknown one is no mistake by itself."""
    for name in workspace.metadata.annotations:
        if name.partition("/")[0] == names.GROUP and name not in annotations.KAITO:
            near = nearest(name, annotations.KAITO)
            yield f"annotation {name} means nothing{f': did you mean {near}?' if near else ''}"


def preset_of(workspace: Workspace, catalogues: Catalogues) -> Preset | None:
    """What is known of the workspace's preset, by the catalogue or else by the workspace's own word."""
    preset = catalogues.presets.get(workspace.preset_name)
    if preset is None or preset.known:
        return preset
    gib = annotations.weights_gib(workspace.metadata.annotations)
    return preset.sized(gib, least_gib(gib)) if gib is not None else preset


def runtime(workspace: Workspace, preset: Preset) -> Runtime:
    """The runtime asked for by annotation where the preset has it, else the preset's first."""
    runtimes, asked = preset.inference.runtimes, workspace.metadata.annotations.get(names.RUNTIME)
    return runtimes[runtimes.index(asked)] if asked in runtimes else runtimes[0]


def _preset(workspace: Workspace, catalogues: Catalogues) -> Findings:
    name = workspace.preset_name
    if not workspace.preset:
        return
    at = (workspace.kind, "preset", "name")
    preset = catalogues.presets.get(name)
    if not preset:
        yield finding(at, name, "unknown preset", _or_known(catalogues.presets.suggest(name), "preset"))
    elif workspace.tuning and not preset.tuning:
        yield finding(at, name, "this preset cannot be tuned", "choose a preset that supports tuning")


def _access(workspace: Workspace, catalogues: Catalogues) -> Findings:
    """A private-only preset needs `accessMode: private`, as Kaito has it."""
    preset = preset_of(workspace, catalogues)
    choice = workspace.preset
    if preset and choice and preset.access == "private" and choice.access_mode != "private":
        at = (workspace.kind, "preset", "accessMode")
        yield finding(
            at, choice.access_mode, "this preset is private only", "set accessMode to private and an image"
        )
    if preset and choice and preset.auth and not choice.preset_options.model_access_secret:
        where = (workspace.kind, "preset", "presetOptions", "modelAccessSecret")
        remedy = "name a Secret whose key HF_TOKEN holds a Hugging Face token"
        yield finding(where, None, "its weights are given only to those who show a token", remedy)


def _runtime(workspace: Workspace, catalogues: Catalogues) -> Findings:
    """The runtime asked for exists for the preset, and takes adapters on it."""
    preset = preset_of(workspace, catalogues)
    if not preset or not workspace.inference:
        return
    asked = workspace.metadata.annotations.get(names.RUNTIME)
    if asked and asked not in preset.inference.runtimes:
        at = ("metadata", "annotations", names.RUNTIME)
        known = " or ".join(preset.inference.runtimes)
        yield finding(
            at, asked, f"{preset.name} is not served by this runtime", f"use {known}, or leave it out"
        )
    serves = runtime(workspace, preset)
    if workspace.inference.adapters and serves not in preset.lora:
        rule = f"{serves} takes no adapters on {preset.name}"
        yield finding(("inference", "adapters"), None, rule, "remove them, or choose another preset")


def _strengths(workspace: Workspace, catalogues: Catalogues) -> Findings:
    """Kaito's vLLM server refuses an adapter's strength (0.4.5)."""
    preset = preset_of(workspace, catalogues)
    if not preset or not workspace.inference or runtime(workspace, preset) != "vllm":
        return
    for i, adapter in enumerate(workspace.inference.adapters):
        if adapter.strength is not None:
            at = ("inference", "adapters", i, "strength")
            yield finding(at, adapter.strength, "vLLM takes no adapter strength", "remove it")


def _instance_type(workspace: Workspace, catalogues: Catalogues) -> Findings:
    name = workspace.instance_type
    if not name:
        yield finding(_INSTANCE_TYPE, None, "v1beta1 needs an instance type", "add resource.instanceType")
    elif not catalogues.skus.get(name):
        remedy = _or_known(catalogues.skus.suggest(name), "instance type")
        yield finding(_INSTANCE_TYPE, name, "unknown instance type", remedy)


def _short(workspace: Workspace, catalogues: Catalogues) -> Findings:
    """GPUs and their memory suffice for inference by Kaito's three checks; equality is enough.

    Tuning is not held to it: Kaito never checks it, and its own examples tune on 16 GiB.
    """
    preset, sku = preset_of(workspace, catalogues), catalogues.skus.get(workspace.instance_type)
    if not (workspace.inference and preset and sku):
        return
    for rule in shortages(workspace.resource.count, preset, sku):
        remedy = "choose a larger instance type or count, or a smaller preset"
        yield finding(_INSTANCE_TYPE, workspace.instance_type, rule, remedy)


def shortages(count: int, preset: Preset, sku: Sku) -> Iterator[str]:
    """What so many nodes lack by Kaito's three checks."""
    needs = preset.inference.needs
    gpus, total = count * sku.gpus, count * sku.gpu_memory_gib
    nodes, least = f"{count} × {sku.name}", f"{preset.name} needs at least"
    if gpus < needs.gpus:
        yield f"{nodes} has {gpus} GPUs, and {least} {needs.gpus}"
    if sku.gib_per_gpu < needs.per_gpu_gib:
        yield f"{nodes} has {sku.gib_per_gpu:g} GiB per GPU, and {least} {needs.per_gpu_gib:g}"
    if total < needs.total_gib:
        yield f"{nodes} has {total:g} GiB of GPU memory, and {least} {needs.total_gib:g}"


def _or_known(near: str, what: str) -> str:
    return f"did you mean {near}?" if near else f"use one of the {what}s in the catalogue"
