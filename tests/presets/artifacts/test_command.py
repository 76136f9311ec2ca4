"""`python -m artifacts` as containers call it: output, exit codes, the termination message."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import artifacts
import pytest
from artifacts import RuntimeFailure, report

from .images import adapter, contents, entry, layer, push_image, sha256
from .servers import Answers, docker_config

SOURCES = Path(artifacts.__file__).parents[1]


def environment(folder):
    return {**os.environ, "PYTHONPATH": str(SOURCES), "RECONCILER_TERMINATION_LOG": str(folder / "end")}


def command(folder, *arguments):
    """The exit code, the output, the log's last line and the termination message."""
    done = subprocess.run(
        [sys.executable, "-m", "artifacts", *map(str, arguments)],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    message = json.loads((folder / "end").read_text()) if (folder / "end").exists() else None
    return done.returncode, done.stdout.strip(), (done.stderr.splitlines() or [""])[-1], message


def test_push_and_pull(debian, repository, tmp_path):
    image, auth = f"{debian}/{repository}:v1", docker_config(tmp_path / "secret", debian)
    source = adapter(tmp_path / "in")
    key = "reconciler.dev/content-key=k1"
    pushed = command(
        tmp_path, "push", source, image, "--base-model", "b", "--annotation", key, "--auth", auth
    )
    code, digest, _, message = pushed
    size = message["artifact"].pop("size")
    assert (code, size > 4096) == (0, True)
    assert message == {"artifact": {"image": image, "digest": digest, "contentKey": "k1", "adopted": False}}
    pulled = command(tmp_path, "pull", image, tmp_path / "out", "--auth", tmp_path / "absent", "--auth", auth)
    assert pulled[:2] == (0, digest)
    assert pulled[3]["artifact"]["size"] == sum(map(len, contents(tmp_path / "out").values()))


@pytest.mark.parametrize(
    ("image", "code", "error_class"),
    [("reg.example/A", 2, "BadConfig"), ("{host}/none/such:v1", 2, "RegistryUnauthorized")],
)
def test_a_failure_is_told(debian, tmp_path, image, code, error_class):
    found = command(tmp_path, "pull", image.format(host=debian), tmp_path / "out")
    assert found[:2] == (code, "")
    told = found[3]["error"]
    assert told.keys() == {"class", "message", "remedy"}
    assert told["class"] == error_class
    assert found[2] == f"ERROR {error_class}: {told['message']}; {told['remedy']}"


@pytest.mark.parametrize(
    "arguments", [[], ["pull"], ["push", "a", "b"], ["push", "a", "b", "--annotation", "x"]]
)
def test_usage(tmp_path, arguments):
    assert command(tmp_path, *arguments)[0] == 2


def test_sigterm_ends_it_as_interrupted(front, repository, tmp_path):
    front.answers = [Answers("GET", "", 429, headers={"Retry-After": "50"})]
    arguments = [
        sys.executable,
        "-m",
        "artifacts",
        "pull",
        f"{front.host}/{repository}:v1",
        str(tmp_path / "out"),
    ]
    with subprocess.Popen(arguments, env=environment(tmp_path), stderr=subprocess.PIPE, text=True) as process:
        assert "again in 50.0 s" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 1
    assert json.loads((tmp_path / "end").read_text())["error"]["class"] == "Interrupted"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_killed_pull_ends_right_when_it_is_started_again(front, repository, tmp_path):
    image, out = f"{front.host}/{repository}:v1", tmp_path / "out"
    first, second = layer(entry("data/a", b"1")), layer(entry("data/b", b"2"))
    digest = push_image(image, [first, second])
    front.answers = [Answers("GET", sha256(second), 429, headers={"Retry-After": "50"}, times=1)]
    arguments = [sys.executable, "-m", "artifacts", "pull", image, str(out)]
    with subprocess.Popen(arguments, env=environment(tmp_path), stderr=subprocess.PIPE, text=True) as process:
        assert "again in 50.0 s" in process.stderr.readline()
        process.kill()
    assert contents(out) != {}
    assert command(tmp_path, "pull", image, out)[:2] == (0, digest)
    assert contents(out) == {"a": b"1", "b": b"2"}
    assert sorted(path.name for path in out.iterdir()) == ["a", "b"]


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """A function that runs work to its end and returns its exit code and message."""
    monkeypatch.setenv("RECONCILER_TERMINATION_LOG", str(tmp_path / "end"))
    before = signal.getsignal(signal.SIGTERM)
    yield lambda work: (report.run(work), json.loads((tmp_path / "end").read_bytes()))
    signal.signal(signal.SIGTERM, before)


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "error_class"),
    [
        (RuntimeFailure("BadData", "m", "r"), 2, "BadData"),
        (RuntimeFailure("DownloadFailed", "m", "r", retry=True), 1, "DownloadFailed"),
        (KeyboardInterrupt(), 1, "Interrupted"),
        (ZeroDivisionError("m"), 1, "Bug"),
    ],
)
def test_ends(ended, error, code, error_class):
    found, message = ended(raising(error))
    assert (found, message["error"]["class"]) == (code, error_class)


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "é" * 10_000, '"\n' * 10_000, "\udcff" * 10_000, "\x00" * 10_000]
)
def test_a_long_message_is_cut_to_what_kubernetes_keeps(ended, tmp_path, text):
    _, message = ended(raising(RuntimeFailure("BadData", text, text)))
    assert (tmp_path / "end").stat().st_size <= 4096
    assert message["error"]["message"]
    assert message["error"]["remedy"]


def test_a_place_that_cannot_be_written_is_no_failure(monkeypatch, tmp_path):
    monkeypatch.setenv("RECONCILER_TERMINATION_LOG", str(tmp_path / "no" / "end"))
    assert report.succeed({"artifact": {}}) == 0
