"""The daemon's own conditions, against an API server."""

import asyncio
import json
import time

import pytest

from reconciler.cluster.client import Client
from reconciler.loop.conditions import Conditions
from reconciler.model import names
from reconciler.model.names import ObjectKey
from reconciler.model.settings import ClusterSettings

HOME = "reconciler-system"
KEY = ObjectKey("ConfigMap", HOME, names.STATE_CONFIGMAP)


@pytest.fixture
async def client(kubeconfig):
    client = await Client.connect(ClusterSettings(kubeconfig=kubeconfig), user_agent="test")
    yield client
    await client.close()


@pytest.fixture
async def process(client):
    """Makes what one process has; each is closed at the end."""
    made = []

    def begin() -> Conditions:
        made.append(Conditions(client, HOME))
        return made[-1]

    yield begin
    for each in made:
        await each.close()


async def said(client) -> dict:
    found = await client.get(KEY)
    return json.loads(found["data"][names.CONDITIONS_ENTRY]) if found else {}


async def until(client, right):
    deadline = time.monotonic() + 10
    while not right(found := await said(client)):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.01)
    return found


async def events(client):
    found, _ = await client.list("Event", HOME)
    return [(e["type"], e["reason"], e["message"]) for e in found]


async def test_that_all_is_well_is_not_written(client, process):
    conditions = process()
    await conditions.lead()
    conditions.report("WriteBackBlocked", "", "")
    conditions.report("SourceUnreadable", "MissingRef", "push it")
    assert (await until(client, bool)).keys() == {"SourceUnreadable"}


async def test_a_condition_keeps_its_time_while_its_message_changes_and_warns_once(client, process):
    first, second = process(), process()
    await first.lead()
    first.report("SourceUnreadable", "Unavailable", "no answer from https://user:pass@git.example.com")
    written = (await until(client, bool))["SourceUnreadable"]
    assert "pass" not in written["message"]
    first.follow()
    stale = dict(written, since="2026-01-01T00:00:00Z")
    await client.merge_patch(KEY, {"data": {names.CONDITIONS_ENTRY: json.dumps({"SourceUnreadable": stale})}})

    second.report("SourceUnreadable", "NotPermitted", "check tokenFile")
    first.report("SourceUnreadable", "", "")
    await second.lead()
    found = await until(client, lambda now: now["SourceUnreadable"]["reason"] == "NotPermitted")
    assert found["SourceUnreadable"] == {
        "status": "True",
        "reason": "NotPermitted",
        "message": "check tokenFile",
        "since": stale["since"],
    }
    second.report("SourceUnreadable", "", "")
    over = await until(client, lambda now: now["SourceUnreadable"]["status"] == "False")
    assert over["SourceUnreadable"]["since"] > stale["since"]
    ((type, reason, message),) = await events(client)
    assert (type, reason) == ("Warning", "SourceUnreadable")
    assert message.startswith("Unavailable: no answer")
