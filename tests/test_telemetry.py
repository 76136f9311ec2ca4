"""What is counted and logged, as a scrape and a log reader see it."""

import json
import logging
import re

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from reconciler.model.names import ObjectKey, WorkspaceId
from reconciler.model.plan import Applied, DeleteObject, Failure, Step
from reconciler.model.status import WorkspaceStatus
from reconciler.telemetry import Meter, configure_logging, redacted, redaction, register_secret

PHI, QWEN = WorkspaceId("ai", "phi"), WorkspaceId("ai", "qwen")


def status(id: WorkspaceId, phase: str = "Ready", **more) -> WorkspaceStatus:
    return WorkspaceStatus(id, phase, "", "", "r1", **more)


def scraped(meter: Meter, name: str) -> dict[tuple[str, ...], float]:
    """Samples of one metric by their label values, in the order of the labels' names."""
    text = meter.exposition()[0].decode()
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"workspace_reconciler_{name}"
    }


def test_gauges_follow_the_fleet():
    meter = Meter()
    held = status(QWEN, "Held", holds=(("DeletionGuard", "", ""), ("Contested", "", "")))
    meter.fleet_changed({PHI: status(PHI, instance_type="A100", gpus=4), QWEN: held}, ())
    assert scraped(meter, "workspace_ready") == {("phi", "ai"): 1, ("qwen", "ai"): 0}
    assert scraped(meter, "workspaces") == {("Ready",): 1, ("Held",): 1}
    assert scraped(meter, "holds") == {("DeletionGuard",): 1, ("Contested",): 1}
    assert scraped(meter, "gpus") == {("A100",): 4}
    meter.fleet_changed({QWEN: status(QWEN)}, (PHI,))
    assert scraped(meter, "workspace_ready") == {("qwen", "ai"): 1}
    assert scraped(meter, "workspaces") == {("Ready",): 1, ("Held",): 0}
    assert scraped(meter, "gpus") == {("A100",): 0}
    assert set(scraped(meter, "holds").values()) == {0}


CHANGES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["Ready", "Held", "Failed", None]), st.integers(0, 4))
)


@settings(max_examples=30)
@given(CHANGES)
def test_gauges_say_what_a_count_from_scratch_would(changes):
    meter, now = Meter(), {}
    for name, phase, gpus in changes:
        id = WorkspaceId("ai", name)
        if phase is None:
            now.pop(id, None)
            meter.fleet_changed({}, (id,))
        else:
            now[id] = status(id, phase, gpus=gpus, instance_type="T4")
            meter.fleet_changed({id: now[id]}, ())
    phases = {labels[0]: n for labels, n in scraped(meter, "workspaces").items() if n}
    assert phases == {
        p: n for p in ("Ready", "Held", "Failed") if (n := sum(s.phase == p for s in now.values()))
    }
    assert sum(scraped(meter, "gpus").values()) == sum(s.gpus for s in now.values())
    assert set(scraped(meter, "workspace_ready")) == {(id.name, id.namespace) for id in now}


def test_a_failure_counts_once_however_long_its_workspace_rests():
    meter = Meter()
    step = Step(PHI, DeleteObject(ObjectKey("Job", "ai", "x"), "uid"), "gone", "prune")
    failure = Failure(PHI, step, "Unavailable", "down")
    for _ in range(3):
        meter.cycle(Applied((), (failure,)), 0.1, full=False)
    meter.cycle(Applied((step,)), 0.1, full=True)
    assert scraped(meter, "steps_total") == {("delete", "prune", "failed"): 1, ("delete", "prune", "done"): 1}
    assert scraped(meter, "errors_total") == {("Unavailable",): 1}
    assert scraped(meter, "cycles_total") == {("done",): 3, ("full",): 1}


def test_only_the_followed_revision_is_named():
    meter = Meter()
    meter.source_read("r1")
    meter.source_read("r2")
    assert scraped(meter, "revision_info") == {("r2",): 1}


def test_a_watch_tells_its_lag_when_asked():
    meter, lags = Meter(), iter([1.5, 2.5])
    meter.watch_lag("Pod", lambda: next(lags))
    assert [scraped(meter, "watch_lag_seconds")[("Pod",)] for _ in range(2)] == [1.5, 2.5]


def test_a_block_is_shown_while_it_lasts():
    meter = Meter()
    meter.write_back_blocked("WriteBackBlocked")
    assert scraped(meter, "write_back_blocked") == {("WriteBackBlocked",): 1}
    meter.write_back_blocked("")
    assert scraped(meter, "write_back_blocked") == {}


def test_every_metric_has_the_prefix_and_says_what_it_is():
    families = list(text_string_to_metric_families(Meter().exposition()[0].decode()))
    assert len(families) > 20
    for family in families:
        assert family.name.startswith("workspace_reconciler_")
        assert family.documentation


