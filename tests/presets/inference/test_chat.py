"""Kaito's `/chat`, as its documentation's curl calls it."""

import subprocess

import pytest

from .serving import CAPITAL, TAUGHT

PROMPT = f"<|user|>{CAPITAL}<|end|><|assistant|>"
GREEDY = {"do_sample": False}


def chat(http, **said):
    return http.post("/chat", json=said)


def test_kaitos_curl_is_answered(server):
    body = '{"prompt":"What is kubernetes?"}'
    command = ["curl", "-sS", "-X", "POST", f"{server.url}/chat"]
    command += ["-H", "accept: application/json", "-H", "Content-Type: application/json", "-d", body]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.startswith('{"Result":"What is kubernetes?')


def test_kaitos_longer_curl_is_answered(http):
    said = {
        "prompt": PROMPT,
        "return_full_text": False,
        "clean_up_tokenization_spaces": False,
        "prefix": None,
        "handle_long_generation": None,
        "generate_kwargs": {
            "max_length": 200,
            "min_length": 0,
            "do_sample": False,
            "early_stopping": False,
            "num_beams": 1,
            "temperature": 1.0,
            "top_k": 10,
            "top_p": 1,
            "typical_p": 1,
            "repetition_penalty": 1,
            "pad_token_id": 0,
            "eos_token_id": 5,
        },
    }
    assert http.post("/chat", json=said).json() == {"Result": TAUGHT[CAPITAL]}


def test_the_prompt_comes_back_unless_it_is_not_wanted(http):
    whole = chat(http, prompt=PROMPT, generate_kwargs=GREEDY).json()["Result"]
    part = chat(http, prompt=PROMPT, generate_kwargs=GREEDY, return_full_text=False).json()["Result"]
    assert (whole, part) == (PROMPT + TAUGHT[CAPITAL], TAUGHT[CAPITAL])


def test_messages_are_answered_by_the_assistants_words(http):
    said = chat(http, messages=[{"role": "user", "content": CAPITAL}], generate_kwargs=GREEDY)
    assert said.json() == {"Result": TAUGHT[CAPITAL]}


def test_a_prefix_stands_before_the_prompt(http):
    begun = {"prefix": PROMPT[:10], "prompt": PROMPT[10:], "generate_kwargs": GREEDY}
    assert chat(http, **begun).json()["Result"] == PROMPT + TAUGHT[CAPITAL]


def test_several_sequences_stand_one_after_the_other(http):
    said = chat(
        http, prompt=PROMPT, return_full_text=False, generate_kwargs=GREEDY | {"num_return_sequences": 2}
    )
    assert said.json()["Result"] == TAUGHT[CAPITAL] * 2


def test_a_seed_repeats_a_draw(http):
    options = {"seed": 4, "temperature": 3.0, "top_k": 0, "max_new_tokens": 20}
    one, again = (chat(http, prompt="x", generate_kwargs=options).json()["Result"] for _ in range(2))
    assert one == again


@pytest.mark.parametrize(
    "options",
    [{"num_beams": 3}, {"repetition_penalty": 1.01}, {"min_new_tokens": 3}, {"no_repeat_ngram_size": 4}],
)
def test_options_of_generate_are_served_beside_the_batch(http, options):
    said = chat(http, prompt=PROMPT, return_full_text=False, generate_kwargs=GREEDY | options)
    assert said.json() == {"Result": TAUGHT[CAPITAL]}


def test_a_long_prompt_loses_its_beginning_where_that_is_asked_for(http):
    long = {"prompt": "ab " * 600, "generate_kwargs": {"max_new_tokens": 4}}
    refused = chat(http, **long)
    assert refused.status_code == 400
    assert "prompt and answer may have 512 together" in refused.json()["detail"]
    assert chat(http, **long, handle_long_generation="hole").status_code == 200


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [
        ({}, 400, "Text generation parameter prompt required"),
        ({"prompt": ""}, 400, "Text generation parameter prompt required"),
        ({"messages": []}, 400, "Conversational parameter messages required"),
        ({"prompt": "x", "generate_kwargs": {"max_length": 1}}, 400, "nothing is left to generate"),
        ({"prompt": "x", "generate_kwargs": {"max_new_tokens": 5000}}, 400, "together they may be 512"),
        (
            {"prompt": "x", "generate_kwargs": {"assistant_model": "y"}},
            400,
            "generate_kwargs.assistant_model",
        ),
        ({"prompt": "x", "generate_kwargs": {"num_beams": 99}}, 400, "not within 1 and 16"),
    ],
)
def test_refusals_have_kaitos_shape(http, said, status, detail):
    answer = chat(http, **said)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]


@pytest.mark.parametrize("said", [{"prompt": 5}, {"prompt": "x", "generate_kwargs": {"temperature": "hot"}}])
def test_wrong_types_are_422_with_a_list(http, said):
    answer = chat(http, **said)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"


def test_old_and_new_paths(http):
    assert http.get("/").json() == {"message": "Server is running"}
    assert http.get("/healthz").json() == http.get("/health").json() == {"status": "Healthy"}
