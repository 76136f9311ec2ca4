"""One row for each rule: what a broken manifest is told."""

from typing import NamedTuple

import pytest
from manifests import (
    ADAPTER,
    ADAPTER_IMAGE,
    CONFIG,
    INFERENCE,
    NAME,
    OUTPUT,
    PRESET,
    SELECTOR,
    SKU,
    TUNING,
    URL,
    parse,
)


class Row(NamedTuple):
    """`old` in a valid manifest becomes `new`; the line marked `# here` breaks the rule."""

    base: str
    old: str
    new: str
    field: str
    rule: str
    remedy: str = ""


def annotated(text: str) -> str:
    return f"{NAME}  annotations:\n    {text} # here\n"


RULES = {
    "a name is a DNS label": Row(INFERENCE, NAME, "name: Phi.3 # here\n", "metadata.name", "63 lower-case"),
    "a name is text": Row(INFERENCE, NAME, "name: 3 # here\n", "metadata.name", "must be text", "quotes"),
    "a namespace is a DNS label": Row(
        INFERENCE, NAME, NAME + "  namespace: Team_A # here\n", "metadata.namespace", "lower-case"
    ),
    "a generated name is refused": Row(
        INFERENCE,
        NAME,
        NAME + "  generateName: x- # here\n",
        "metadata.generateName",
        "unknown",
        "fixed name",
    ),
    "what the cluster writes is refused": Row(
        INFERENCE, NAME, NAME + "  uid: abc # here\n", "metadata.uid", "unknown field", "the cluster writes"
    ),
    "a label's value is short": Row(
        INFERENCE,
        NAME,
        f"{NAME}  labels:\n    team: {'x' * 64} # here\n",
        "metadata.labels.team",
        "at most 63",
    ),
    "a label's key is a name": Row(
        INFERENCE, NAME, f"{NAME}  labels:\n    a/b/c: x # here\n", "metadata.labels[a/b/c]", "DNS prefix"
    ),
    "an unknown version is refused": Row(
        INFERENCE, "apiVersion: kaito.sh/v1alpha1", "apiVersion: kaito.sh/v2 # here", "apiVersion", "v1beta1"
    ),
    "a misspelt group is refused": Row(
        INFERENCE,
        "apiVersion: kaito.sh/v1alpha1",
        "apiVersion: kaitos.h/v1alpha1 # here",
        "apiVersion",
        "group",
    ),
    "a misspelt kind is refused": Row(
        INFERENCE, "kind: Workspace", "kind: WorkSpaces # here", "kind", "unknown kind", "Workspace?"
    ),
    "inference and tuning exclude each other": Row(
        INFERENCE + TUNING[TUNING.index("tuning:") :],
        "tuning:",
        "tuning: # here",
        "tuning",
        "either inference or tuning",
    ),
    "inference or tuning is required": Row(
        INFERENCE[: INFERENCE.index("inference:")],
        "apiVersion",
        "# here\napiVersion",
        "",
        "needs inference or tuning",
    ),
    "preset or template is required": Row(
        INFERENCE,
        "inference:\n" + PRESET,
        "inference: # here\n  config: x\n",
        "inference",
        "preset or template",
    ),
    "preset and template exclude each other": Row(
        INFERENCE,
        PRESET,
        f"{PRESET}  template: # here\n    spec: {{containers: [{{name: x}}]}}\n",
        "inference.template",
        "exclude",
    ),
    "a template has containers": Row(
        INFERENCE,
        PRESET,
        "  template:\n    spec: {} # here\n",
        "inference.template.spec.containers",
        "containers",
    ),
    "count is at least one": Row(INFERENCE, SKU, f"{SKU}  count: 0 # here\n", "resource.count", "at least 1"),
    "count is a number": Row(INFERENCE, SKU, f'{SKU}  count: "1" # here\n', "resource.count", "whole number"),
    "count is no truth value": Row(
        INFERENCE, SKU, f"{SKU}  count: true # here\n", "resource.count", "whole number"
    ),
    "tuning runs on one node": Row(TUNING, SKU, f"{SKU}  count: 2 # here\n", "resource.count", "one node"),
    "a selector is required": Row(
        INFERENCE,
        "resource:\n" + SKU + "  labelSelector:\n" + SELECTOR,
        "resource: # here\n" + SKU,
        "resource.labelSelector",
        "required",
    ),
    "a selector has no other operator than In": Row(
        INFERENCE,
        SELECTOR,
        "    matchExpressions:\n      - key: a\n        operator: NotIn # here\n        values: [b]\n",
        "resource.labelSelector.matchExpressions[0].operator",
        "In",
    ),
    "a selector's expression has one value": Row(
        INFERENCE,
        SELECTOR,
        "    matchExpressions:\n      - key: a\n        operator: In\n        values: [b, c] # here\n",
        "resource.labelSelector.matchExpressions[0].values",
        "exactly one value",
    ),
    "a selector's label is none of Kaito's": Row(
        INFERENCE,
        "apps: phi-3",
        "kaito.sh/workspace: other # here",
        "resource.labelSelector.matchLabels[kaito.sh/workspace]",
        "set by the system",
    ),
    "a selector's expression is on none of Kaito's labels": Row(
        INFERENCE,
        "  labelSelector:\n" + SELECTOR,
        "  labelSelector: # here\n    matchExpressions:\n"
        "      - {key: kaito.sh/workspacenamespace, operator: In, values: [b]}\n",
        "resource.labelSelector",
        "set by the system",
    ),
    "a selector's value is a label value": Row(
        INFERENCE, "apps: phi-3", "apps: a b # here", "resource.labelSelector.matchLabels.apps", "at most 63"
    ),
    "the method is lora or qlora": Row(
        TUNING, "method: qlora", "method: full # here", "tuning.method", "'lora' or"
    ),
    "a private preset brings its image": Row(
        INFERENCE,
        PRESET,
        "  preset: # here\n    name: llama\n    accessMode: private\n",
        "inference.preset.presetOptions.image",
        "private preset",
    ),
    "an access mode is public or private": Row(
        INFERENCE,
        PRESET,
        PRESET + "    accessMode: secret # here\n",
        "inference.preset.accessMode",
        "'public' or",
    ),
    "a preset's image is a reference": Row(
        INFERENCE,
        PRESET,
        PRESET + "    presetOptions:\n      image: a//b # here\n",
        "inference.preset.presetOptions.image",
        "repository name",
    ),
    "a pull secret has an object's name": Row(
        INFERENCE,
        PRESET,
        PRESET + "    presetOptions:\n      imagePullSecrets:\n        - a_b # here\n",
        "inference.preset.presetOptions.imagePullSecrets[0]",
        "lower-case",
    ),
    "an access secret has an object's name": Row(
        INFERENCE,
        PRESET,
        PRESET + "    presetOptions:\n      modelAccessSecret: <HF_SECRET> # here\n",
        "inference.preset.presetOptions.modelAccessSecret",
        "lower-case",
        "placeholder",
    ),
    "a config has an object's name": Row(
        TUNING, "method: qlora", "method: qlora\n  config: My Config # here", "tuning.config", "lower-case"
    ),
    "an adapter has a source": Row(
        ADAPTER[: ADAPTER.index("    - source")] + '    - strength: "1.0"\n',
        "    - strength",
        "    # here is none\n    - strength",
        "inference.adapters[0].source",
        "required",
    ),
    "an adapter has a name": Row(
        ADAPTER,
        '    - source:\n        name: "phi-3-adapter"\n',
        "    - source: # here\n",
        "inference.adapters[0].source.name",
        "needs a name",
    ),
    "an adapter's name is an object's name": Row(
        ADAPTER, '"phi-3-adapter"', "Phi_3 # here", "inference.adapters[0].source.name", "lower-case"
    ),
    "an adapter has an image": Row(
        ADAPTER,
        '    - source:\n        name: "phi-3-adapter"\n        ' + ADAPTER_IMAGE,
        '    - source: # here\n        name: "phi-3-adapter"',
        "inference.adapters[0].source",
        "image or a volumeSource",
    ),
    "an adapter has no URLs": Row(
        ADAPTER,
        ADAPTER_IMAGE,
        "urls: ['https://x.y/z'] # here",
        "inference.adapters[0].source.urls",
        "no URLs",
    ),
    "a strength is at most one": Row(
        ADAPTER, '"1.0"', '"1.5" # here', "inference.adapters[0].strength", "from 0 to 1"
    ),
    "a strength is a number": Row(
        ADAPTER, '"1.0"', '"nan" # here', "inference.adapters[0].strength", "from 0 to 1"
    ),
    "a strength is text": Row(
        ADAPTER, '"1.0"', "1.0 # here", "inference.adapters[0].strength", "text", "quotes"
    ),
    "volume is spelt volumeSource": Row(
        ADAPTER,
        ADAPTER_IMAGE,
        "volume: {} # here",
        "inference.adapters[0].source.volume",
        "unknown field",
        "volumeSource?",
    ),
    "an input has a source": Row(
        TUNING,
        "  input:\n    urls:\n" + URL,
        "  input: # here\n    name: data\n",
        "tuning.input",
        "exactly one",
    ),
    "an input has one source": Row(
        TUNING, "  input:\n", "  input: # here\n    image: a.io/b:1\n", "tuning.input", "exactly one"
    ),
    "an input is read by http": Row(
        TUNING, URL, "      - s3://bucket/data # here\n", "tuning.input.urls[0]", "http or https"
    ),
    "an input's URL has no spaces": Row(
        TUNING, URL, "      - https://a.b/c d # here\n", "tuning.input.urls[0]", "without spaces"
    ),
    "an input's URL has no password": Row(
        TUNING, URL, "      - https://me:pw@a.b/c # here\n", "tuning.input.urls[0]", "password"
    ),
    "an input's image is a reference": Row(
        TUNING, "    urls:\n" + URL, "    image: a.io/B:1 # here\n", "tuning.input.image", "lower case"
    ),
    "an output has a destination": Row(
        TUNING, "  output:\n" + OUTPUT, "  output: {} # here\n", "tuning.output", "exactly one"
    ),
    "pushing an image takes a secret": Row(
        TUNING,
        "  output:\n" + OUTPUT,
        "  output: {image: a.io/b} # here\n",
        "tuning.output.imagePushSecret",
        "needs",
    ),
    "an output is required": Row(
        TUNING.replace("  output:\n" + OUTPUT, ""), "tuning:", "tuning: # here", "tuning.output", "required"
    ),
    "a partition is not for tuning": Row(
        TUNING, SKU, "  partition: {mode: mig, profile: 1g.10gb} # here\n", "resource.partition", "whole GPUs"
    ),
    "a MIG partition has a profile": Row(
        INFERENCE, SKU, "  partition: {mode: mig} # here\n", "resource.partition", "profile"
    ),
    "an accelerator partition has a count": Row(
        INFERENCE, SKU, "  partition: {mode: accelerator} # here\n", "resource.partition", "count"
    ),
    "a size that is none": Row(
        INFERENCE,
        NAME,
        annotated('reconciler.dev/weights-gib: "big"'),
        "metadata.annotations[reconciler.dev/weights-gib]",
        "it must be a number of GiB above 0 and below 10000",
        'write the size of its safetensors files, as in "14.9"',
    ),
    "a suspension begins with a time": Row(
        INFERENCE,
        NAME,
        annotated('reconciler.dev/suspend: "tomorrow ann holiday"'),
        "metadata.annotations[reconciler.dev/suspend]",
        "RFC 3339",
    ),
    "a suspension says why": Row(
        INFERENCE,
        NAME,
        annotated('reconciler.dev/suspend: "2026-01-31T18:00:00Z ann"'),
        "metadata.annotations[reconciler.dev/suspend]",
        "who suspends and why",
    ),
    "protect is true or false": Row(
        INFERENCE,
        NAME,
        annotated('reconciler.dev/protect: "yes"'),
        "metadata.annotations[reconciler.dev/protect]",
        "true or false",
    ),
    "an annotation is text": Row(
        INFERENCE,
        NAME,
        annotated("reconciler.dev/protect: true"),
        "metadata.annotations[reconciler.dev/protect]",
        "must be text",
        "quotes",
    ),
    "on-immutable-change is replace or hold": Row(
        INFERENCE,
        NAME,
        annotated("reconciler.dev/on-immutable-change: recreate"),
        "metadata.annotations[reconciler.dev/on-immutable-change]",
        "replace or hold",
    ),
    "drift is correct or report": Row(
        INFERENCE,
        NAME,
        annotated("reconciler.dev/drift: ignore"),
        "metadata.annotations[reconciler.dev/drift]",
        "correct or report",
    ),
    "a misspelt annotation of ours is refused": Row(
        INFERENCE,
        NAME,
        annotated('reconciler.dev/protected: "true"'),
        "metadata.annotations[reconciler.dev/protected]",
        "unknown annotation",
        "reconciler.dev/protect?",
    ),
    "an annotation the daemon writes is refused": Row(
        INFERENCE,
        NAME,
        annotated("reconciler.dev/owner: x"),
        "metadata.annotations[reconciler.dev/owner]",
        "daemon writes",
    ),
    "an unknown runtime is refused": Row(
        INFERENCE, NAME, annotated("kaito.sh/runtime: vlm"), "metadata.annotations[kaito.sh/runtime]", "vllm"
    ),
    "a spec wrapper is refused": Row(
        "apiVersion: kaito.sh/v1alpha1\nkind: Workspace\nmetadata:\n  name: x\nspec: {}\n",
        "spec: {}",
        "spec: {} # here",
        "spec",
        "unknown field",
        "has no spec",
    ),
    "a status is refused": Row(
        INFERENCE,
        "apiVersion",
        "status: {} # here\napiVersion",
        "status",
        "unknown field",
        "the daemon writes",
    ),
    "a misspelt field gets a suggestion": Row(
        INFERENCE, "instanceType", "instancetype", "resource.instancetype", "unknown field", "instanceType?"
    ),
    "a field in the wrong case style gets a suggestion": Row(
        INFERENCE, "instanceType", "instance_type", "resource.instance_type", "unknown field", "instanceType?"
    ),
    "a list is a list": Row(
        TUNING,
        "    urls:\n" + URL,
        "    urls: https://a.b # here\n",
        "tuning.input.urls",
        "must be a list",
        "'- '",
    ),
    "a block is a mapping": Row(
        INFERENCE, PRESET, "  preset: phi-3 # here\n", "inference.preset", "must be a mapping"
    ),
    "a plain Secret is refused": Row(
        "apiVersion: v1\nkind: Secret # here\nmetadata: {name: x}\n",
        "Secret",
        "Secret",
        "kind",
        "do not belong in Git",
    ),
    "a list of manifests is refused": Row(
        "apiVersion: v1\nkind: List # here\nitems: []\n",
        "List",
        "List",
        "kind",
        "not taken",
        "separated by ---",
    ),
    "a manifest has a kind": Row(
        "# here\na: 1\napiVersion: v1\n", "a", "a", "kind", "needs this", "watched paths"
    ),
    "a document is a mapping": Row("- a # here\n", "a", "a", "", "must be a mapping"),
    "a ConfigMap's data are text": Row(CONFIG, "'a: 1'", "1", "data[training_config.yaml]", "must be text"),
    "a ConfigMap has an object's name": Row(CONFIG, "settings", "a_b", "metadata.name", "lower-case"),
}


@pytest.mark.parametrize("row", RULES.values(), ids=RULES.keys())
def test_a_broken_rule_is_named_with_field_line_and_remedy(row):
    assert row.old in row.base
    text = row.base.replace(row.old, row.new)
    marked = [i for i, line in enumerate(text.splitlines(), 1) if "# here" in line]
    (problem,) = parse(text).problems
    assert problem.field == row.field
    assert row.rule in problem.rule
    assert row.remedy in problem.remedy and problem.remedy
    assert not marked or problem.line - marked[0] in (0, 1)
    assert problem.path == "team/x.yaml"
