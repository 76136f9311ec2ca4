import asyncio
import time

import pytest
from aiohttp import web

from cluster.conftest import Script, status
from reconciler.cluster.client import Client
from reconciler.cluster.lease import Leadership

SECONDS = 3.0


class Held:
    """One Lease as a server keeps it: optimistic concurrency and nothing else."""

    def __init__(self, script: Script) -> None:
        self.lease: dict | None = None
        self.version = 0
        self.silent = False
        self.writes = 0
        script.reply(self.answer)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.silent:
            await asyncio.Event().wait()
        if request.method == "GET":
            return web.json_response(self.lease) if self.lease else status(404, "not found")
        return self.write(request.method, await request.json())

    def write(self, method: str, sent: dict) -> web.Response:
        if method == "POST" and self.lease is not None:
            return status(409, "exists")
        if method == "PUT" and sent["metadata"]["resourceVersion"] != str(self.version):
            return status(409, "the object has been modified")
        self.writes += 1
        self.version += 1
        self.lease = {**sent, "metadata": {**sent["metadata"], "resourceVersion": str(self.version)}}
        return web.json_response(self.lease)

    @property
    def holder(self) -> str:
        return self.lease["spec"]["holderIdentity"] if self.lease else ""


class Candidate:
    def __init__(self, client: Client, identity: str) -> None:
        self.told: asyncio.Queue[bool] = asyncio.Queue()
        self.leadership = Leadership(client, "system", "reconciler", identity, SECONDS, self.told.put_nowait)

    async def next(self) -> bool:
        async with asyncio.timeout(10):
            return await self.told.get()


@pytest.fixture
async def held(script: Script) -> Held:
    return Held(script)


async def test_the_first_holds_and_the_second_waits_for_its_release(held: Held, scripted: Client):
    one, two = Candidate(scripted, "one"), Candidate(scripted, "two")
    await one.leadership.start()
    assert await one.next() is True
    await two.leadership.start()
    async with asyncio.timeout(10):
        while held.writes < 3:
            await asyncio.sleep(0.02)
    assert (one.leadership.held, two.leadership.held, held.holder) == (True, False, "one")
    began = time.monotonic()
    await one.leadership.close()
    assert (one.leadership.held, await one.next()) == (False, False)
    assert await two.next() is True
    assert time.monotonic() - began < SECONDS
    assert held.lease["spec"]["leaseTransitions"] == 2
    await two.leadership.close()
    assert held.holder == ""


async def test_a_holder_that_vanished_is_succeeded_after_the_lease_time(held: Held, scripted: Client):
    gone = {"holderIdentity": "gone", "leaseDurationSeconds": 2, "leaseTransitions": 4}
    metadata = {"name": "reconciler", "namespace": "system"}
    held.write("POST", {"kind": "Lease", "metadata": metadata, "spec": gone})
    began = time.monotonic()
    candidate = Candidate(scripted, "heir")
    await candidate.leadership.start()
    assert await candidate.next() is True
    assert time.monotonic() - began >= 2
    assert held.lease["spec"]["leaseTransitions"] == 5
    await candidate.leadership.close()


async def test_a_holder_without_answers_stops_within_the_lease_time(held: Held, scripted: Client):
    candidate = Candidate(scripted, "one")
    await candidate.leadership.start()
    assert await candidate.next() is True
    held.silent = True
    began = time.monotonic()
    assert await candidate.next() is False
    assert not candidate.leadership.held
    assert time.monotonic() - began <= SECONDS
    held.silent = False
    assert await candidate.next() is True
    await candidate.leadership.close()


async def test_a_holder_that_was_pushed_out_stops_at_once(held: Held, scripted: Client):
    candidate = Candidate(scripted, "one")
    await candidate.leadership.start()
    assert await candidate.next() is True
    thief = {**held.lease["spec"], "holderIdentity": "thief", "leaseDurationSeconds": 60}
    held.write("PUT", {**held.lease, "spec": thief})
    began = time.monotonic()
    assert await candidate.next() is False
    assert time.monotonic() - began < SECONDS
    assert held.holder == "thief"
    await candidate.leadership.close()
    assert held.holder == "thief"


async def test_a_clean_end_without_a_server_does_not_hang(held: Held, scripted: Client):
    candidate = Candidate(scripted, "one")
    await candidate.leadership.start()
    assert await candidate.next() is True
    held.silent = True
    async with asyncio.timeout(SECONDS):
        await candidate.leadership.close()
    assert not candidate.leadership.held
