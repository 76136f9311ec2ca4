"""Settings as people write them, in a file and in the environment."""

import pytest

from reconciler.config import load
from reconciler.errors import InvalidSpec

SAMPLE = """\
cluster: prod-weu
engine: native
mode: full
source:
  url: https://git.example.com/ai/workspaces.git
  ref: main
  paths:
    - {include: "workspaces/**/*.yaml", namespace: ai}
status: {ref: refs/heads/reconciler-status/prod-weu}
provisioner: {driver: simulated, url: "http://cloud.example.com"}
tenants: []
limits: {maxDollarsPerHour: null}
"""


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "reconciler.yaml"

    def write(text: str = SAMPLE, *changes: tuple[str, str]):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return path

    return write


def test_the_whole_sample_is_accepted(written):
    settings = load(written(), {})
    assert (settings.cluster, settings.engine, settings.mode) == ("prod-weu", "native", "full")
    assert settings.source.paths[0].namespace == "ai"
    assert settings.status_ref == "refs/heads/reconciler-status/prod-weu"
    assert settings.limits.max_dollars_per_hour is None


def test_the_status_ref_is_named_after_the_cluster_unless_it_is_off(written):
    assert load(
        written(SAMPLE, ("status: {ref: refs/heads/reconciler-status/prod-weu}\n", "")), {}
    ).status_ref == ("refs/heads/reconciler-status/prod-weu")
    assert load(written(SAMPLE, ("refs/heads/reconciler-status/prod-weu", "off")), {}).status_ref is None


WRONG = {
    "a value outside the choices": (
        ("engine: native", "engine: natve"),
        "reconciler.yaml:2: engine 'natve': it must be 'native' or 'kaito'",
    ),
    "a misspelt key": (
        ("  ref: main", "  reff: main"),
        "reconciler.yaml:6: source.reff 'main': unknown field; did you mean ref?",
    ),
    "a misspelt key at the top": (
        ("limits:", "limit:"),
        "reconciler.yaml:12: limit: unknown field; did you mean limits?",
    ),
    "a key in snake case": (
        ("maxDollarsPerHour", "max_dollars_per_hours"),
        "limits.max_dollars_per_hours: unknown field; did you mean maxDollarsPerHour?",
    ),
    "a missing key": (("cluster: prod-weu\n", ""), "cluster: this field is required"),
    "a key given twice": (("mode: full", "mode: full\nmode: observe"), "reconciler.yaml:4: "),
    "no YAML": (("engine: native", "engine: [native"), "reconciler.yaml:"),
    "two ways to log in": (
        ("  ref: main", "  ref: main\n  credentials: {tokenFile: /t, sshKeyFile: /k}"),
        ":7: source.credentials: tokenFile and sshKeyFile are 2 ways to log in; keep one of them",
    ),
    "a signature policy without signers": (
        ("  ref: main", "  ref: main\n  signatures: [{paths: ['prod/**']}]"),
        ":7: source.signatures[0]: nobody is allowed to sign; set allowedSignersFile or keyringFile",
    ),
    "an App without its key": (
        ("  ref: main", "  ref: main\n  credentials: {githubApp: {id: 1, installationId: 2}}"),
        "source.credentials.githubApp.keyFile: this field is required",
    ),
    "a proxy with a password": (
        ("  ref: main", "  ref: main\n  credentials: {proxy: 'http://me:pw@proxy:3128'}"),
        "it must be http://host:port and nothing more; a password belongs into https_proxy",
    ),
    "no provisioner for the native engine": (
        ('provisioner: {driver: simulated, url: "http://cloud.example.com"}\n', ""),
        "reconciler.yaml: provisioner: engine native needs it",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_told_with_line_field_value_and_rule(written, case):
    change, said = WRONG[case]
    with pytest.raises(InvalidSpec) as caught:
        load(written(SAMPLE, change), {})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_mistake_has_a_line_of_its_own(written):
    path = written(SAMPLE, ("engine: native", "engine: x"), ("mode: full", "mode: y"))
    with pytest.raises(InvalidSpec) as caught:
        load(path, {})
    assert [line.split(": ")[1].split()[0] for line in str(caught.value).splitlines()] == ["engine", "mode"]


def test_the_environment_overrides_the_file_by_the_path_of_a_key(written):
    settings = load(
        written(),
        {
            "RECONCILER_MODE": "observe",
            "RECONCILER_SOURCE__URL": "https://elsewhere.example.com/x.git",
            "RECONCILER_SOURCE__POLL_SECONDS": "3",
            "RECONCILER_LIMITS__MAX_DOLLARS_PER_HOUR": "12.5",
            "RECONCILER_TENANTS": '[{"name": "a", "namespaces": ["ai"]}]',
        },
    )
    assert settings.mode == "observe"
    assert settings.source.url == "https://elsewhere.example.com/x.git"
    assert settings.source.ref == "main"
    assert settings.source.poll_seconds == 3.0
    assert settings.limits.max_dollars_per_hour == 12.5
    assert settings.tenants[0].namespaces == ("ai",)


def test_a_mistake_in_the_environment_names_its_variable(written):
    with pytest.raises(InvalidSpec) as caught:
        load(written(), {"RECONCILER_SOURCE__POLL_SECONDS": "often"})
    assert str(caught.value).startswith("RECONCILER_SOURCE__POLL_SECONDS: source.pollSeconds 'often': ")


def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_setting(written):
    load(written(), {"RECONCILER_PORT": "tcp://10.0.0.1:80", "RECONCILER_SERVICE_HOST": "10.0.0.1"})


def test_a_folder_is_no_settings_file(tmp_path):
    with pytest.raises(InvalidSpec, match="is a directory"):
        load(tmp_path, {})
