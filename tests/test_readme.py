"""What the READMEs name, exists; what they show, works."""

import re
from pathlib import Path

import pytest

from reconciler import config
from reconciler.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
INSIDE = (ROOT / "reconciler" / "README.md").read_text()

QUOTED = re.compile(r"`([\w./<>*-]+(?:\.py|\.yaml|/))(?:: (\w+))?`")
"""A path as the READMEs quote them, perhaps with a name in that file."""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The settings that README shows, as a file."""
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "reconciler.yaml"
    path.write_text(text)
    return path


def test_the_sample_settings_are_accepted(sample: Path):
    settings = config.load(sample, {})
    assert settings.cluster == "prod-weu"
    assert settings.status_ref == "refs/heads/reconciler-status/prod-weu"


def test_the_environment_overrides_the_sample_as_it_is_told(sample: Path):
    ((name, value),) = re.findall(r"`(RECONCILER_MODE)=(\w+)`", README)
    assert config.load(sample, {}).mode != value
    assert config.load(sample, {name: value}).mode == value


def test_the_table_of_commands_lists_every_command_and_no_other():
    _, _, table = README.partition("## The command line")
    cells = re.findall(r"^\| (`.*?) \|", table.partition("\n## ")[0], re.MULTILINE)
    quoted = [each for cell in cells for each in re.findall(r"`(?:reconciler )?(\w+)[^`]*`", cell)]
    assert sorted(quoted) == sorted(COMMANDS)


def test_every_make_target_that_is_named_exists():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"^    make (\w+)", README, re.MULTILINE))
    assert named == {"demo", "test"}
    assert named <= set(targets)


NAMED = {
    **{f"README names {path}": (ROOT, path, name) for path, name in QUOTED.findall(README)},
    **{
        f"reconciler/README names {path} {name}".rstrip(): (ROOT / "reconciler", path, name)
        for path, name in QUOTED.findall(INSIDE)
    },
}


@pytest.mark.parametrize(("folder", "path", "name"), NAMED.values(), ids=NAMED.keys())
def test_every_path_that_is_named_exists(folder: Path, path: str, name: str):
    pattern = re.sub(r"<\w+>", "*", path)
    found = [each for base in (folder, ROOT) for each in base.glob(pattern)]
    assert found
    assert not name or any(re.search(rf"\b{name}\b", each.read_text()) for each in found)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^):#]+)\)", README + INSIDE))
def test_every_link_to_a_file_leads_somewhere(target: str):
    assert (ROOT / target).is_file()
