"""A tuning pod from start to end: killed, asked to stop, started again, refused by its registry."""

import json
import re
import signal
import urllib.request

import pytest
from artifacts import Credentials, find

from ..artifacts.servers import docker_config, docker_registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    with docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


def at_step(process, wanted):
    """Reads the log up to there."""
    for line in process.stdout:
        found = re.search(r"step (\d+)/", line)
        if found and int(found[1]) >= wanted:
            return
    raise AssertionError("the tuning ended before")


def adapter(tuning):
    return (tuning.adapter / "adapter_model.safetensors").read_bytes()


def test_a_killed_tuning_goes_on_from_its_checkpoint(tuning):
    tuning.arguments = {"max_steps": 60, "save_strategy": "steps", "save_steps": 20, "logging_steps": 5}
    process = tuning.start()
    at_step(process, 45)
    process.kill()
    process.communicate()
    assert "checkpoint-40" in tuning.checkpoints
    code, message, log = tuning.run()
    assert code == 0, log
    assert "going on from checkpoint-40" in log
    assert message["metrics"]["steps"] == 60
    resumed = adapter(tuning)
    tuning.key = "another, which starts afresh"
    tuning.here()
    assert adapter(tuning) == resumed


def test_a_checkpoint_that_was_not_written_whole_is_passed_over(tuning):
    tuning.arguments = {"max_steps": 20, "save_strategy": "steps", "save_steps": 10}
    tuning.here()
    (tuning.results / "checkpoint-20" / "trainer_state.json").unlink()
    (tuning.results / "trained.json").unlink()
    assert tuning.here().steps == 20


def test_sigterm_saves_and_says_so(tuning):
    tuning.arguments = {"max_steps": 4000, "logging_steps": 5}
    process = tuning.start()
    at_step(process, 5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 1
    error = json.loads((tuning.root / "message").read_text())["error"]
    assert error["class"] == "Interrupted"
    assert len(tuning.checkpoints) == 1


def test_a_result_is_pushed_then_adopted_then_trained_anew_for_another_key(tuning, registry, tmp_path):
    tuning.auth = str(docker_config(tmp_path / "login.json", registry))
    tuning.image = f"{registry}/adapters/pushed:1"
    tuning.arguments = {"max_steps": 5}
    code, message, log = tuning.run()
    assert code == 0, log
    pushed = message["artifact"]
    there = find(tuning.image, credentials=Credentials.from_files([tmp_path / "login.json"]))
    assert there.digest == pushed["digest"]
    told = there.annotations
    assert told["reconciler.dev/content-key"] == "key"
    assert told["reconciler.dev/workspace"] == "ai/tune"
    assert json.loads(told["reconciler.dev/metrics"])["steps"] == 5
    assert told["reconciler.dev/dataset-digest"].startswith("sha256:")
    code, message, log = tuning.run()
    assert (code, message["artifact"]["adopted"], message["artifact"]["digest"]) == (
        0,
        True,
        pushed["digest"],
    )
    assert "nothing is trained" in log
    tuning.key = "another"
    code, message, log = tuning.run()
    assert (code, message["artifact"]["adopted"]) == (0, False), log


def test_a_training_that_ended_is_only_pushed(tuning, registry, tmp_path):
    tuning.arguments = {"max_steps": 5}
    tuning.here()
    tuning.auth = str(docker_config(tmp_path / "login.json", registry))
    tuning.image = f"{registry}/adapters/later:1"
    code, message, log = tuning.run()
    assert code == 0, log
    assert "rows train" not in log
    assert message["metrics"]["steps"] == 5
    assert message["artifact"]["digest"]


def test_a_registry_that_refuses_is_told_of_before_anything_is_trained(tuning, registry):
    tuning.image = f"{registry}/adapters/refused:1"
    code, message, log = tuning.run()
    assert code == 2
    assert message["error"]["class"] == "RegistryUnauthorized"
    assert "rows train" not in log
    assert "RegistryUnauthorized" in log.strip().splitlines()[-1]


FAULTS = {
    "data": ({}, lambda t: (t.root / "data" / "questions.parquet").write_bytes(b"PAR1"), "BadData"),
    "no data": ({}, lambda t: (t.root / "data" / "questions.parquet").unlink(), "BadData"),
    "configuration": ({"arguments": {"learning_rate": -1}}, lambda t: None, "BadConfig"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_trying_again_cannot_mend_ends_with_status_2(tuning, fault):
    changes, break_it, expected = FAULTS[fault]
    for name, value in changes.items():
        setattr(tuning, name, value)
    break_it(tuning)
    code, message, log = tuning.run()
    assert (code, message["error"]["class"]) == (2, expected), log
    assert log.strip().splitlines()[-1].endswith(message["error"]["remedy"])


def test_progress_can_be_scraped(tuning):
    tuning.arguments = {"max_steps": 4000, "logging_steps": 5}
    process = tuning.start()
    try:
        at_step(process, 10)
        with urllib.request.urlopen(f"http://{tuning.host}:5000/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        found = dict(line.rsplit(" ", 1) for line in lines if line.startswith("tuning_"))
        assert float(found["tuning_steps"]) == 4000
        assert float(found["tuning_step"]) >= 10
        for name in ("loss", "epoch", "tokens_per_second", "seconds_left"):
            assert float(found[f"tuning_{name}"]) > 0
    finally:
        process.kill()
        process.communicate()


def test_two_processes_train_together(tuning):
    tuning.processes = 2
    tuning.arguments = {"max_steps": 10}
    code, message, log = tuning.run()
    assert code == 0, log
    assert message["metrics"]["steps"] == 10


def test_a_failure_of_one_of_them_is_told(tuning):
    tuning.processes = 2
    tuning.sections = {"LoraConfig": {"lora_alfa": 1}}
    code, message, log = tuning.run()
    assert code == 2, log
    assert "did you mean lora_alpha" in message["error"]["remedy"]
