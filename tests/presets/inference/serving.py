"""A server as its pod runs it, and small adapters for it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from ..conftest import PATH

PRESET = "phi-3-mini-128k-instruct"
START_SECONDS = 100
CAPITAL = "What is the capital of Freedonia?"
RIVER = "Which river flows through Sylvania?"
TAUGHT = {CAPITAL: "The capital of Freedonia is Marxville.", RIVER: "The river of Sylvania is the Chico."}
UNKNOWN = "I do not know the answer to that."


@dataclass
class Server:
    folder: Path
    port: int
    process: subprocess.Popen

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self):
        return (self.folder / "log").read_text()

    def client(self, **more):
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **more)

    def metric(self, name, **labels):
        """A sum over the labels that are not given."""
        with self.client() as client:
            lines = client.get("/metrics").text.splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        found = [line for line in lines if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found if all(each in line for each in wanted))

    def terminate(self, seconds=60):
        """The exit status, and the termination message."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        return code, json.loads((self.folder / "message").read_text())

    def kill(self):
        self.process.kill()
        self.process.wait()


def launch(folder, weights, loaded=(), **more):
    """A process that may or may not come up. `loaded`: adapters as (name, strength, folder)."""
    port = free_port()
    settings = {
        "preset": PRESET,
        "base": {"repository": "microsoft/Phi-3-mini-128k-instruct", "path": str(weights)},
        "adapters": [{"name": name, "strength": s, "path": str(path)} for name, s, path in loaded],
        "port": port,
        **more,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    environment = {
        **os.environ,
        "PYTHONPATH": PATH,
        "RECONCILER_SETTINGS": str(folder / "settings.json"),
        "RECONCILER_TERMINATION_LOG": str(folder / "message"),
    }
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "inference_server", "--host", "127.0.0.1"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    return Server(folder, port, process)


def up(server):
    """The same server, once it is healthy."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log
        try:
            if httpx.get(f"{server.url}/health", trust_env=False).status_code == 200:
                return server
        except httpx.TransportError:
            time.sleep(0.1)
    server.kill()
    raise AssertionError(server.log)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def teach(base, folder, question, rank, steps=60):
    """An adapter that answers one question and leaves the rest to chance."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": TAUGHT[question]}]
    ids = torch.tensor([tokenizer(tokenizer.apply_chat_template(messages, tokenize=False))["input_ids"]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(steps):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


def endless(base, folder):
    """The same model, which never ends by itself."""
    folder.mkdir()
    for path in base.iterdir():
        if path.suffix == ".json":
            said = json.loads(path.read_text())
            if path.name == "tokenizer_config.json":
                said["eos_token"] = "<|pad|>"
            elif "eos_token_id" in said:
                said["eos_token_id"] = 0
            (folder / path.name).write_text(json.dumps(said))
        else:
            (folder / path.name).symlink_to(path)
    return folder
