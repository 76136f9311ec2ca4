"""vLLM behind our proxy, with a stand-in for `vllm serve`: what passes, `/chat`, how the container ends."""

import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

import httpx
import pytest

from .vllm_server import PATIENCE, Server, until


@pytest.fixture
def start(tmp_path):
    """Starts the server with these settings and further environment."""
    programs = tmp_path / "bin"
    programs.mkdir()
    vllm = programs / "vllm"
    vllm.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_vllm.py")} "$@"\n')
    vllm.chmod(0o755)
    started = []

    def make(environment=(), **said):
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        log = {"PATH": path, "FAKE_VLLM_LOG": str(tmp_path / "log")}
        started.append(Server(tmp_path, {**log, **dict(environment)}, **said))
        return started[-1]

    yield make
    for each in started:
        each.release()
        each.process.kill()
        each.process.wait()


@pytest.fixture
def server(start):
    return start().wait_ready()


def adapters(folder, *names):
    for name in names:
        (folder / name).mkdir()
        (folder / name / "adapter_config.json").write_text('{"r": 8, "lora_alpha": 16}')
    return [{"name": name, "path": str(folder / name)} for name in names]


def test_vllm_is_told_settings_and_options(start, tmp_path):
    (tmp_path / "inference_config.yaml").write_text("vllm:\n  enforce-eager: true\n")
    server = start(gpus=2).wait_ready()
    argv = server.log[0]["argv"]
    assert argv[:2] == ["serve", "microsoft/phi-4"]
    assert {
        "--host=127.0.0.1",
        "--served-model-name=phi-4",
        "--tensor-parallel-size=2",
        "--enforce-eager",
    } < {*argv}


def test_its_api_passes_through(server):
    assert server.get("/version").json() == {"version": "0.0"}
    assert "vllm:num_requests_running" in server.get("/metrics").text
    assert server.get("/v1/models?limit=2").json() == {"path": "/v1/models?limit=2"}
    said = {"model": "phi-4", "prompt": "x y"}
    key = {"authorization": "Bearer key"}
    answer = server.post("/v1/completions", json=said, headers=key)
    assert answer.json()["choices"][0]["text"] == " -> phi-4 says x y"
    assert server.log[-1] == {"path": "/v1/completions", "body": said, "authorization": "Bearer key"}
    assert server.post("/tokenize", json=said).json() == {"count": 2}
    assert server.post("/v1/completions", json={"prompt": "refuse"}).status_code == 400
    assert server.get("/load").status_code == 404


def test_streams_come_as_they_are_made(server):
    said = {"prompt": "x", "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/completions", json=said, timeout=PATIENCE) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: 1"
        server.release()
        assert [line for line in lines if line] == ["data: [DONE]"]


def test_a_client_that_leaves_a_stream_is_not_served_further(server):
    said = {"prompt": "endless", "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/completions", json=said, timeout=PATIENCE) as answer:
        next(answer.iter_lines())
    until(lambda: {"gone": "endless"} in server.log)


@pytest.mark.parametrize(
    ("body", "path", "sent", "result"),
    [
        (
            {"prompt": "Hi"},
            "/v1/completions",
            {"prompt": "Hi", "max_tokens": 256},
            "Hi -> phi-4 says Hi",
        ),
        (
            {
                "prompt": "Hi",
                "return_full_text": False,
                "generate_kwargs": {"max_new_tokens": 5, "do_sample": False},
            },
            "/v1/completions",
            {"prompt": "Hi", "max_tokens": 5, "temperature": 0},
            " -> phi-4 says Hi",
        ),
        (
            {
                "messages": [{"role": "user", "content": "Hi"}],
                "generate_kwargs": {"top_k": 10, "num_beams": 1},
            },
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 256, "top_k": 10},
            "phi-4 says Hi",
        ),
        (
            {"prompt": "a b c", "return_full_text": False, "generate_kwargs": {"max_length": 200}},
            "/v1/completions",
            {"prompt": "a b c", "max_tokens": 197},
            " -> phi-4 says a b c",
        ),
        (
            {"messages": [{"role": "user", "content": "Hi"}], "generate_kwargs": {"num_return_sequences": 2}},
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 256, "n": 2},
            "phi-4 says Hiphi-4 says Hi",
        ),
    ],
)
def test_chat_in_both_shapes(server, body, path, sent, result):
    answer = server.post("/chat", json=body)
    assert (answer.status_code, answer.json()) == (200, {"Result": result})
    assert server.asked(path) == [{"model": "phi-4", **sent}]


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        ("{}", 400, "Text generation parameter prompt required"),
        ('{"prompt": "refuse"}', 400, "too long"),
        (
            '{"prompt": "x", "generate_kwargs": {"num_beams": 4}}',
            400,
            "generate_kwargs.num_beams = 4 is not supported",
        ),
        ('{"prompt": "x", "generate_kwargs": {"max_new_tokens": -1}}', 400, "whole number above 0"),
        ('{"prompt": "a b c", "generate_kwargs": {"max_length": 3}}', 400, "the prompt has 3 tokens"),
        ('{"prompt": 1}', 422, "valid string"),
        ("{", 422, "Invalid JSON"),
    ],
)
def test_chat_refuses(server, content, status, detail):
    answer = server.post("/chat", content=content)
    assert answer.status_code == status
    assert detail in json.dumps(answer.json()["detail"])


