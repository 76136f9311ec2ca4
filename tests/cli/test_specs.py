"""`validate` and `plan` on files, without any server."""

import json
import re
import shutil
from pathlib import Path

import pytest

SEEDS = Path(__file__).parents[1] / "data" / "seeds"
FILLED = {
    "ACR_REPO_HERE": "teamregistry",
    "ADAPTER_HERE": "adapters/phi-3",
    "IMAGE_NAME_HERE": "adapters/phi-3",
    "ACR_REGISTRY_SECRET_HERE": "push-secret",
    "Standard_NC6s_v3": "Standard_NC24ads_A100_v4",
}


@pytest.fixture
def seeds(tmp_path) -> Path:
    """The three sample manifests as they are shipped."""
    return Path(shutil.copytree(SEEDS, tmp_path / "seeds"))


@pytest.fixture
def filled(seeds) -> Path:
    """The same with every placeholder filled in."""
    for file in seeds.iterdir():
        text = file.read_text()
        for old, new in FILLED.items():
            text = text.replace(old, new)
        file.write_text(text)
    return seeds


async def test_validate_names_file_line_field_and_remedy_of_each_placeholder(cli, seeds):
    outcome = await cli("validate", seeds, "--namespace", "ai")
    assert outcome.code == 1
    assert re.search(r"tuning-phi-3\.yaml:18: tuning\.output\.image '.*placeholder", outcome.out)
    assert re.search(
        r"inference-phi-3-adapter\.yaml:16: inference\.adapters\[0\]\.source\.image", outcome.out
    )
    assert "3 files, 1 valid workspace: 3 problems" in outcome.out


async def test_validate_passes_filled_manifests(cli, filled):
    outcome = await cli("validate", filled, "-n", "ai")
    assert (outcome.code, outcome.out.splitlines()) == (
        0,
        [
            "the cluster must have these Secrets: ai/push-secret",
            "3 files, 3 valid workspaces: no problems",
        ],
    )


async def test_validate_takes_files_and_folders_together(cli, filled):
    one = filled / "tuning-phi-3.yaml"
    outcome = await cli("validate", one, filled, "-n", "ai", "-o", "json")
    assert json.loads(outcome.out)["workspaces"] == [
        "ai/workspace-phi-3-mini",
        "ai/workspace-phi-3-mini-adapter",
        "ai/workspace-tuning-phi-3",
    ]


async def test_a_warning_is_printed_and_is_no_failure(cli, seeds):
    outcome = await cli("validate", seeds / "inference-phi-3-mini.yaml", "-n", "ai")
    assert outcome.code == 0
    assert "inference-phi-3-mini.yaml:1: warning: Standard_NC6s_v3" in outcome.out


async def test_a_missing_namespace_is_a_problem_unless_one_is_given(cli, filled):
    outcome = await cli("validate", filled / "tuning-phi-3.yaml")
    assert outcome.code == 1
    assert "metadata.namespace: this field is required" in outcome.out


async def test_github_annotations_stand_at_file_and_line_and_cannot_be_forged(cli, seeds):
    evil = seeds / "evil.yaml"
    evil.write_text('apiVersion: kaito.sh/v1alpha1\nkind: Workspace\nmetadata: {name: "a\\n::error::b"}\n')
    outcome = await cli("validate", seeds, "-n", "ai", "-o", "github")
    assert f"::error file={seeds}/tuning-phi-3.yaml,line=18::tuning.output.image" in outcome.out
    assert "\n::error::b" not in outcome.out


async def test_a_folder_of_another_tool_is_refused_with_the_remedy(cli, filled):
    (filled / "kustomization.yaml").write_text("resources: []\n")
    outcome = await cli("validate", filled, "-n", "ai")
    assert outcome.code == 1
    assert "run Kustomize in your pipeline" in outcome.out


async def test_plan_for_an_empty_cluster_creates_everything(cli, filled):
    outcome = await cli("plan", filled, "-n", "ai", "-o", "json")
    assert outcome.code == 2
    plan = json.loads(outcome.out)
    made = {(s["workspace"], s["target"].split()[0]) for s in plan["steps"]}
    for kind in ("Workspace", "pool", "ConfigMap", "Deployment", "Service"):
        assert ("ai/workspace-phi-3-mini", kind) in made
    assert ("ai/workspace-tuning-phi-3", "Job") in made
    assert {s["verb"] for s in plan["steps"]} == {"create"}
    assert plan["gpus"] == 2


async def test_plan_says_which_adapter_must_be_tuned_first(cli, filled):
    outcome = await cli("plan", filled, "-n", "ai")
    said = "WaitingForArtifact: its adapter is the output of ai/workspace-tuning-phi-3"
    assert said in outcome.out


async def test_plan_of_unfilled_manifests_fails_like_validate(cli, seeds):
    outcome = await cli("plan", seeds, "-n", "ai")
    assert outcome.code == 1
    assert "tuning-phi-3.yaml:18: tuning.output.image" in outcome.err
    assert "ai/workspace-phi-3-mini" in outcome.out


async def test_plan_of_nothing_is_status_0(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = await cli("plan", tmp_path / "empty")
    assert outcome.code == 0


async def test_plan_obeys_the_paths_tenants_and_limits_of_settings(cli, settings, filled, tmp_path):
    config = settings(
        source={"url": "unused", "paths": [{"include": "seeds/inf*.yaml", "namespace": "ml"}]},
        tenants=[{"name": "t", "namespaces": ["other"]}],
    )
    outcome = await cli("plan", tmp_path, "--config", config, "--offline", "-o", "json")
    plan = json.loads(outcome.out)
    assert outcome.code == 2
    assert {h["reason"] for h in plan["holds"]} == {"NotPermitted"}
    assert {h["workspace"] for h in plan["holds"]} == {
        "ml/workspace-phi-3-mini",
        "ml/workspace-phi-3-mini-adapter",
    }


async def test_plan_as_markdown_is_what_a_pull_request_shows(cli, filled):
    outcome = await cli("plan", filled, "-n", "ai", "-o", "markdown")
    assert outcome.out.startswith("### Plan `")
    assert "<details" in outcome.out
