import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from cluster.conftest import QUICK, Script, status
from cluster.served import Served, config
from reconciler.cluster.cache import Cache, Selection
from reconciler.cluster.client import Client
from reconciler.errors import InvalidSpec
from reconciler.model.names import ObjectKey

OURS = Selection("ConfigMap", "app.kubernetes.io/managed-by=reconciler", "ai")
KEY = ObjectKey("ConfigMap", "ai", "a")


class Follower:
    """A cache, and what it told: (name, old value, new value) of each change."""

    def __init__(self, client: Client, selections=(OURS,)) -> None:
        self.told: list[tuple[str, str | None, str | None]] = []
        self.states: list[dict[str, str]] = []
        self._event = asyncio.Event()
        self.cache = Cache(client, selections, self._change, self._state, retry_seconds=0.2)

    def _change(self, key, old, new) -> None:
        value = [None if each is None else each.get("data", {}).get("value") for each in (old, new)]
        self.told.append((key.name, value[0], value[1]))
        self._event.set()

    def _state(self) -> None:
        self.states.append(dict(self.cache.unseen))
        self._event.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._event.clear()
                await self._event.wait()

    def value(self, name: str = "a") -> str | None:
        found = self.cache.get(ObjectKey("ConfigMap", "ai", name))
        return found and found["data"]["value"]


@pytest.fixture
async def served(script: Script) -> Served:
    served = Served()
    script.reply(served.answer)
    return served


@pytest.fixture
async def follower(served: Served, scripted: Client) -> AsyncIterator[Follower]:
    follower = Follower(scripted)
    yield follower
    await follower.cache.close()


async def started(follower: Follower) -> Follower:
    await follower.cache.start()
    async with asyncio.timeout(10):
        await follower.cache.synced()
    return follower


async def test_what_is_there_and_what_changes_is_known(served: Served, follower: Follower):
    served.put(config("a", "1"))
    await started(follower)
    assert follower.value() == "1"
    served.put(config("a", "2"))
    served.put(config("b", "1"))
    served.remove("a")
    await follower.until(lambda: follower.value("b") == "1" and follower.value() is None)
    assert follower.told == [("a", None, "1"), ("a", "1", "2"), ("b", None, "1"), ("a", "2", None)]
    assert [m["metadata"]["name"] for m in follower.cache.of_kind("ConfigMap")] == ["b"]
    assert not follower.cache.unseen


async def test_a_write_without_a_change_of_content_is_not_told(served: Served, follower: Follower):
    served.put(config("a", "1"))
    await started(follower)
    served.put(config("a", "1", managedFields=[{"manager": "reconciler", "operation": "Apply"}]))
    served.put(config("b", "1"))
    await follower.until(lambda: follower.value("b") == "1")
    assert [name for name, *_ in follower.told] == ["a", "b"]


BREAKS = {
    "a broken line": Served.hang_up,
    "the server's own timeout": Served.finish,
    "an expired history": lambda served: (served.compact(), served.hang_up()),
}


@pytest.mark.parametrize("cut", BREAKS.values(), ids=BREAKS.keys())
async def test_nothing_is_missed_over(served: Served, follower: Follower, cut):
    served.put(config("a", "1"))
    served.put(config("b", "1"))
    await started(follower)
    served.put(config("c", "1"))
    await follower.until(lambda: follower.value("c") == "1")
    before = len(follower.told)
    served.remove("a")
    served.put(config("b", "2"))
    cut(served)
    await follower.until(lambda: follower.value() is None and follower.value("b") == "2")
    served.put(config("d", "1"))
    await follower.until(lambda: follower.value("d") == "1")
    assert sorted(follower.told[before:], key=str) == [("a", "1", None), ("b", "1", "2"), ("d", None, "1")]
    assert follower.states == []


async def test_a_line_cut_cleanly_is_resumed_without_a_list(served: Served, follower: Follower):
    await started(follower)
    served.put(config("a", "1"))
    await follower.until(lambda: follower.value() == "1")
    served.finish()
    served.put(config("a", "2"))
    await follower.until(lambda: follower.value() == "2")
    assert served.lists == 1


async def test_a_bookmark_saves_a_quiet_watch_from_expiry(served: Served, follower: Follower):
    await started(follower)
    served.bookmark(500)
    served.put(config("a", "1"))
    await follower.until(lambda: follower.value() == "1")
    served.floor = 500
    served.finish()
    served.put(config("a", "2"))
    await follower.until(lambda: follower.value() == "2")
    assert served.lists == 1


async def test_a_watch_that_falls_silent_is_taken_up_again(served: Served, follower: Follower):
    await started(follower)
    while served.watches < 2:
        async with asyncio.timeout(QUICK.watch + 5):
            await asyncio.sleep(0.05)
    served.put(config("a", "1"))
    await follower.until(lambda: follower.value() == "1")
    assert follower.cache.lag_seconds("ConfigMap") < 1


