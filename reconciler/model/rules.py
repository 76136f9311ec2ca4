"""The rules a Workspace must keep beyond its shape, one small check each.

`faults` needs the document alone; `problems` and `warnings` also need the catalogues. Every check
yields its findings, so that one look at a file shows all that is wrong with it. The rules are those
of Kaito's create validation and hold here for every commit; Kaito checks less on an update.
"""

import math
from collections.abc import Callable, Iterable, Iterator

from . import annotations, grammar, names, pods
from .finding import Finding, Path, finding
from .fit import problems, warnings
from .suggestion import nearest
from .workspace import Adapter, DataSource, PresetChoice, Workspace

__all__ = ["CHECKS", "Finding", "faults", "problems", "warnings"]

MAX_ADAPTERS = 10

Findings = Iterator[Finding]
Check = Callable[[Workspace], Findings]

_DAEMONS_OWN = (names.OWNER, names.SPEC, names.RENDER, names.COMMIT, names.PATH, names.POOL)
_RESERVED_PREFIXES = ("kaito.sh/workspace", "kaito.sh/ragengine", "karpenter.kaito.sh/", names.PREFIX)


def faults(workspace: Workspace) -> list[Finding]:
    """All that is wrong with a workspace whatever the catalogues say."""
    return [found for check in CHECKS for found in check(workspace)]


def name_is_label(workspace: Workspace) -> Findings:
    """`metadata.name` is a DNS-1123 label (Kaito 0.4.5), and so is the namespace (Kubernetes)."""
    for field, value in (("name", workspace.metadata.name), ("namespace", workspace.metadata.namespace)):
        yield from _match(grammar.label_fault, ("metadata", field), value, "choose such a name")


def one_kind(workspace: Workspace) -> Findings:
    """Exactly one of `inference` and `tuning`."""
    if workspace.inference and workspace.tuning:
        yield finding(("tuning",), None, "a workspace has either inference or tuning", "keep one of the two")
    if not workspace.inference and not workspace.tuning:
        yield finding((), None, "a workspace needs inference or tuning", "add one of the two blocks")


def preset_or_template(workspace: Workspace) -> Findings:
    """Exactly one of `inference.preset` and `inference.template`; a template can be started."""
    block = workspace.inference
    if not block:
        return
    if block.preset and block.template is not None:
        yield finding(
            ("inference", "template"), None, "preset and template exclude each other", "keep one of them"
        )
    elif not block.preset and block.template is None:
        yield finding(
            ("inference",), None, "preset or template is required", "name a preset, or give a pod template"
        )
    elif block.template is not None:
        yield from pods.template(("inference", "template"), block.template)


def counts(workspace: Workspace) -> Findings:
    """`resource.count` is at least 1, and 1 for tuning: Kaito tunes on one node."""
    count = workspace.resource.count
    if count < 1:
        yield finding(("resource", "count"), count, "count must be at least 1", "delete the file to stop it")
    elif count > 1 and workspace.tuning:
        yield finding(
            ("resource", "count"), count, "tuning runs on one node", "set count to 1, or leave it out"
        )


def selector_is_map(workspace: Workspace) -> Findings:
    """The selector converts to plain labels: expressions are `In` with exactly one value."""
    for i, expression in enumerate(workspace.resource.label_selector.match_expressions):
        at = ("resource", "labelSelector", "matchExpressions", i)
        if expression.operator != "In":
            rule = "the only operator allowed is In"
            yield finding((*at, "operator"), expression.operator, rule, "use matchLabels")
        elif len(expression.values) != 1:
            yield finding((*at, "values"), None, "In must have exactly one value", "use matchLabels")


def selector_labels(workspace: Workspace) -> Findings:
    """Selector labels are valid labels of nodes and none that Kaito or we set ourselves."""
    selector = workspace.resource.label_selector
    at: Path = ("resource", "labelSelector", "matchLabels")
    for key, value in selector.match_labels.items():
        yield from _label((*at, key), key, value)
    for key in selector.labels:
        if key.startswith(_RESERVED_PREFIXES):
            where = (*at, key) if key in selector.match_labels else at[:2]
            yield finding(
                where, key, "this label is set by the system and must not be selected", "use another label"
            )


def metadata_labels(workspace: Workspace) -> Findings:
    """`metadata.labels` and the keys of `metadata.annotations` are what Kubernetes accepts."""
    for key, value in workspace.metadata.labels.items():
        yield from _label(("metadata", "labels", key), key, value)
    for key in workspace.metadata.annotations:
        yield from _match(grammar.key_fault, ("metadata", "annotations", key), key, "rename the annotation")


