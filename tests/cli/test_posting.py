"""Checks that CI posts in the daemon's place: same contexts, same words."""

import pytest
import yaml
from builders import workspace_yaml
from plugins.forges import checks, login

SHA = "a" * 40
PATHS = [{"include": "*.yaml", "namespace": "ai"}]
GOOD = workspace_yaml("chat", selector={"apps": "chat"})


@pytest.fixture
def config(forge, tmp_path):
    settings = {
        "cluster": "prod",
        "engine": "native",
        "mode": "full",
        "source": {"url": "https://git.example.com/x.git", "paths": PATHS},
        "provisioner": {"driver": "simulated", "url": "http://127.0.0.1:1"},
        "forge": login(forge, tmp_path),
    }
    file = tmp_path / "reconciler.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "specs"
    made.mkdir()
    return made


async def test_validate_posts_what_the_daemon_would(cli, forge, config, folder):
    (folder / "chat.yaml").write_text(GOOD)
    done = await cli("validate", str(folder), "-n", "ai", "-c", str(config), "--post", SHA)
    assert done.code == 0, done.err
    assert checks(forge, SHA) == {"reconciler/prod/validate": ("success", "workspaces: 1 changed, valid")}


async def test_what_is_wrong_fails_check_and_command(cli, forge, config, folder):
    (folder / "chat.yaml").write_text(GOOD.replace("phi-3", "phi-33"))
    done = await cli("validate", str(folder), "-n", "ai", "-c", str(config), "--post", SHA)
    assert done.code == 1
    (state, said) = checks(forge, SHA)["reconciler/prod/validate"]
    assert (state, "chat.yaml:" in said and "unknown preset" in said) == ("failure", True)


async def test_plan_posts_its_counts_and_cost(cli, forge, config, folder):
    (folder / "chat.yaml").write_text(GOOD)
    done = await cli("plan", str(folder), "-c", str(config), "--offline", "--post", SHA)
    assert done.code == 2, done.err
    state, said = checks(forge, SHA)["reconciler/prod/plan"]
    assert (state, said.startswith("workspaces: 1 to create; +1 GPU, +3.67 $/h")) == ("success", True)


WRONG = {
    "no settings": (["--post", SHA], "--post needs --config with a forge"),
    "half a commit": (["--post", "abc", "-c"], "is no commit"),
}


@pytest.mark.parametrize(("options", "why"), WRONG.values(), ids=WRONG)
async def test_what_cannot_be_posted_is_said(cli, config, folder, options, why):
    (folder / "chat.yaml").write_text(GOOD)
    last = [str(config)] if options[-1] == "-c" else []
    done = await cli("validate", str(folder), "-n", "ai", *options, *last)
    assert (done.code, why in done.err) == (1, True), done.err
