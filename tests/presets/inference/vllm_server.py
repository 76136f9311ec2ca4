"""The vLLM runtime as a container runs it: a process with settings, a termination message and a log."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[3]
PRESETS = os.pathsep.join(str(ROOT / "presets" / each) for each in ("artifacts", "inference"))
PROGRAM = (
    "import logging, sys; from inference_server import vllm; from inference_server.settings import Settings;"
    "logging.basicConfig(level='INFO'); sys.exit(vllm.run(Settings.load(), '127.0.0.1'))"
)
PATIENCE = 30


class Server:
    """The program under test in a folder of its own."""

    def __init__(self, folder, environment, **said):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {"preset": "phi-4", "base": {"repository": "microsoft/phi-4"}, "port": port, **said}
        (folder / "settings.json").write_text(json.dumps(settings))
        self.url = f"http://127.0.0.1:{port}"
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                env={**self.environment(), **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def environment(self):
        return {
            **os.environ,
            "PYTHONPATH": PRESETS,
            "RECONCILER_SETTINGS": str(self.folder / "settings.json"),
            "RECONCILER_TERMINATION_LOG": str(self.folder / "termination"),
        }

    def __getattr__(self, method):
        return lambda path, **said: getattr(httpx, method)(f"{self.url}{path}", timeout=PATIENCE, **said)

    def wait_ready(self, patience=PATIENCE):
        def ready():
            assert self.process.poll() is None, self.output.read_text()
            with contextlib.suppress(httpx.TransportError):
                return self.get("/health").status_code == 200

        until(ready, patience)
        return self

    def end(self):
        return self.process.wait(PATIENCE)

    @property
    def log(self):
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]

    def asked(self, path):
        return [each["body"] for each in self.log if each.get("path") == path]

    def release(self):
        (self.folder / "release").touch()

    @property
    def termination(self):
        return json.loads((self.folder / "termination").read_text())["error"]


def until(holds, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
