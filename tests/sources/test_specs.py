"""Whole files, from bytes to declarations or to problems a person can act on."""

from datetime import timedelta

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests import (
    ADAPTER,
    ADAPTER_IMAGE,
    CONFIG,
    INFERENCE,
    NAME,
    PRESET,
    SELECTOR,
    SKU,
    TUNING,
    parse,
    seed,
)

from reconciler.model.names import WorkspaceId
from reconciler.sources import specs

# --- the seeds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [INFERENCE, ADAPTER, TUNING], ids=["inference", "adapter", "tuning"])
def test_a_seed_with_its_placeholders_filled_in_is_accepted(text):
    parsed = parse(text)
    assert parsed.problems == ()
    (declared,) = parsed.declarations
    assert declared.id == WorkspaceId("ai", yaml.safe_load(text)["metadata"]["name"])
    assert declared.line == 1


def test_the_document_is_kept_as_written_with_its_namespace():
    (declared,) = parse(TUNING).declarations
    wanted = yaml.safe_load(TUNING)
    wanted["metadata"]["namespace"] = "ai"
    assert declared.workspace.raw == wanted


def test_placeholders_of_the_seeds_are_refused_with_field_line_and_remedy():
    parsed = parse(seed("tuning-phi-3.yaml"))
    assert [(p.line, p.field) for p in parsed.problems] == [
        (18, "tuning.output.image"),
        (19, "tuning.output.imagePushSecret"),
    ]
    assert "must be lower case" in parsed.problems[0].rule
    assert all("placeholder to fill in" in p.remedy for p in parsed.problems)
    assert parsed.identities == {WorkspaceId("ai", "workspace-tuning-phi-3")}
    assert parsed.declarations == ()


def test_the_adapter_placeholder_of_the_seeds_is_refused():
    (problem,) = parse(seed("inference-phi-3-adapter.yaml")).problems
    assert (problem.line, problem.field) == (16, "inference.adapters[0].source.image")
    assert problem.value == "ACR_REPO_HERE.azurecr.io/ADAPTER_HERE:0.0.1"


# --- many problems, and none ----------------------------------------------------------------------


def test_all_that_is_wrong_is_said_at_once():
    text = TUNING.replace("qlora", "full").replace("kind: Workspace", "kind: Workspace\nstatus: {}")
    zero = INFERENCE.replace(SKU, SKU + "  count: 0\n")
    both = parse(f"{text}---\n{zero}")
    assert [p.field for p in both.problems] == ["status", "tuning.method", "resource.count"]
    assert len(both.identities) == 2


def test_eleven_adapters_and_a_name_twice_are_refused():
    one = ADAPTER[ADAPTER.index("    - source") :]
    found = {p.field: p.rule for p in parse(ADAPTER + one).problems}
    assert found == {"inference.adapters[1].source.name": "two adapters have this name"}
    more = "".join(one.replace("phi-3-adapter", f"a{i}") for i in range(10))
    found = {p.field: p.rule for p in parse(ADAPTER + more).problems}
    assert found == {"inference.adapters": "there must be at most 10 adapters"}


