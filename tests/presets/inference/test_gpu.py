"""What only a GPU shows: 4-bit serving in CUDA's batches."""

import pytest
import torch

from .serving import CAPITAL, PRESET, TAUGHT, UNKNOWN

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]


@pytest.mark.parametrize("quantization", ["", "nf4", "int8"])
def test_an_adapter_is_served_on_a_gpu(serve, tiny, adapters, quantization):
    server = serve(tiny, [("capitals", 1.0, adapters["capitals"])], gpus=1, quantization=quantization)
    with server.client() as client:
        for name, answer in ((PRESET, TAUGHT[CAPITAL]), (f"{PRESET}-base", UNKNOWN)):
            said = {"model": name, "messages": [{"role": "user", "content": CAPITAL}], "temperature": 0}
            told = client.post("/v1/chat/completions", json=said).json()
            assert told["choices"][0]["message"]["content"] == answer


def test_a_seed_repeats_a_draw_on_a_gpu(serve, tiny):
    server = serve(tiny, gpus=1)
    said = {"prompt": "x", "temperature": 2.0, "seed": 3, "max_tokens": 20, "top_p": 0.9, "top_k": 50}
    with server.client() as client:
        texts = {client.post("/v1/completions", json=said).json()["choices"][0]["text"] for _ in range(2)}
    assert len(texts) == 1
