"""Webhook endpoints over a real socket: sizes, slowness, floods, secrets that change."""

import asyncio
import hashlib
import hmac
import json
from pathlib import Path

import aiohttp
import pytest

from reconciler.model.settings import WebhookSettings, WebSettings
from reconciler.web import Hook, Nudge, Probes, hooks, serve

SECRET = "a-secret-of-some-length"
PUSH = {"X-GitHub-Event": "push"}


def signed(body: bytes, secret: str = SECRET) -> dict:
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


class Served:
    """A server with one endpoint, what it was nudged to, and a session."""

    def __init__(self, folder, **more) -> None:
        self.secret = folder / "secret"
        self.secret.write_text(f"{SECRET}\n")
        self.settings = WebhookSettings(
            provider="github", path="/hooks/github", secret_file=self.secret, **more
        )
        self.nudges: list[Nudge] = []

    async def __aenter__(self):
        settings = WebSettings(host="127.0.0.1", port=0)
        probes = Probes(lambda: True, list)
        self.web = await serve(settings, probes, [Hook(self.settings, self.nudges.append)])
        self.session = aiohttp.ClientSession(f"http://127.0.0.1:{self.web.port}")
        return self

    async def __aexit__(self, *_):
        await self.session.close()
        await self.web.close()

    async def send(self, body: bytes, headers: dict, path: str = "/hooks/github") -> int:
        async with self.session.post(path, data=body, headers=headers) as response:
            self.text = await response.text()
            return response.status


@pytest.fixture
async def served(tmp_path):
    async with Served(tmp_path, max_bytes=2048) as made:
        yield made


MAIN = json.dumps({"ref": "refs/heads/main"}).encode()


async def test_a_push_is_taken_and_nothing_of_it_but_the_ref(served):
    assert await served.send(MAIN, PUSH | signed(MAIN)) == 202
    assert (served.nudges, served.text) == ([Nudge("refs/heads/main")], "")


DATA = Path(__file__).parents[1] / "data" / "forge" / "github_webhooks.json"
EXAMPLES = json.loads(DATA.read_text())["deliveries"]
HINTS = {
    ("push", "refs/heads/master"): Nudge("refs/heads/master"),
    ("push", "refs/tags/simple-tag"): Nudge("refs/tags/simple-tag"),
    ("pull_request", "opened"): Nudge(number=2),
    ("pull_request", "synchronize"): Nudge(number=2),
    ("pull_request", "closed"): Nudge(number=2),
    ("pull_request_review", "submitted"): Nudge(number=2),
    ("pull_request_review_thread", "resolved"): Nudge(number=118),
}
"""By event, and ref or action; of all others: no reason to look."""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e['event']} {e['payload'].get('action', '')}")
async def test_what_github_really_sends(tmp_path, example):
    event, payload = example["event"], example["payload"]
    body = json.dumps(payload, indent=1).encode()
    async with Served(tmp_path) as served:
        assert await served.send(body, {"X-GitHub-Event": event} | signed(body)) == 202
    hint = HINTS.get((event, payload.get("ref") or payload.get("action")))
    assert served.nudges == ([hint] if hint else [])


async def test_a_secret_counts_as_soon_as_its_file_says_so(served):
    served.secret.write_text("another-secret-by-now")
    assert await served.send(MAIN, PUSH | signed(MAIN)) == 401
    assert await served.send(MAIN, PUSH | signed(MAIN, "another-secret-by-now")) == 202


async def test_the_previous_secret_counts_while_it_is_named(tmp_path):
    previous = tmp_path / "previous"
    previous.write_text("an-older-secret")
    async with Served(tmp_path, previous_secret_file=previous) as served:
        assert await served.send(MAIN, PUSH | signed(MAIN, "an-older-secret")) == 202


async def test_without_its_secret_nobody_is_believed(served):
    served.secret.unlink()
    assert await served.send(MAIN, PUSH | signed(MAIN, "")) == 401


REFUSALS = {
    "no signature": (MAIN, PUSH, 401),
    "a bad signature": (MAIN, PUSH | signed(b"x"), 401),
    "too large a body": (b"x" * 2049, PUSH | signed(b"x" * 2049), 413),
}


@pytest.mark.parametrize(("body", "headers", "status"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_says_nothing_of_why(served, body, headers, status):
    assert await served.send(body, headers) == status
    assert served.nudges == []
    assert SECRET not in served.text and "signature" not in served.text.lower()


async def test_a_body_of_unknown_length_is_cut_at_the_limit(served):
    async def endless():
        while True:
            yield b"x" * 1024
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        try:
            async with served.session.post(
                "/hooks/github", data=endless(), headers=PUSH | signed(b"")
            ) as answer:
                assert answer.status == 413
        except aiohttp.ClientError:
            pass  # the server hung up while we were still sending
    assert served.nudges == []


async def test_a_delivery_that_is_sent_again_does_nothing(served):
    headers = PUSH | signed(MAIN) | {"X-GitHub-Delivery": "72d3162e"}
    assert [await served.send(MAIN, headers) for _ in range(3)] == [202] * 3
    assert len(served.nudges) == 1


async def test_a_flood_is_told_when_to_come_back(tmp_path):
    async with Served(tmp_path, per_second=0.1, burst=2) as served:
        statuses = [await served.send(MAIN, PUSH | signed(MAIN)) for _ in range(4)]
    assert statuses == [202, 202, 429, 429]


async def test_a_slow_sender_holds_up_nobody_and_is_given_up(served, monkeypatch):
    monkeypatch.setattr(hooks, "READ_SECONDS", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.web.port)
    signature = signed(MAIN)["X-Hub-Signature-256"]
    writer.write(
        f"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: {len(MAIN)}\r\n"
        f"X-Hub-Signature-256: {signature}\r\n\r\n".encode()
    )
    await writer.drain()
    assert await served.send(MAIN, PUSH | signed(MAIN)) == 202
    async with asyncio.timeout(10):
        assert b" 408 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("get", "/hooks/github", 405), ("post", "/hooks/x", 404)]
)
async def test_nothing_else_answers(served, method, path, status):
    async with served.session.request(method, path) as response:
        assert response.status == status