ACCEPTED = {
    "v1beta1": INFERENCE.replace("v1alpha1", "v1beta1"),
    "a method in capitals": TUNING.replace("qlora", "QLoRA"),
    "a selector of one In": INFERENCE.replace(
        SELECTOR, "    matchExpressions: [{key: a, operator: In, values: [b]}]\n"
    ),
    "a template": INFERENCE.replace(PRESET, "  template: {spec: {containers: [{name: x, image: y}]}}\n"),
    "an adapter in a volume": ADAPTER.replace(
        ADAPTER_IMAGE, "volumeSource: {persistentVolumeClaim: {claimName: a}}"
    ),
    "no strength": ADAPTER.replace('      strength: "1.0"\n', ""),
    "nulls, which mean absent": INFERENCE.replace(NAME, NAME + "  labels:\n  creationTimestamp: null\n"),
    "our annotations": INFERENCE.replace(
        NAME,
        NAME + '  annotations: {reconciler.dev/suspend: "2026-01-31T18:00:00+01:00 ann moving house"}\n',
    ),
    "a byte order mark and Windows line ends": "\ufeff" + INFERENCE.replace("\n", "\r\n"),
    "a leading separator and a comment": "# team A\n---\n" + INFERENCE + "---\n",
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(text):
    parsed = parse(text)
    assert parsed.problems == ()
    assert len(parsed.declarations) == 1


# --- files -----------------------------------------------------------------------------------------


def test_other_kinds_are_ignored_and_counted_and_configs_are_taken():
    other = "apiVersion: kaito.sh/v1alpha1\nkind: InferenceSet\nmetadata: {name: x}\n"
    parsed = parse("---\n".join([INFERENCE, CONFIG, other, other]))
    assert parsed.problems == ()
    assert parsed.ignored == {"InferenceSet": 2}
    (config,) = parsed.configs
    assert (config.namespace, config.name, config.line) == ("ai", "settings", 15)
    assert config.data == {"training_config.yaml": "a: 1"}


def test_a_manifest_without_namespace_needs_one_from_the_settings():
    (problem,) = parse(INFERENCE, namespace=None).problems
    assert problem.field == "metadata.namespace"
    assert "source.paths" in problem.remedy


def test_a_namespace_in_the_manifest_wins():
    (declared,) = parse(INFERENCE.replace(NAME, NAME + "  namespace: team-a\n")).declarations
    assert declared.id.namespace == "team-a"


def test_one_identity_twice_in_a_file_is_refused_at_both_places():
    assert [p.line for p in parse(INFERENCE + "---\n" + INFERENCE).problems] == [1, 15]


def test_the_blob_is_gits_id_of_the_content():
    assert specs.parse("x.yaml", b"hello\n", "ai").blob == "ce013625030ba8dba906f756967f9e9ca394464a"


UNKNOWN_IDENTITIES = {
    "a syntax error after a good document": INFERENCE + "---\na: [\n",
    "a workspace without a name": INFERENCE.replace(NAME, "labels: {}\n"),
    "a workspace without metadata": INFERENCE.replace("metadata:\n  " + NAME, "") + "---\n" + TUNING,
    "a document without a kind": INFERENCE + "---\na: 1\n",
    "another tool's folder": None,
}


@pytest.mark.parametrize("text", UNKNOWN_IDENTITIES.values(), ids=UNKNOWN_IDENTITIES.keys())
def test_identities_are_all_of_a_file_or_none(text):
    parsed = parse(text) if text else specs.parse("a/kustomization.yaml", b"resources: []", "ai")
    assert parsed.problems
    assert parsed.identities == frozenset()


def test_a_repeated_key_still_tells_whose_file_it_is():
    parsed = parse(INFERENCE + "inference: {}\n")
    (problem,) = parsed.problems
    assert "given twice" in problem.rule and problem.line == 14
    assert parsed.identities == {WorkspaceId("ai", "workspace-phi-3-mini")}


def test_a_hostile_file_gets_a_bounded_answer():
    parsed = parse(INFERENCE + "".join(f"k{i}: {'x' * 200}\n" for i in range(4000)))
    assert len(parsed.problems) == 50
    assert all(len(p.value) <= 80 for p in parsed.problems)


def test_a_password_in_a_url_is_not_repeated():
    text = TUNING.replace("https://huggingface.co", "https://me:hunter2@huggingface.co")
    (problem,) = parse(text).problems
    assert problem.field == "tuning.input.urls[0]" and "password" in problem.rule
    assert "hunter2" not in str(problem)


# --- any bytes at all ------------------------------------------------------------------------------

FIELDS = "apiVersion kind metadata name namespace annotations labels resource inference tuning preset data"
MORE = (
    "count adapters source image urls strength template config spec kaito.sh/v1alpha1 Workspace ConfigMap v1"
)
WORDS = st.sampled_from([*FIELDS.split(), *MORE.split()])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=20,
)


