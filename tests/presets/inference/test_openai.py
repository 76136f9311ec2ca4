"""OpenAI's own client against a server."""

import json

import openai
import pytest

from .serving import CAPITAL, PRESET, TAUGHT, UNKNOWN

QUESTION = [{"role": "user", "content": CAPITAL}]
PROMPT = f"<|user|>{CAPITAL}<|end|><|assistant|>"


def streamed(chunks):
    chunks = list(chunks)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    return text, chunks


def test_a_chat_completion_has_text_reason_and_usage(ai):
    answer = ai.chat.completions.create(model="capitals", messages=QUESTION, temperature=0)
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", TAUGHT[CAPITAL])
    assert choice.finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens > 3


def test_a_stream_says_the_same_and_ends_with_usage(ai):
    chunks = ai.chat.completions.create(
        model="capitals",
        messages=QUESTION,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    text, chunks = streamed(chunks)
    whole = ai.chat.completions.create(model="capitals", messages=QUESTION, temperature=0)
    assert text == TAUGHT[CAPITAL]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage
    assert len(chunks) > 5


def test_a_stream_ends_with_done(http):
    said = {"model": "capitals", "messages": QUESTION, "stream": True}
    answer = http.post("/v1/chat/completions", json=said)
    lines = [line for line in answer.text.split("\n\n") if line]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert lines[-1] == "data: [DONE]"
    assert all(json.loads(line.removeprefix("data: "))["choices"] for line in lines[:-1])


def test_completions_with_and_without_a_stream(ai):
    said = {"model": "capitals", "prompt": PROMPT, "temperature": 0}
    whole = ai.completions.create(**said)
    parts = list(ai.completions.create(**said, stream=True))
    assert whole.choices[0].text == TAUGHT[CAPITAL]
    assert "".join(part.choices[0].text for part in parts) == TAUGHT[CAPITAL]


def test_several_prompts_and_choices_are_answered_in_order(ai):
    other = "<|user|>Where is Genovia?<|end|><|assistant|>"
    answer = ai.completions.create(
        model=f"{PRESET}-base", prompt=[PROMPT, other], n=2, temperature=0, max_tokens=4
    )
    assert [each.index for each in answer.choices] == [0, 1, 2, 3]
    assert {each.finish_reason for each in answer.choices} == {"length"}
    assert answer.usage.completion_tokens == 16


def test_choices_of_a_stream_are_told_apart(ai):
    chunks = ai.chat.completions.create(model="capitals", messages=QUESTION, temperature=0, n=3, stream=True)
    texts = ["", "", ""]
    for chunk in chunks:
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == [TAUGHT[CAPITAL]] * 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("stop", [" is", [" Marx", " is"], ["ville", "nowhere"]])
def test_stop_strings_end_the_text_before_them(ai, stop, stream):
    answer = ai.chat.completions.create(
        model="capitals", messages=QUESTION, temperature=0, stop=stop, stream=stream
    )
    text = streamed(answer)[0] if stream else answer.choices[0].message.content
    first = min(TAUGHT[CAPITAL].find(each) for each in ([stop] if isinstance(stop, str) else stop[:1]))
    assert text == TAUGHT[CAPITAL][: min(first, TAUGHT[CAPITAL].find(" is") if " is" in stop else first)]


def test_a_seed_repeats_a_draw_and_choices_of_one_seed_differ(ai):
    said = {
        "model": PRESET,
        "messages": [{"role": "user", "content": "?"}],
        "temperature": 2,
        "max_tokens": 24,
    }
    one, again, other = (ai.chat.completions.create(**said, seed=seed, n=3) for seed in (1, 1, 2))
    texts = [[each.message.content for each in answer.choices] for answer in (one, again, other)]
    assert texts[0] == texts[1] != texts[2]
    assert len(set(texts[0])) == 3


def test_a_seed_repeats_a_draw_in_a_full_batch_too(ai):
    said = {
        "model": PRESET,
        "messages": [{"role": "user", "content": "?"}],
        "temperature": 2,
        "max_tokens": 24,
    }
    alone = ai.chat.completions.create(**said, seed=5).choices[0].message.content
    crowd = ai.chat.completions.create(**said, seed=1, n=16).choices[4].message.content
    assert crowd == alone


@pytest.mark.parametrize("limits", [{"temperature": 0}, {"top_p": 1e-6}, {"extra_body": {"top_k": 1}}])
def test_what_leaves_one_token_is_deterministic(ai, limits):
    said = {"model": f"{PRESET}-base", "messages": QUESTION, **limits}
    assert {ai.chat.completions.create(**said).choices[0].message.content for _ in range(3)} == {UNKNOWN}


def test_max_completion_tokens_wins(ai):
    answer = ai.chat.completions.create(
        model=PRESET, messages=QUESTION, temperature=0, max_completion_tokens=2, max_tokens=9
    )
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (2, "length")


def test_parts_of_text_and_unknown_keys_are_accepted(ai):
    parts = [{"role": "user", "content": [{"type": "text", "text": CAPITAL}]}]
    answer = ai.chat.completions.create(
        model="capitals",
        messages=parts,
        temperature=0,
        user="me",
        presence_penalty=0,
        tools=[],
        extra_body={"metadata": {"a": 1}, "anything": True},
    )
    assert answer.choices[0].message.content == TAUGHT[CAPITAL]


def test_a_penalty_is_served_beside_the_batch(ai):
    plain, punished = (
        ai.chat.completions.create(
            model="capitals", messages=QUESTION, temperature=0, extra_body={"repetition_penalty": penalty}
        )
        for penalty in (1.0, 8.0)
    )
    assert plain.choices[0].message.content == TAUGHT[CAPITAL] != punished.choices[0].message.content


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"model": "nobody"}, 404, "no model 'nobody' is served here"),
        ({"temperature": 3}, 400, "temperature: Input should be less than or equal to 2"),
        ({"max_tokens": 0}, 400, "max_tokens: Input should be greater than or equal to 1"),
        ({"n": 17}, 400, "n: Input should be less than or equal to 16"),
        ({"messages": []}, 400, "messages: List should have at least 1 item"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "reads text only"),
        ({"frequency_penalty": 1}, 400, "frequency_penalty is not supported"),
        ({"logprobs": True}, 400, "logprobs is not supported"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools is not supported"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format is not supported"),
        ({"max_tokens": 4096}, 400, "together they may be 512"),
        ({"messages": [{"role": "user", "content": "ab " * 600}]}, 400, "prompt and answer may have 512"),
    ],
)
def test_refusals_have_openais_shape(ai, said, status, words):
    with pytest.raises(openai.APIStatusError) as caught:
        ai.chat.completions.create(**{"model": PRESET, "messages": QUESTION, **said})
    assert caught.value.status_code == status
    assert words in caught.value.body["message"]
    assert set(caught.value.body) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"model": 1}', b"[" * 5000, b'{"messages": "x"}', b"\xff\xfe", b"null"]
)
def test_bodies_that_are_no_request_are_refused(http, body):
    answer = http.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("prompt", "status"),
    [([1, 2, 3], 200), ([5000], 400), ([-1], 400), ([], 400), ("", 400), ([[1], [2]], 200)],
)
def test_prompts_of_token_ids(http, prompt, status):
    answer = http.post("/v1/completions", json={"model": PRESET, "prompt": prompt, "max_tokens": 2})
    assert answer.status_code == status
