"""What Kaito's own examples ask for, era by era, is accepted: (model, machine) under the example's file name.

The manifests are written anew from what the examples ask for; their placeholders are filled in.
"""

import pytest
from verdicts.judge import (
    A10,
    A100X2,
    A100X4,
    BOTH,
    H100X2,
    V100,
    V100X2,
    adapter,
    config,
    private,
    said,
    serving,
    template,
    token,
    tuning,
)

ALPHA, BETA = BOTH
CONTAINER = {"name": "custom-llm", "image": "registry.example.com/llm:1", "ports": [{"containerPort": 5000}]}
INFERENCE_CONFIG = "vllm:\n  cpu-offload-gb: 0\n  max-model-len: 4096\n"
SEEDS_ERA = {
    "falcon_40b-instruct": serving("falcon-40b-instruct", A100X4),
    "falcon_40b": serving("falcon-40b", A100X4),
    "falcon_7b-instruct": serving("falcon-7b-instruct", V100X2),
    "falcon_7b": serving("falcon-7b", V100X2),
    "falcon_7b_with_adapters": serving("falcon-7b", V100X2, adapters=[adapter(strength="0.2")]),
    "llama2_13b-chat": serving("llama-2-13b-chat", V100X2, **private()),
    "llama2_13b": serving("llama-2-13b", V100X2, **private()),
    "llama2_70b-chat": serving("llama-2-70b-chat", A100X4, count=2, **private()),
    "llama2_70b": serving("llama-2-70b", A100X4, count=2, **private()),
    "llama2_7b-chat": serving("llama-2-7b-chat", V100X2, **private()),
    "llama2_7b": serving("llama-2-7b", V100X2, **private()),
    "mistral_7b-instruct": serving("mistral-7b-instruct", V100X2),
    "mistral_7b": serving("mistral-7b", V100X2),
    "phi_2": serving("phi-2", V100),
    "phi_3_medium_128k": serving("phi-3-medium-128k-instruct"),
    "phi_3_medium_4k": serving("phi-3-medium-4k-instruct"),
    "phi_3_mini_128k": serving("phi-3-mini-128k-instruct", V100),
    "phi_3_mini_4k": serving("phi-3-mini-4k-instruct", V100),
    "phi_3_with_adapters": serving("phi-3-mini-128k-instruct", V100, adapters=[adapter(strength="1.0")]),
    "tuning_phi_3": tuning(),
}
V0_4_5 = {
    "custom-deployment-template": serving("", **template(CONTAINER)),
    "reference-image-deployment": serving("", **template({**CONTAINER, "command": ["python3", "serve.py"]})),
    "custom_config": [
        serving("deepseek-r1-distill-qwen-14b", config="ds-inference-params"),
        config("ds-inference-params", INFERENCE_CONFIG),
    ],
    "deepseek_r1_distill_llama_8b": serving("deepseek-r1-distill-llama-8b"),
    "deepseek_r1_distill_qwen_14b": serving("deepseek-r1-distill-qwen-14b"),
    "falcon_40b-instruct": serving("falcon-40b-instruct", A100X4),
    "falcon_40b": serving("falcon-40b", A100X4),
    "falcon_7b-instruct": serving("falcon-7b-instruct"),
    "falcon_7b": serving("falcon-7b"),
    "llama2_70b-chat": serving("llama-2-70b-chat", A100X4, count=2, **private()),
    "llama2_70b": serving("llama-2-70b", A100X4, count=2, **private()),
    "llama2_7b-chat": serving("llama-2-7b-chat", **private()),
    "llama2_7b": serving("llama-2-7b", **private()),
    "mistral_7b-instruct": serving("mistral-7b-instruct"),
    "mistral_7b": serving("mistral-7b"),
    "phi_2": serving("phi-2"),
    "phi_3.5-instruct": serving("phi-3.5-mini-instruct"),
    "phi_3_medium_128k": serving("phi-3-medium-128k-instruct"),
    "phi_3_medium_4k": serving("phi-3-medium-4k-instruct"),
    "phi_3_mini_128k": serving("phi-3-mini-128k-instruct"),
    "phi_3_mini_4k": serving("phi-3-mini-4k-instruct"),
    "phi_4": serving("phi-4"),
    "phi_4_mini": serving("phi-4-mini-instruct"),
    "qwen_2.5_coder_7b-instruct": serving("qwen2.5-coder-7b-instruct"),
    "the transformers runtime by annotation": serving(
        "phi-4", annotations={"kaito.sh/runtime": "transformers"}
    ),
}
NEWEST = {
    "custom-model-deployment": serving("", **template(CONTAINER)),
    "custom_config": [
        serving("deepseek-r1-distill-qwen-14b", config="ds-inference-params"),
        config("ds-inference-params", INFERENCE_CONFIG),
    ],
    "deepseek_r1": serving("deepseek-r1-0528", H100X2, count=6),
    "deepseek_r1_distill_llama_8b": serving("deepseek-r1-distill-llama-8b"),
    "deepseek_r1_distill_qwen_14b": serving("deepseek-r1-distill-qwen-14b"),
    "deepseek_v3": serving("deepseek-v3-0324", H100X2, count=6),
    "gemma_3_27b_instruct": serving("gemma-3-27b-instruct", **token()),
    "gemma_3_4b_instruct": serving("gemma-3-4b-instruct", A10, **token()),
    "gpt_oss_120b": [
        serving("gpt-oss-120b", config="oss", **token()),
        config("oss", INFERENCE_CONFIG),
    ],
    "gpt_oss_20b": [serving("gpt-oss-20b", A10, config="oss"), config("oss", INFERENCE_CONFIG)],
    "llama-3.1_8b_instruct": serving("llama-3.1-8b-instruct", A100X4, **token()),
    "llama-3.3_70b_instruct": [
        serving("llama-3.3-70b-instruct", A100X2, count=2, config="llama", **token()),
        config("llama", INFERENCE_CONFIG),
    ],
    "ministral_3_14b_instruct": serving("ministral-3-14b-instruct"),
    "ministral_3_3b_instruct": serving("ministral-3-3b-instruct", A10),
    "ministral_3_8b_instruct": serving("ministral-3-8b-instruct"),
    "mistral_7b-instruct": serving("mistral-7b-instruct"),
    "mistral_7b": serving("mistral-7b"),
    "mistral_large_3_675b_instruct": serving("mistral-large-3-675b-instruct", H100X2, count=6),
    "phi_3.5-instruct": serving("phi-3.5-mini-instruct"),
    "phi_3_medium_128k": serving("phi-3-medium-128k-instruct"),
    "phi_3_medium_4k": serving("phi-3-medium-4k-instruct"),
    "phi_3_mini_128k": serving("phi-3-mini-128k-instruct"),
    "phi_3_mini_4k": serving("phi-3-mini-4k-instruct"),
    "phi_4": serving("phi-4"),
    "phi_4_mini": serving("phi-4-mini-instruct"),
    "phi_4_mini_throughput": serving(
        "phi-4-mini-instruct", annotations={"kaito.sh/performance-mode": "throughput"}
    ),
    "qwen_2.5_coder_7b-instruct": serving("qwen2.5-coder-7b-instruct"),
    "qwen_2.5_coder_32b-instruct": serving("qwen2.5-coder-32b-instruct"),
    "tool_calling": [
        serving("phi-4-mini-instruct", config="tc-inference-params"),
        config("tc-inference-params", "vllm:\n  enable-auto-tool-choice: ''\n"),
    ],
    "tuning_phi_3_with_pvc_volume": tuning(
        machine=V100,
        input={"volumeSource": {"persistentVolumeClaim": {"claimName": "pvc-input"}}},
        output={"volumeSource": {"persistentVolumeClaim": {"claimName": "pvc-output"}}},
    ),
    "a model by its Hugging Face id": serving("microsoft/Phi-4-mini-instruct"),
    "a model that no catalogue has": serving("some-team/Model-7B"),
}
EXAMPLES = {
    **{f"0.3.2 {name}": (ALPHA, found) for name, found in SEEDS_ERA.items()},
    **{f"0.4.5 {name}": (ALPHA, found) for name, found in V0_4_5.items()},
    **{f"head {name}": (BETA, found) for name, found in NEWEST.items()},
}


@pytest.mark.parametrize(("version", "manifests"), EXAMPLES.values(), ids=EXAMPLES.keys())
def test_an_example_of_kaitos_is_accepted(version, manifests):
    found = manifests if isinstance(manifests, list) else [manifests]
    found = [m | {"apiVersion": version} if m["kind"] == "Workspace" else m for m in found]
    assert said(*found) == []
