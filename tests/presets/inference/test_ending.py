"""How a server stops, fails to start, and tells that it can serve no more."""

import asyncio
import json

import httpx
import pytest
from artifacts.errors import RuntimeFailure
from inference_server import model
from inference_server.admission import Gate
from inference_server.app import app
from inference_server.engines import Engines
from inference_server.generation import Generation
from inference_server.names import adapter_sets
from inference_server.settings import Settings

from .serving import PRESET, launch

TOKENS = 60


async def one_client(server, codes):
    """Asks again and again until the port is closed; every answer is whole or a clear refusal."""
    body = {"prompt": "x", "max_tokens": TOKENS, "temperature": 0}
    async with httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client:
        while True:
            try:
                answer = await client.post("/v1/completions", json=body)
            except httpx.ConnectError:
                return
            codes.append(answer.status_code)
            if answer.status_code != 200:
                assert answer.status_code == 503
                assert answer.headers["Retry-After"]
                assert answer.headers["Connection"] == "close"
                return
            assert answer.json()["usage"]["completion_tokens"] == TOKENS


async def test_no_request_is_lost_when_it_is_told_to_stop(serve, endless):
    server = serve(endless)
    codes = []
    clients = [asyncio.create_task(one_client(server, codes)) for _ in range(12)]
    streamed = asyncio.create_task(one_stream(server))
    while len(codes) < 12:
        await asyncio.sleep(0.05)
    code, message = await asyncio.to_thread(server.terminate)
    await asyncio.gather(*clients)
    assert (code, "error" in message) == (0, False)
    assert await streamed == 400
    assert 503 in codes


async def one_stream(server):
    """Begun before the end, ended after it."""
    body = {"prompt": "x", "max_tokens": 400, "temperature": 0, "stream": True}
    body["stream_options"] = {"include_usage": True}
    async with httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client:
        lines = (await client.post("/v1/completions", json=body)).text.strip().split("\n\n")
    assert lines[-1] == "data: [DONE]"
    return json.loads(lines[-2].removeprefix("data: "))["usage"]["completion_tokens"]


def test_draining_has_an_end(serve, endless):
    server = serve(endless, limits={"drainSeconds": 0.5})
    body = {"prompt": "x", "max_tokens": 500, "stream": True}
    with server.client() as client, client.stream("POST", "/v1/completions", json=body) as answer:
        next(answer.iter_lines())
        code, _ = server.terminate()
    assert code == 0


@pytest.mark.parametrize(
    ("more", "error_class", "said"),
    [
        ({"base": {"repository": "x", "path": "/nowhere"}}, "ModelMissing", PRESET),
        ({"maxModelLen": "long"}, "BadConfig", "maxModelLen"),
    ],
)
def test_a_start_that_fails_tells_why(tiny, tmp_path, more, error_class, said):
    server = launch(tmp_path, tiny, **more)
    assert server.process.wait(100) == 2
    told = json.loads((tmp_path / "message").read_text())["error"]
    assert told["class"] == error_class
    assert said in told["message"]
    assert told["remedy"]
    assert server.log.strip().splitlines()[-1].endswith(told["remedy"])


@pytest.mark.parametrize(
    ("more", "error_class", "retry"),
    [
        ({"base": {"repository": "nobody/nothing"}}, "ModelMissing", True),
        ({"maxModelLen": 4096}, "BadConfig", False),
    ],
)
def test_what_cannot_be_loaded_is_classed(tiny, more, error_class, retry):
    said = {"preset": PRESET, "base": {"repository": "x", "path": str(tiny)}}
    with pytest.raises(RuntimeFailure) as caught:
        model.load(Settings.model_validate(said | more))
    assert (caught.value.error_class, caught.value.retry) == (error_class, retry)


def test_a_stand_in_is_served_and_said_to_be_one(tiny, tmp_path, monkeypatch, caplog):
    (tmp_path / "table.json").write_text(json.dumps({"models": {PRESET: str(tiny)}}))
    monkeypatch.setenv("RECONCILER_STAND_INS", str(tmp_path / "table.json"))
    loaded = model.load(Settings.model_validate({"preset": PRESET, "base": {"repository": "nobody/nothing"}}))
    assert loaded.max_length == 512
    assert f"stand-in: {PRESET} is served from {tiny}" in caplog.text


@pytest.fixture
def generation(tiny):
    settings = Settings.model_validate({"preset": PRESET, "base": {"repository": "x", "path": str(tiny)}})
    loaded = model.load(settings)
    engines = Engines(loaded, adapter_sets(settings), 1024)
    made = Generation(engines, loaded.tokenizer, loaded.end_ids, loaded.defaults)
    made.settings = settings
    engines.start()
    yield made
    engines.stop()


async def test_health_fails_when_the_batching_worker_died(generation):
    def broken(*_):
        raise RuntimeError("a device that fell off its bus")

    served = app(generation.settings, generation, Gate(8))
    transport = httpx.ASGITransport(served)
    said = {"prompt": "x", "max_tokens": 4}
    async with httpx.AsyncClient(transport=transport, base_url="http://server", timeout=60) as client:
        assert (await client.post("/v1/completions", json=said)).status_code == 200
        assert (await client.get("/health")).status_code == 200
        for engine in generation.engines._all():
            if hasattr(engine, "_manager"):
                engine._manager.model.register_forward_pre_hook(broken)
        answers = await asyncio.gather(*(client.post("/v1/completions", json=said) for _ in range(4)))
        health = await client.get("/healthz")
        late = await client.post("/v1/completions", json=said)
    assert {each.status_code for each in (*answers, late)} == {500}
    assert answers[0].json()["error"]["type"] == "server_error"
    assert health.status_code == 500
    assert "the batching worker died" in health.json()["detail"]
    assert "fell off its bus" in health.json()["detail"]