@st.composite
def damaged(draw):
    """A valid file with a piece cut out or put in."""
    content = draw(st.sampled_from([INFERENCE, ADAPTER, TUNING, CONFIG])).encode()
    for _ in range(draw(st.integers(1, 4))):
        at, end = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        content = content[:at] + draw(st.binary(max_size=6)) + content[min(end, at + 20) :]
    return content


@st.composite
def replaced(draw):
    """A valid manifest with one field, at any depth, given another value."""
    manifest = yaml.safe_load(draw(st.sampled_from([INFERENCE, ADAPTER, TUNING, CONFIG])))
    here = manifest
    while True:
        key = draw(st.sampled_from(sorted(here))) if isinstance(here, dict) else 0
        if not here[key] or not isinstance(here[key], (dict, list)) or draw(st.booleans()):
            here[key] = draw(VALUES)
            return yaml.safe_dump(manifest, allow_unicode=draw(st.booleans())).encode()
        here = here[key]


@settings(max_examples=300, deadline=timedelta(seconds=2))
@given(st.binary(max_size=200) | damaged() | replaced() | VALUES.map(lambda v: yaml.safe_dump(v).encode()))
def test_any_bytes_are_taken_or_refused_with_reasons(content):
    parsed = specs.parse("x.yaml", content, "ai")
    for declared in parsed.declarations:
        assert declared.workspace.raw == orjson.loads(orjson.dumps(declared.workspace.raw))
    lines = content.count(b"\n") + content.count(b"\r") + 3
    for problem in parsed.problems:
        assert 0 < problem.line <= lines
        assert len(problem.value) <= 80
        assert len(str(problem)) < 2000
        assert problem.rule and problem.remedy


# --- Secrets ---------------------------------------------------------------------------------------

VALUE = "hunter2-is-not-to-be-seen"
SECRETS = {
    "in plain text": f"stringData: {{password: {VALUE}}}",
    "in base 64": f"data:\n  password: {VALUE}",
    "encrypted by SOPS": f"data: {{password: 'ENC[AES256_GCM,data:{VALUE}]'}}\nsops: {{mac: {VALUE}}}",
    "that is malformed": f"stringData: [{VALUE}]\nimmutable: {VALUE}",
    "with a key given twice": f"stringData:\n  password: {VALUE}\n  password: {VALUE}",
    "with an alias": f"stringData: {{password: &x {VALUE}, again: *x}}",
}


@pytest.mark.parametrize("body", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_refused_by_its_line_and_none_of_it_is_shown(body):
    secret = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{body}\n"
    parsed = parse(f"{INFERENCE}---\n{secret}---\n{CONFIG}")
    begins = INFERENCE.count("\n") + 2
    assert parsed.problems
    assert all(begins <= problem.line <= begins + secret.count("\n") for problem in parsed.problems)
    assert all(VALUE not in f"{problem}" and problem.remedy for problem in parsed.problems)
    assert len(parsed.declarations) == 1 and len(parsed.configs) == 1
    assert parsed.identities == {declared.id for declared in parsed.declarations}


def test_the_remedy_for_a_secret_says_where_it_belongs():
    (problem,) = parse("apiVersion: v1\nkind: Secret\nstringData: {a: b}\nsops: {}\n").problems
    assert (problem.line, problem.field) == (2, "kind")
    assert "create it in the cluster and name it here" in problem.remedy
    assert "SOPS" in problem.remedy


def test_secrets_kept_by_other_controllers_are_ignored_and_counted():
    kinds = ("bitnami.com/v1alpha1", "SealedSecret"), ("external-secrets.io/v1", "ExternalSecret")
    text = "---\n".join(f"apiVersion: {version}\nkind: {kind}\n" for version, kind in kinds)
    parsed = parse(text)
    assert parsed.problems == () and parsed.ignored == {"SealedSecret": 1, "ExternalSecret": 1}