def annotation_values(workspace: Workspace) -> Findings:
    """Annotations with a meaning here have one of their values: a typo must not be silent."""
    for key, value in workspace.metadata.annotations.items():
        at = ("metadata", "annotations", key)
        choices = annotations.CHOICES.get(key)
        if choices and value not in choices:
            yield finding(at, value, f"it must be {' or '.join(choices)}", "use one of these values")
    said = workspace.metadata.annotations.get(names.WEIGHTS_GIB)
    if said is not None and (fault := annotations.weights_fault(said)):
        at = ("metadata", "annotations", names.WEIGHTS_GIB)
        yield finding(at, said, fault, 'write the size of its safetensors files, as in "14.9"')
    said = workspace.metadata.annotations.get(names.SUSPEND)
    if said is not None and (fault := annotations.suspension_fault(said)):
        remedy = 'write "<until> <who> <why>", as in "2026-01-31T18:00:00Z ann moving the cluster"'
        yield finding(("metadata", "annotations", names.SUSPEND), said, fault, remedy)


def annotation_names(workspace: Workspace) -> Findings:
    """Annotations under our prefix are known, and not ones that the daemon writes itself."""
    known = (
        names.SUSPEND,
        names.WEIGHTS_GIB,
        *(k for k in annotations.CHOICES if k.startswith(names.PREFIX)),
    )
    for key in workspace.metadata.annotations:
        if not key.startswith(names.PREFIX) or key in known:
            continue
        at = ("metadata", "annotations", key)
        if key in _DAEMONS_OWN:
            yield finding(at, None, "the daemon writes this annotation itself", "remove it from the file")
        else:
            near = nearest(key, known)
            yield finding(at, None, "unknown annotation", f"did you mean {near}?" if near else "remove it")


def preset_image(workspace: Workspace) -> Findings:
    """A private preset brings its image; the image and the secrets' names are well-formed."""
    choice = workspace.preset
    if not choice:
        return
    at = ("tuning" if workspace.tuning else "inference", "preset", "presetOptions")
    if choice.access_mode == "private" and not choice.preset_options.image:
        yield finding((*at, "image"), None, "a private preset needs an image", "add presetOptions.image")
    yield from _preset_options(at, choice)


def _preset_options(at: Path, choice: PresetChoice) -> Findings:
    options = choice.preset_options
    yield from _image((*at, "image"), options.image)
    yield from _secrets((*at, "imagePullSecrets"), options.image_pull_secrets)
    yield from _object_name((*at, "modelAccessSecret"), options.model_access_secret)


def config_name(workspace: Workspace) -> Findings:
    """`config` is the name of a ConfigMap."""
    for kind, block in (("inference", workspace.inference), ("tuning", workspace.tuning)):
        if block:
            yield from _object_name((kind, "config"), block.config)


def adapter_list(workspace: Workspace) -> Findings:
    """At most 10 adapters, no name twice."""
    adapters = workspace.inference.adapters if workspace.inference else ()
    if len(adapters) > MAX_ADAPTERS:
        rule = f"there must be at most {MAX_ADAPTERS} adapters"
        yield finding(("inference", "adapters"), len(adapters), rule, "remove some")
    seen: set[str] = set()
    for i, adapter in enumerate(adapters):
        name = adapter.source.name
        if name and name in seen:
            at = ("inference", "adapters", i, "source", "name")
            yield finding(at, name, "two adapters have this name", "give each adapter its own name")
        seen.add(name)


def adapter_content(workspace: Workspace) -> Findings:
    """Each adapter has a name, an image or a volume, and a strength from 0 to 1.

    Kaito checks this on update only; here it holds from the first commit.
    """
    for i, adapter in enumerate(workspace.inference.adapters if workspace.inference else ()):
        yield from _adapter(("inference", "adapters", i), adapter)


def _adapter(at: Path, adapter: Adapter) -> Findings:
    source = adapter.source
    if source.name:
        yield from _object_name((*at, "source", "name"), source.name)
    else:
        yield finding((*at, "source", "name"), None, "an adapter needs a name", "add source.name")
    if source.urls:
        yield finding(
            (*at, "source", "urls"), None, "an adapter has no URLs", "give an image or a volumeSource"
        )
    elif len(source.said) != 1:
        rule = "an adapter needs either an image or a volumeSource"
        yield finding((*at, "source"), None, rule, "give exactly one of them")
    yield from _source(at, source)
    yield from _strength((*at, "strength"), adapter)


