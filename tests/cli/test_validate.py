"""What `validate` says to machines, and what it holds specs to beyond their own text."""

import json
import shlex
from pathlib import Path

import pytest
import yaml
from builders import A100, V100, tuning_yaml, workspace_yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path) -> Path:
    """One sound file, one with a warning, one with a problem on line 11."""
    found = tmp_path / "specs"
    found.mkdir()
    (found / "good.yaml").write_text(workspace_yaml("good", instance_type=A100))
    (found / "old.yaml").write_text(workspace_yaml("old", instance_type=V100))
    return found


def spoil(folder: Path) -> int:
    """Adds a file with a problem; the line it is on."""
    text = workspace_yaml("bad", preset="phi-3-mini-5k")
    (folder / "bad.yaml").write_text(text)
    return 1 + text.splitlines().index("apiVersion: kaito.sh/v1alpha1")


async def test_sarif_tells_problems_and_warnings_with_their_places(cli, folder):
    line = spoil(folder)
    outcome = await cli("validate", folder, "-n", "ai", "-o", "sarif")
    assert outcome.code == 1
    found = json.loads(outcome.out)
    assert found["version"] == "2.1.0"
    (run,) = found["runs"]
    ids = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    told = {}
    for result in run["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert result["ruleId"] in ids
        told[Path(place["artifactLocation"]["uri"]).name] = (
            result["level"],
            place["region"]["startLine"],
            result["message"]["text"],
        )
    assert told["bad.yaml"][:2] == ("error", line)
    assert "did you mean phi-3-mini-4k-instruct?" in told["bad.yaml"][2]
    assert told["old.yaml"][0] == "warning"
    assert "retirement date" in told["old.yaml"][2]


async def test_strict_fails_for_a_warning(cli, folder):
    assert (await cli("validate", folder, "-n", "ai")).code == 0
    assert (await cli("validate", folder, "-n", "ai", "--strict")).code == 1
    (folder / "old.yaml").unlink()
    assert (await cli("validate", folder, "-n", "ai", "--strict")).code == 0


async def test_secrets_that_the_cluster_must_have_are_named_once(cli, folder):
    for name in ("t", "u"):
        (folder / f"{name}.yaml").write_text(tuning_yaml(name))
    outcome = await cli("validate", folder, "-n", "ai", "-o", "json")
    found = json.loads(outcome.out)
    assert len(found["secrets"]) == 1
    assert found["secrets"][0].startswith("ai/")


async def test_the_settings_tenants_count(cli, folder, settings):
    tenants = [{"name": "ai", "namespaces": ["ai"], "instanceTypes": [V100]}]
    outcome = await cli("validate", folder, "-n", "ai", "-c", settings(tenants=tenants))
    assert outcome.code == 1
    assert f"good.yaml:1: document: tenant ai may not use {A100}; allowed: {V100}" in outcome.out


async def test_a_template_is_held_to_pod_security(cli, folder):
    document = yaml.safe_load(workspace_yaml("good", instance_type=A100))
    container = {"name": "c", "image": "r.io/c:1", "securityContext": {"privileged": True}}
    document["inference"] = {"template": {"spec": {"containers": [container]}}}
    (folder / "good.yaml").write_text(yaml.safe_dump(document))
    outcome = await cli("validate", folder, "-n", "ai")
    assert outcome.code == 1
    assert "Pod Security restricted" in outcome.out


async def test_the_pre_commit_hook_runs_what_it_says(cli, folder, monkeypatch):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, *command = shlex.split(hook["entry"])
    assert (program, hook["pass_filenames"]) == ("reconciler", False)
    monkeypatch.chdir(folder)
    assert (await cli(*command, *hook["args"], "-n", "ai")).code == 0
    spoil(folder)
    assert (await cli(*command, *hook["args"], "-n", "ai")).code == 1
