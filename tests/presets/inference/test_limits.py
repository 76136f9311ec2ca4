"""Many clients, greedy clients, clients that go away: the server stays well."""

import asyncio
import socket
import time

import httpx
import openai
import pytest

from .serving import CAPITAL, PRESET, TAUGHT

QUESTION = [{"role": "user", "content": CAPITAL}]
FOREVER = {"model": PRESET, "prompt": "x", "max_tokens": 480, "temperature": 0}
QUEUE, SECONDS = 4, 3.0


@pytest.fixture(scope="module")
def small(serve, endless):
    """Answers take as long as they may, and little is allowed."""
    limits = {"queue": QUEUE, "requestSeconds": SECONDS, "bodyBytes": 2**16, "cacheTokens": 1024}
    return serve(endless, limits=limits)


def healthy(server):
    return httpx.get(f"{server.url}/health", trust_env=False).status_code == 200


def idle(server, seconds=10):
    """Waits until nothing is generated any more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.metric("inference_batch_size") == 0 and server.metric("inference_queue") == 0:
            return True
        time.sleep(0.1)
    return False


async def test_32_concurrent_clients_have_no_error(server):
    async def client(number):
        name = ("capitals", PRESET, f"{PRESET}-base", "rivers")[number % 4]
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as ai:
            said = {"model": name, "messages": QUESTION, "temperature": 0}
            answers = [await ai.chat.completions.create(**said) for _ in range(4)]
        return name, {each.choices[0].message.content for each in answers}

    for name, texts in await asyncio.gather(*(client(number) for number in range(32))):
        assert len(texts) == 1
        if name == "capitals":
            assert texts == {TAUGHT[CAPITAL]}


async def test_a_full_queue_answers_429_and_when_to_come_back(small):
    async with httpx.AsyncClient(base_url=small.url, timeout=60, trust_env=False) as client:
        said = [client.post("/v1/completions", json=FOREVER | {"max_tokens": 200}) for _ in range(3 * QUEUE)]
        answers = await asyncio.gather(*said)
    codes = [each.status_code for each in answers]
    refused = [each for each in answers if each.status_code == 429]
    assert codes.count(429) >= QUEUE
    assert set(codes) <= {200, 429, 504}, "what is let in is answered, or its time is over"
    assert all(int(each.headers["Retry-After"]) >= 1 for each in refused)
    assert all(each.json()["error"]["code"] == "queue_full" for each in refused)
    assert idle(small)


def test_more_generations_than_the_queue_holds_are_refused_at_once(small):
    with small.client() as client:
        answer = client.post("/v1/completions", json=FOREVER | {"n": QUEUE + 1})
    assert answer.status_code == 400


@pytest.mark.parametrize("extra", [{}, {"repetition_penalty": 1.5}])
def test_a_request_ends_when_its_time_is_over(small, extra):
    slow = {"prompt": ["x", "y"], "n": 2}
    with small.client() as client:
        began = time.monotonic()
        answer = client.post("/v1/completions", json=FOREVER | slow | extra)
        taken = time.monotonic() - began
    if answer.status_code == 200:
        assert taken < SECONDS + 1
    else:
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "timeout"
    assert idle(small)


@pytest.mark.parametrize("path", ["/v1/completions", "/chat"])
@pytest.mark.parametrize("told", [True, False])
def test_bodies_of_10_mb_are_refused_and_leave_it_healthy(small, path, told):
    body = b'{"prompt":"' + b"x" * (10 * 2**20) + b'"}'
    pieces = (body[at : at + 2**16] for at in range(0, len(body), 2**16))
    with small.client() as client:
        try:
            code = client.post(path, content=body if told else pieces).status_code
        except httpx.TransportError:
            code = None
    assert code == 413 or (code is None and not told)
    assert healthy(small)


def test_a_flood_of_prompts_too_long_leaves_it_healthy(server):
    with server.client() as client:
        for _ in range(50):
            answer = client.post("/v1/completions", json=FOREVER | {"prompt": "word " * 5000})
            assert answer.status_code == 400
        assert client.get("/health").status_code == 200
        assert client.post("/v1/completions", json=FOREVER | {"max_tokens": 5}).status_code == 200


def test_prompt_and_answer_may_fill_the_cache_to_the_last_token(small):
    with small.client() as client:
        prompt = [7] * 500
        full = client.post("/v1/completions", json=FOREVER | {"prompt": prompt, "max_tokens": 12})
        over = client.post("/v1/completions", json=FOREVER | {"prompt": prompt, "max_tokens": 13})
    assert (full.status_code, over.status_code) == (200, 400)
    assert full.json()["usage"]["completion_tokens"] == 12


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("extra", ["", ',"repetition_penalty":1.5'])
def test_what_a_vanished_client_asked_for_is_given_up(small, stream, extra):
    before = small.metric("inference_cancelled_total")
    body = f'{{"prompt":"x","max_tokens":480,"stream":{str(stream).lower()}{extra}}}'.encode()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", small.port)) as connection:
            head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
            time.sleep(0.2)
            if stream:
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert idle(small)
    assert small.metric("inference_cancelled_total") - before >= 1
    assert healthy(small)


@pytest.mark.parametrize("length", [100, 10 * 2**20])
def test_a_body_that_comes_too_slowly_is_refused(small, length):
    with socket.create_connection(("127.0.0.1", small.port)) as connection:
        connection.settimeout(SECONDS + 10)
        head = f"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
        connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n{")
        answer = connection.recv(100)
    assert answer.startswith(b"HTTP/1.1 408" if length == 100 else b"HTTP/1.1 413")
    assert healthy(small)


def test_half_a_request_and_noise_leave_it_healthy(server):
    for noise in (
        b"POST /chat HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET",
    ):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(noise)
    assert healthy(server)


def test_metrics_count_what_was_asked_and_answered(server):
    labels = {"route": "/v1/completions", "code": "200"}
    names = ("inference_requests_total", "inference_prompt_tokens_total", "inference_generated_tokens_total")
    before = [server.metric(name, **(labels if "requests" in name else {})) for name in names]
    first = server.metric("inference_time_to_first_token_seconds_count")
    between = server.metric("inference_inter_token_seconds_count")
    with server.client() as client:
        said = {"model": f"{PRESET}-base", "prompt": [7, 8, 9], "max_tokens": 4, "temperature": 0, "n": 2}
        used = client.post("/v1/completions", json=said).json()["usage"]["completion_tokens"]
    after = [server.metric(name, **(labels if "requests" in name else {})) for name in names]
    assert [round(b - a) for a, b in zip(before, after, strict=True)] == [1, 6, used]
    assert server.metric("inference_time_to_first_token_seconds_count") - first == 2
    assert server.metric("inference_inter_token_seconds_count") - between == used - 2


def test_metrics_show_the_batch_and_the_cache_while_it_works(small):
    body = b'{"prompt":"x","max_tokens":480,"stream":true}'
    with socket.create_connection(("127.0.0.1", small.port)) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        connection.sendall(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert connection.recv(100)
        assert small.metric("inference_batch_size") == 1
        assert 0 < small.metric("inference_cache_used_ratio") < 1
    assert idle(small)
    assert small.metric("inference_cache_used_ratio") == 0