def _strength(at: Path, adapter: Adapter) -> Findings:
    try:
        weight = adapter.weight
    except ValueError:
        weight = math.nan
    if not 0 <= weight <= 1:
        rule = "strength must be a number from 0 to 1"
        yield finding(at, adapter.strength, rule, 'write it as text, as in "0.5"')


def tuning_input(workspace: Workspace) -> Findings:
    """Exactly one of `urls`, `volumeSource` and `image`; URLs are http or https."""
    if not workspace.tuning:
        return
    source = workspace.tuning.input
    if len(source.said) != 1:
        rule = "exactly one of urls, volumeSource and image is required"
        yield finding(("tuning", "input"), None, rule, "give one of them")
    for i, url in enumerate(source.urls):
        at = ("tuning", "input", "urls", i)
        if grammar.has_login(url):
            rule = "a URL in Git must not carry a user name or password"
            yield finding(at, None, rule, "remove it, and change that password")
        else:
            yield from _match(grammar.url_fault, at, url, "use an http or https URL")
            yield from _match(grammar.host_fault, at, url, "use a host that the whole network can reach")
    yield from _source(("tuning", "input"), source, key="")


def tuning_output(workspace: Workspace) -> Findings:
    """Exactly one of `volumeSource` and `image`; pushing an image takes an `imagePushSecret`."""
    if not workspace.tuning:
        return
    output = workspace.tuning.output
    at = ("tuning", "output")
    if (output.volume_source is not None) == bool(output.image):
        rule = "exactly one of volumeSource and image is required"
        yield finding(at, None, rule, "give one of them")
    if output.image and not output.image_push_secret:
        rule = "pushing an image needs imagePushSecret"
        yield finding(
            (*at, "imagePushSecret"), None, rule, "name a Secret of type kubernetes.io/dockerconfigjson"
        )
    yield from _image((*at, "image"), output.image)
    yield from _object_name((*at, "imagePushSecret"), output.image_push_secret)
    if output.volume_source is not None:
        yield from pods.volume_source((*at, "volumeSource"), output.volume_source)


def partition(workspace: Workspace) -> Findings:
    """A GPU share is for inference; `mig` takes a profile, `accelerator` a count."""
    share = workspace.resource.partition
    if not share:
        return
    at = ("resource", "partition")
    if workspace.tuning:
        yield finding(at, None, "tuning takes whole GPUs", "remove the partition")
    if share.mode == "mig" and (not share.profile or share.count is not None):
        yield finding(at, None, "mode mig takes a profile and no count", "give a profile such as 1g.10gb")
    if share.mode == "accelerator" and (share.profile or share.count is None):
        yield finding(at, None, "mode accelerator takes a count and no profile", "give a count")


CHECKS: tuple[Check, ...] = (
    name_is_label,
    one_kind,
    preset_or_template,
    counts,
    selector_is_map,
    selector_labels,
    metadata_labels,
    annotation_values,
    annotation_names,
    preset_image,
    config_name,
    adapter_list,
    adapter_content,
    tuning_input,
    tuning_output,
    partition,
)
"""In the order in which their findings are shown."""


def _match(fault_of: Callable[[str], str], at: Path, value: str, remedy: str) -> Findings:
    if fault := fault_of(value):
        yield finding(at, value, fault, remedy)


def _label(at: Path, key: str, value: str) -> Findings:
    yield from _match(grammar.key_fault, at, key, "rename the label")
    yield from _match(grammar.label_value_fault, at, value, "choose such a value")


def _image(at: Path, image: str) -> Findings:
    if image:
        yield from _match(
            grammar.image_fault, at, image, "write it as registry/repository:tag, in lower case"
        )


def _object_name(at: Path, name: str) -> Findings:
    if name:
        yield from _match(grammar.subdomain_fault, at, name, "give the name of an existing object")


def _secrets(at: Path, secrets: Iterable[str]) -> Findings:
    for i, secret in enumerate(secrets):
        yield from _match(grammar.subdomain_fault, (*at, i), secret, "give the name of a Secret")


def _source(at: Path, source: DataSource, key: str = "source") -> Findings:
    where = (*at, key) if key else at
    yield from _image((*where, "image"), source.image)
    yield from _secrets((*where, "imagePullSecrets"), source.image_pull_secrets)
    if source.volume_source is not None:
        yield from pods.volume_source((*where, "volumeSource"), source.volume_source)
