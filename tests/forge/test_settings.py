"""How a forge is told of, and what is wrong with it."""

import pytest

from reconciler.config import load
from reconciler.errors import InvalidSpec
from reconciler.forge import connect
from reconciler.forge.azuredevops import AzureDevOps
from reconciler.forge.checks import GitHubChecks
from reconciler.forge.github import GitHub
from reconciler.forge.gitlab import GitLab

BEFORE = "cluster: prod\nengine: kaito\nmode: observe\nsource: {url: 'https://git.example.com/specs.git'}\n"
APP = "app: {id: '4711', installationId: '99', keyFile: /etc/key}"


@pytest.fixture
def written(tmp_path):
    def write(forge: str):
        path = tmp_path / "reconciler.yaml"
        path.write_text(f"{BEFORE}forge: {{{forge}}}\n")
        return load(path, {}).forge

    return write


DRIVERS = {
    "github": ("driver: github, repository: org/specs, tokenFile: /etc/token", GitHub),
    "a GitHub App": (f"driver: github, repository: org/specs, {APP}", GitHubChecks),
    "gitlab": ("driver: gitlab, repository: a/b/c/specs, tokenFile: /etc/token", GitLab),
    "azuredevops": ("driver: azuredevops, repository: org/AI Team/specs, tokenFile: /etc/token", AzureDevOps),
}


@pytest.mark.parametrize(("forge", "driver"), DRIVERS.values(), ids=DRIVERS)
async def test_settings_choose_a_driver(written, forge, driver):
    forge = connect(written(forge))
    assert type(forge) is driver
    await forge.close()


WRONG = {
    "driver": ("driver: gitea, repository: a/b, tokenFile: t", "forge.driver 'gitea': it must be"),
    "no login": ("driver: github, repository: a/b", "either tokenFile or app"),
    "two logins": (f"driver: github, repository: a/b, tokenFile: t, {APP}", "either tokenFile or app"),
    "an App elsewhere": (f"driver: gitlab, repository: a/b, {APP}", "app is for driver github"),
    "three names": ("driver: github, repository: a/b/c, tokenFile: t", "must be org/repo for github"),
    "two names": ("driver: azuredevops, repository: a/b, tokenFile: t", "must be org/project/repo"),
    "one name": ("driver: github, repository: specs, tokenFile: t", "forge.repository 'specs'"),
    "a login in the URL": (
        "driver: github, repository: a/b, tokenFile: t, url: 'https://me:pw@example.com'",
        "forge.url",
    ),
}


@pytest.mark.parametrize(("forge", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_place(written, forge, says):
    with pytest.raises(InvalidSpec, match=r"reconciler\.yaml:5: forge") as raised:
        written(forge)
    assert says in str(raised.value)
