"""The schemas say what the program takes and writes, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import context, desired, observed, policy, tuning_yaml, wanted, workspace_yaml, ws
from jsonschema import Draft202012Validator
from manifests import ADAPTER, INFERENCE, TUNING

from reconciler.model.names import WorkspaceId
from reconciler.model.settings import ImageSettings
from reconciler.model.status import Condition, WorkspaceStatus
from reconciler.model.world import Artifact, ObservedWorkspace
from reconciler.planning.foresight import foreseen
from reconciler.planning.proposal import document
from reconciler.statusref import documents
from tests.schemas import generate

ROOT = Path(__file__).parents[2]


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((ROOT / f"schemas/{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(name: str, found: Any) -> list[str]:
    return [f"{each.json_path}: {each.message}" for each in validator(name).iter_errors(found)]


def test_what_is_kept_is_what_the_models_say():
    for path, text in generate.files().items():
        assert (ROOT / "schemas" / path).read_text() == text, f"{path}: run `make schemas`"


@pytest.mark.parametrize("text", [INFERENCE, ADAPTER, TUNING], ids=["inference", "adapter", "tuning"])
def test_a_workspace_may_be_written_as_the_seeds_are(text):
    assert faults("workspace", yaml.safe_load(text)) == []


OURS = context(images=ImageSettings(repository="registry.example.com/reconciler", allow_hosts=("data:80",)))
RENDERED = {
    "tuning": tuning_yaml("tune"),
    "inference": workspace_yaml("chat", adapters={"law": "registry.example.com/law:1"}),
}


@pytest.mark.parametrize("where", [OURS, context()], ids=["our images", "Kaito's"])
@pytest.mark.parametrize("kind", RENDERED)
def test_what_is_mounted_is_what_the_runtime_images_read(kind, where):
    config = wanted(RENDERED[kind], where=where).config[0]
    assert faults(f"{kind}-settings", json.loads(config.manifest["data"]["settings.json"])) == []


CONFIGURATIONS = [*ROOT.glob("presets/config/*.yaml"), *ROOT.glob("reconciler/dev/runtimes/*.yaml")]


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_the_training_configurations_that_ship_are_taken(path):
    found = yaml.safe_load(path.read_text())
    text = found.get("data", {}).get("training_config.yaml")
    assert faults("training-config", yaml.safe_load(text) if text else found) == []


MISTAKES = {
    "a misspelt field": ("inference:", "inferences:", "'inferences' was unexpected"),
    "another kind": ("kind: Workspace", "kind: Workspaces", "'Workspace' was expected"),
    "a count that is text": ("resource:", 'resource:\n  count: "2"', "not of type 'integer'"),
    "an unknown access": ("    name: phi", "    accessMode: secret\n    name: phi", "'accessMode': 'secret'"),
}


@pytest.mark.parametrize(("old", "new", "why"), MISTAKES.values(), ids=MISTAKES.keys())
def test_an_editor_marks_a_mistake(old, new, why):
    found = faults("workspace", yaml.safe_load(INFERENCE.replace(old, new, 1)))
    assert any(why in fault for fault in found), found


def test_an_editor_explains_the_fields():
    definitions = json.loads((ROOT / "schemas/workspace.schema.json").read_text())["$defs"]
    assert "reconciler presets" in definitions["PresetChoice"]["properties"]["name"]["description"]


@pytest.mark.parametrize(
    ("name", "folder"), [("preset", "presets/catalog"), ("sku", "presets/skus")], ids=["preset", "sku"]
)
def test_the_catalogues_files_are_as_their_schema_says(name, folder):
    for file in sorted((ROOT / folder).glob("*.yaml")):
        for found in yaml.safe_load_all(file.read_text()):
            plain = json.loads(json.dumps(found, default=str))
            assert faults(name, plain) == [], file.name


def test_the_settings_sample_is_as_its_schema_says():
    _, _, rest = (ROOT / "README.md").read_text().partition("```yaml\n")
    sample = yaml.safe_load(rest.partition("```")[0])
    assert faults("settings", sample) == []
    assert any("'polls'" in fault for fault in faults("settings", sample | {"polls": 1}))


def test_a_plan_is_as_its_schema_says():
    want, rules = desired(workspace_yaml("a")), policy()
    seen = observed(ObservedWorkspace(ws("a")))
    found = document(foreseen(want, seen, rules))
    assert found["steps"] or found["holds"]
    assert faults("plan", json.loads(json.dumps(found))) == []


def test_a_status_file_is_as_its_schema_says():
    ready = Condition("Ready", "True", "Serving", "it answers")
    made = Artifact("registry.example.com/a:1", "sha256:0", "key")
    status = WorkspaceStatus(
        WorkspaceId("ai", "a"),
        "Ready",
        "",
        "",
        "",
        conditions=(ready,),
        holds=(("Drifted", "somebody edits it", ""),),
        artifact=made,
    )
    assert faults("status", json.loads(documents.encoded(documents.document(status)))) == []


def test_every_schema_is_named_in_the_readme():
    named = set(re.findall(r"schemas/([\w-]+)\.schema\.json", (ROOT / "README.md").read_text()))
    assert named == {path.name.partition(".")[0] for path in (ROOT / "schemas").glob("*.schema.json")}