async def test_a_kind_that_is_not_served_is_unseen_until_it_is(served: Served, follower: Follower):
    served.refusal = status(404)
    await started(follower)
    assert follower.cache.unseen == {"ConfigMap": "not served"}
    served.refusal = None
    served.put(config("a", "1"))
    follower.cache.retry("ConfigMap")
    await follower.until(lambda: not follower.cache.unseen)
    assert follower.value() == "1"


async def test_a_missing_right_is_unseen_and_tried_again(served: Served, follower: Follower):
    served.refusal = status(403, 'User "u" cannot list resource "configmaps"')
    await started(follower)
    assert "cannot list" in follower.cache.unseen["ConfigMap"]
    served.refusal = None
    await follower.until(lambda: not follower.cache.unseen)


async def test_an_unreachable_kind_keeps_its_last_content(served: Served, follower: Follower):
    served.put(config("a", "1"))
    await started(follower)
    served.refusal = status(503, "down")
    served.hang_up()
    await follower.until(lambda: bool(follower.cache.unseen))
    assert follower.value() == "1"
    del served.objects["a"]  # while nobody could look
    served.version += 1
    served.refusal = None
    await follower.until(lambda: not follower.cache.unseen)
    assert follower.value() is None
    assert follower.told[-1] == ("a", "1", None)


async def test_data_restored_from_a_backup_is_believed(served: Served, follower: Follower):
    served.version = 900
    served.put(config("a", "new"))
    await started(follower)
    served.objects.clear()
    served.version, served.floor = 400, 0
    served.put(config("a", "old"))
    served.compact()
    served.floor = 10_000
    served.hang_up()
    await follower.until(lambda: follower.value() == "old")


async def test_our_own_write_is_read_back_at_once(served: Served, follower: Follower):
    await started(follower)
    answer = served.put(config("a", "1"))
    follower.cache.note(answer)
    assert follower.value() == "1"
    served.put(config("b", "1"))
    await follower.until(lambda: follower.value("b") == "1")
    assert follower.told == [("a", None, "1"), ("b", None, "1")]


async def test_a_late_answer_never_undoes_what_the_watch_told(served: Served, follower: Follower):
    await started(follower)
    first = served.put(config("a", "1"))
    served.put(config("a", "2"))
    served.put(config("b", "1"))
    gone = served.objects["b"]
    served.remove("b")
    await follower.until(lambda: follower.value() == "2" and len(follower.told) == 4)
    follower.cache.note(first)
    follower.cache.note(gone)
    assert follower.value() == "2"
    assert follower.value("b") is None


async def test_an_object_confirmed_gone_does_not_flicker(served: Served, follower: Follower):
    served.put(config("a", "1"))
    await started(follower)
    served.put(config("a", "1", deletionTimestamp="2030-01-01T00:00:00Z"))
    served.remove("a")
    follower.cache.forget(KEY, "u-a")
    assert follower.value() is None
    served.put(config("a", "2", uid="another"))
    await follower.until(lambda: follower.value() == "2")
    assert follower.told == [("a", None, "1"), ("a", "1", None), ("a", None, "2")]


async def test_another_object_of_that_name_is_not_forgotten(served: Served, follower: Follower):
    served.put(config("a", "1"))
    await started(follower)
    follower.cache.forget(KEY, "an older one")
    assert follower.value() == "1"


async def test_an_answer_outside_the_selection_is_not_kept(served: Served, follower: Follower):
    await started(follower)
    answer = served.put(config("a", "1"))
    follower.cache.note({**answer, "metadata": {**answer["metadata"], "labels": {}}})
    follower.cache.note({**answer, "metadata": {**answer["metadata"], "namespace": "other"}})
    assert follower.cache.get(KEY) is None


async def test_a_fault_of_the_listener_does_not_end_the_watch(served: Served, scripted: Client):
    served.put(config("a", "1"))
    seen = []

    def listener(key, old, new):
        seen.append(new)
        if len(seen) == 1:
            raise ZeroDivisionError

    cache = Cache(scripted, [OURS], listener, retry_seconds=0.1)
    await cache.start()
    await cache.synced()
    assert "Bug" in cache.unseen["ConfigMap"]
    async with asyncio.timeout(5):
        while cache.unseen:
            await asyncio.sleep(0.01)
    await cache.close()


async def test_a_selector_with_sets_is_refused():
    with pytest.raises(InvalidSpec):
        Selection("Pod", "app in (a,b)")


REQUIREMENTS = {
    "a value": ("a=b", {"a": "b"}, True),
    "another value": ("a==b", {"a": "c"}, False),
    "not a value": ("a!=b", {"a": "b"}, False),
    "not a value, absent": ("a!=b", {}, True),
    "a key": ("a", {"a": ""}, True),
    "a key, absent": ("a", {}, False),
    "no key": ("!a", {}, True),
    "two at once": ("a=b,c", {"a": "b"}, False),
    "nothing": ("", {}, True),
}


@pytest.mark.parametrize(("selector", "labels", "held"), REQUIREMENTS.values(), ids=REQUIREMENTS.keys())
async def test_a_selection_holds_what_its_selector_says(selector: str, labels: dict[str, str], held: bool):
    assert Selection("Pod", selector).holds({"metadata": {"labels": labels}}) is held
