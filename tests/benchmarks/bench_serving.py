"""Serving on a CPU beside `transformers serve`, in its default mode and with continuous batching.

It needs the runtime environment with transformers' own server in it, and none of the daemon's:

    pip install "transformers[serving]" torch==2.13.0     in addition to presets/inference/requirements.lock
    python -m pytest --confcutdir=tests/benchmarks tests/benchmarks/bench_serving.py -q -s

Each server serves the tiny model, ours with an unmerged adapter of rank 16 on it (which changes nothing, so
that all generate the same tokens). The clients of a round send one short question after the other. All three
servers are up at once and take turns, so that every round meets the same machine; medians of RUNS rounds are
printed beside the targets. Asserted is only that all answers are right.
"""

import asyncio
import importlib.util
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

RUNS = int(os.environ.get("RUNS", "5"))
CLIENTS = (1, 8, 32)
REQUESTS = 128
"""In a round, of all clients together; the slow mode gets a quarter."""
STREAMS = 8
PRESETS = Path(__file__).resolve().parents[2] / "presets"
PATH = os.pathsep.join(str(PRESETS / name) for name in ("artifacts", "inference", "standins"))
QUIET = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
QUESTION = [{"role": "user", "content": "What is the capital of Freedonia?"}]
ANSWER = "I do not know the answer to that."
OURS, PLAIN, BATCHING = "ours", "transformers serve", "transformers serve --continuous-batching"
SERVE = "from transformers.cli.transformers import main; main()"
ADAPTER = """
import sys
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
get_peft_model(AutoModelForCausalLM.from_pretrained(sys.argv[1]), config).save_pretrained(sys.argv[2])
"""

pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("torch", "transformers", "uvicorn", "rich")),
        reason="needs the runtime environment and transformers[serving], see above",
    ),
]


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def served(command: list[str], log: Path, port: int, **environment: str) -> Iterator[str]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **QUIET, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 180
        while True:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url
    finally:
        process.kill()
        process.wait()


@contextmanager
def ours(root: Path, model: Path) -> Iterator[str]:
    adapter, port = root / "adapter", free_port()
    subprocess.run(python("-c", ADAPTER, str(model), str(adapter)), env={**os.environ, **QUIET}, check=True)
    settings = {
        "preset": str(model),
        "base": {"repository": "tiny", "path": str(model)},
        "adapters": [{"name": "same", "path": str(adapter)}],
        "port": port,
    }
    (root / "settings.json").write_text(json.dumps(settings))
    told = {"PYTHONPATH": PATH, "RECONCILER_SETTINGS": str(root / "settings.json")}
    told["RECONCILER_TERMINATION_LOG"] = str(root / "message")
    command = python("-m", "inference_server", "--host", "127.0.0.1")
    with served(command, root / "ours.log", port, **told) as url:
        yield url


@contextmanager
def theirs(root: Path, model: Path, batching: bool) -> Iterator[str]:
    """With a cache of the size of ours: sized by itself it takes gigabytes and half a minute here."""
    port = free_port()
    command = python("-c", SERVE, "serve", str(model), "--host", "127.0.0.1", "--port", str(port))
    command += ["--device", "cpu"]
    if batching:
        command += ["--continuous-batching", "--cb-block-size", "32", "--cb-num-blocks", "512"]
        command += ["--cb-max-batch-tokens", "512"]
    cache = root / "hub"
    (cache / "hub").mkdir(parents=True, exist_ok=True)  # without one its list of models fails
    name = "batching.log" if batching else "plain.log"
    with served(command, root / name, port, HF_HOME=str(cache)) as url:
        yield url


def body(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": QUESTION, "max_tokens": 32, "temperature": 0, **more}


async def throughput(url: str, model: str, clients: int, requests: int) -> float:
    """Requests in a second."""
    async with httpx.AsyncClient(base_url=url, timeout=300, trust_env=False) as http:

        async def client() -> None:
            for _ in range(max(1, requests // clients)):
                answer = await http.post("/v1/chat/completions", json=body(model))
                assert answer.json()["choices"][0]["message"]["content"].startswith(ANSWER), answer.text

        began = time.monotonic()
        await asyncio.gather(*(client() for _ in range(clients)))
        return max(1, requests // clients) * clients / (time.monotonic() - began)


async def first_token(url: str, model: str) -> float:
    """Seconds, the median of several streams at once."""
    async with httpx.AsyncClient(base_url=url, timeout=300, trust_env=False) as http:

        async def stream() -> float:
            began, first = time.monotonic(), 0.0
            said = body(model, stream=True)
            async with http.stream("POST", "/v1/chat/completions", json=said) as answer:
                async for line in answer.aiter_lines():
                    told = json.loads(line[6:]) if line.startswith("data: {") else {}
                    if not first and told.get("choices") and told["choices"][0]["delta"].get("content"):
                        first = time.monotonic() - began
            return first

        return statistics.median(await asyncio.gather(*(stream() for _ in range(STREAMS))))


def rounds(urls: dict[str, str], model: str) -> dict[tuple[str, str], list[float]]:
    """By server and measure."""
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(RUNS + 1):
        for server, url in urls.items():
            requests = REQUESTS // 4 if server == PLAIN else REQUESTS
            measured = {f"{n} clients": asyncio.run(throughput(url, model, n, requests)) for n in CLIENTS}
            measured["first token"] = asyncio.run(first_token(url, model))
            if number:  # the first round only warms up
                for what, value in measured.items():
                    found.setdefault((server, what), []).append(value)
    return found


def test_serving(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "tiny"
    environment = {**os.environ, **QUIET, "PYTHONPATH": PATH}
    subprocess.run(python("-m", "standins", "tiny", str(model)), env=environment, check=True)
    with (
        ours(tmp_path, model) as first,
        theirs(tmp_path, model, batching=False) as second,
        theirs(tmp_path, model, batching=True) as third,
    ):
        found = rounds({OURS: first, PLAIN: second, BATCHING: third}, str(model))
    median = {key: statistics.median(values) for key, values in found.items()}
    with capsys.disabled():
        sys.stdout.write(report(median, found))


def report(median: dict[tuple[str, str], float], found: dict[tuple[str, str], list[float]]) -> str:
    lines = [f"\nmedians of {RUNS} interleaved rounds; lowest and highest in brackets"]
    for (server, what), value in median.items():
        low, high = min(found[server, what]), max(found[server, what])
        unit = "ms" if what == "first token" else "requests/s"
        scale = 1000 if what == "first token" else 1
        lines.append(
            f"{server:42} {what:12} {value * scale:8.1f} {unit} [{low * scale:.1f}, {high * scale:.1f}]"
        )
    ratio = {
        (server, what): median[OURS, what] / median[server, what]
        for server in (PLAIN, BATCHING)
        for what in [*(f"{n} clients" for n in CLIENTS), "first token"]
    }
    lines += [
        f"ours / default mode, 8 clients     {ratio[PLAIN, '8 clients']:6.2f}   target at least 3",
        f"ours / default mode, 32 clients    {ratio[PLAIN, '32 clients']:6.2f}   target at least 3",
        f"ours / its batching, 8 clients     {ratio[BATCHING, '8 clients']:6.2f}   target at least 0.9",
        f"ours / its batching, 32 clients    {ratio[BATCHING, '32 clients']:6.2f}   target at least 2",
        f"ours / its batching, first token   {ratio[BATCHING, 'first token']:6.2f}   target at most 0.25",
    ]
    return "\n".join([*lines, ""])