@pytest.mark.parametrize(("names", "model"), [((), "phi-4"), (("a",), "a"), (("a", "b"), "a")])
def test_chat_uses_the_first_adapter(start, tmp_path, names, model):
    server = start(adapters=adapters(tmp_path, *names)).wait_ready()
    answer = server.post("/chat", json={"prompt": "x", "return_full_text": False})
    assert answer.json() == {"Result": f" -> {model} says x"}
    said = f"/chat is answered by {model}" + ("; vLLM combines no adapters" if len(names) > 1 else "")
    assert said in server.output.read_text()


def test_bodies_and_requests_are_limited(start):
    server = start(limits={"bodyBytes": 1000, "queue": 1}).wait_ready()
    assert server.post("/v1/completions", json={"prompt": "x" * 1000}).status_code == 413
    assert server.post("/chat", json={"prompt": "x" * 1000}).status_code == 413
    first = threading.Thread(target=server.post, args=["/chat"], kwargs={"json": {"prompt": "hold"}})
    first.start()
    until(lambda: server.asked("/v1/completions"))
    for path in ("/chat", "/v1/completions"):
        refused = server.post(path, json={"prompt": "x"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert server.get("/health").status_code == 200
    server.release()
    first.join()
    assert server.post("/chat", json={"prompt": "x"}).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(start):
    server = start(limits={"requestSeconds": 0.3}).wait_ready()
    assert server.post("/chat", json={"prompt": "hold"}).status_code == 504


def test_it_is_not_healthy_before_vllm_is(start, tmp_path):
    (tmp_path / "bin" / "vllm").write_text("#!/bin/sh\nexec sleep 60\n")
    server = start()
    until(lambda: reachable(server))
    assert server.get("/health").status_code == 503
    refused = server.post("/chat", json={"prompt": "x"})
    assert (refused.status_code, refused.json()) == (503, {"detail": "vLLM does not answer (yet)"})


def reachable(server):
    with contextlib.suppress(httpx.TransportError):
        return bool(server.get("/health").status_code)


def test_sigterm_lets_requests_end_then_is_passed_on(server):
    answers = []
    running = threading.Thread(target=lambda: answers.append(server.post("/chat", json={"prompt": "hold"})))
    running.start()
    until(lambda: server.asked("/v1/completions"))
    server.process.send_signal(signal.SIGTERM)
    until(lambda: not reachable(server))
    assert {"signal": "SIGTERM"} not in server.log
    server.release()
    running.join()
    assert answers[0].status_code == 200
    assert server.end() == 0
    assert server.log[-1] == {"signal": "SIGTERM"}
    assert not (server.folder / "termination").exists()


def test_the_end_of_vllm_ends_the_container(server):
    with contextlib.suppress(httpx.TransportError):
        server.post("/v1/completions", json={"prompt": "die"})
    assert server.end() == 5
    assert server.termination["class"] == "Bug"
    assert "vLLM ended with exit code 5" in server.termination["message"]


@pytest.mark.parametrize(
    ("fails", "code", "error_class", "message"),
    [
        (
            "2:error: unrecognized arguments: --x",
            2,
            "BadConfig",
            "exit code 2: error: unrecognized arguments: --x",
        ),
        ("1:torch.OutOfMemoryError: CUDA out of memory.", 1, "OutOfMemory", "CUDA out of memory"),
        ("1:ValueError: No available memory for the cache blocks.", 1, "OutOfMemory", "cache blocks"),
        ("-9:loading", 137, "OutOfMemory", "signal SIGKILL"),
        ("0:", 1, "Bug", "exit code 0"),
        ("7:RuntimeError: engine", 7, "Bug", "exit code 7: RuntimeError: engine"),
    ],
)
def test_why_vllm_ended_is_told(start, fails, code, error_class, message):
    server = start({"FAKE_VLLM_FAILS": fails})
    assert server.end() == code
    assert server.termination["class"] == error_class
    assert message in server.termination["message"]
    assert server.termination["remedy"] in server.output.read_text()


def test_a_bad_configuration_starts_nothing(start, tmp_path):
    (tmp_path / "inference_config.yaml").write_text("vllm:\n  port: 1\n")
    server = start()
    assert server.end() == 2
    assert server.termination["class"] == "BadConfig"
    assert not (tmp_path / "log").exists()


def test_an_image_without_vllm_says_so(start, tmp_path):
    server = start({"PATH": str(tmp_path)})
    assert server.end() == 2
    assert "this image has no vLLM" in server.termination["message"]