# --- secrets ---------------------------------------------------------------------------------------

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----"
SECRETS = {
    "credentials in a URL": ("https://bot:s3cr3tvalue@git.example.com/x", "s3cr3tvalue"),
    "a token in a URL": ("https://s3cr3tvalue@git.example.com/x", "s3cr3tvalue"),
    "a signature in a URL": ("https://x.blob/y?sv=1&sig=s3cr3tvalue%3D&se=2", "s3cr3tvalue"),
    "a bearer token": ("Authorization: Bearer s3cr3tvalue12345", "s3cr3tvalue"),
    "basic authorization": ("{'Authorization': 'Basic s3cr3tvalue=='}", "s3cr3tvalue"),
    "a docker config": ('{"auths":{"r.io":{"auth":"s3cr3tvalue","username":"u"}}}', "s3cr3tvalue"),
    "a docker config in a string": (r'"{\"auths\":{\"r\":{\"password\":\"s3cr3tvalue\"}}}"', "s3cr3tvalue"),
    "an encoded docker config": (".dockerconfigjson: czNjcjN0dmFsdWU=", "czNjcjN0dmFsdWU"),
    "a private key": (f"read {KEY} failed", "b3BlbnNzaC1rZXk"),
    "half a private key": (KEY[:50], "b3BlbnNzaC1"),
    "a token of GitHub": ("ghp_0123456789abcdefghij refused", "0123456789abcdefghij"),
    "a JSON web token": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJzdWIiOiIxIn0"),
}


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS.keys())
def test_is_masked(text, secret):
    masked = redacted(text)
    assert secret not in masked
    assert "***" in masked
    assert redacted(masked) == masked


PLAIN = {
    "a URL without credentials": "https://git.example.com/ai/workspaces.git?ref=main",
    "an address of mail": "ask ada@example.com",
    "prose on tokens": "the bearer token is missing; basic authorization is off",
    "an image": "registry.example.com/x:1@sha256:0123456789abcdef",
    "a certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
}


@pytest.mark.parametrize("text", PLAIN.values(), ids=PLAIN.keys())
def test_is_left_alone(text):
    assert redacted(text) == text


def test_a_registered_secret_is_masked_wherever_it_stands():
    register_secret("p@ss word/1\n")
    assert redacted("x p@ss word/1 y p%40ss%20word%2F1") == "x *** y ***"
    redaction._registered.clear()


# --- log lines -------------------------------------------------------------------------------------


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]):
    """Lines on stderr so far; puts logging back as it was."""
    root, ours = logging.getLogger(), logging.getLogger("reconciler")
    before = root.handlers, root.level, ours.level
    yield lambda: capsys.readouterr().err.splitlines()
    root.handlers, ours.level = before[0], before[2]
    root.setLevel(before[1])
    structlog.reset_defaults()


def test_a_json_line_has_all_fields_and_no_secret(lines):
    configure_logging(json=True)
    structlog.get_logger("reconciler.x").warning(
        "not told", url="https://a:hunter22@b", token="hunter22", inner={"password": "hunter22"}, id=PHI
    )
    (line,) = map(json.loads, lines())
    assert re.fullmatch(r"\d{4}-.*Z", line.pop("timestamp"))
    assert line == {
        "event": "not told",
        "level": "warning",
        "logger": "reconciler.x",
        "url": "https://***@b",
        "token": "***",
        "inner": {"password": "***"},
        "id": ["ai", "phi"],
    }


def test_a_traceback_is_one_line_and_redacted(lines):
    configure_logging(json=True)
    try:
        raise ValueError("https://a:hunter22@b")
    except ValueError:
        structlog.get_logger("reconciler.x").exception("bug")
    (line,) = map(json.loads, lines())
    assert "ValueError: https://***@b" in line["exception"]


def test_lines_of_libraries_come_the_same_way(lines):
    configure_logging(json=True)
    logging.getLogger("aiohttp").error("no answer from %s", "https://a:hunter22@b")
    logging.getLogger("aiohttp").info("chatter")
    (line,) = map(json.loads, lines())
    assert (line["event"], line["logger"]) == ("no answer from https://***@b", "aiohttp")


VERBOSITY = {"info only": (0, ["info"]), "debug of our own": (1, ["debug", "info"])}


@pytest.mark.parametrize(("verbose", "levels"), VERBOSITY.values(), ids=VERBOSITY.keys())
def test_verbosity(lines, verbose, levels):
    configure_logging(json=True, verbose=verbose)
    log = structlog.get_logger("reconciler.x")
    log.debug("a")
    log.info("b")
    logging.getLogger("aiohttp").debug("c")
    assert [json.loads(line)["level"] for line in lines()] == levels


def test_a_terminal_gets_readable_lines_without_secrets(lines):
    configure_logging(json=False)
    try:
        raise ValueError("https://a:hunter22@b")
    except ValueError:
        structlog.get_logger("reconciler.x").exception("bug", workspace="ai/phi")
    text = "\n".join(lines())
    assert "workspace=ai/phi" in text
    assert "hunter22" not in text
    assert "Traceback" in text
