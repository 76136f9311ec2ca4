"""The development API server's speed, beside aiohttp alone answering the same bytes in the same run.

`make bench` runs it. The client is in this process, each server in its own. Medians of RUNS interleaved
runs are printed, never asserted.
"""

import asyncio
import io
import os
import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
import pytest

RUNS = int(os.environ.get("RUNS", "5"))
OBJECTS = 5000
WRITES = 1000
CONNECTIONS = 16
EVENTS = 200
FILLER = "x" * 850
CONTENT = {
    "merge": {"Content-Type": "application/merge-patch+json"},
    "apply": {"Content-Type": "application/apply-patch+yaml"},
}
NAME = re.compile(rb'"name":"(w\d+)"')

pytestmark = pytest.mark.timeout(1800)


def config_map(name: str, value: str = FILLER) -> dict:
    """About 1 KB as JSON."""
    labels = {"part": str(int(name[1:]) % 10)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels},
        "data": {"value": value},
    }


@dataclass
class Target:
    """A server under measurement. `at` gives the path for what is asked of the API server."""

    http: aiohttp.ClientSession
    url: str
    bare: bool
    pid: int
    found: dict[str, list[float]] = field(default_factory=dict)
    cpus: dict[str, list[float]] = field(default_factory=dict)

    def at(self, kind: str, path: str) -> str:
        return f"{self.url}/{kind}" if self.bare else self.url + path

    async def ask(self, method: str, url: str, body: bytes = b"", **headers: str) -> bytes:
        async with self.http.request(method, url, data=body, headers=headers or None) as answer:
            assert answer.status < 300, (answer.status, await answer.text())
            return await answer.read()

    def note(self, what: str, value: float) -> None:
        self.found.setdefault(what, []).append(value)

    def cpu(self) -> float:
        """Seconds its process has used: what is left of a measure when others load the machine."""
        with open(f"/proc/{self.pid}/stat") as stat:
            return sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def serving(which: str):
    script = Path(__file__).with_name("servers.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), which, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            yield Target(http, url, which == "bare", process.pid)
    finally:
        process.terminate()
        await process.wait()


async def test_apiserver():
    async with serving("api") as api, serving("bare") as bare:
        await prime(api, bare)
        for run in range(RUNS):
            for target in (api, bare):
                await writes(target, f"run{run}")
                await lists(target, f"run{run}")
                for watchers in (1, 50):
                    await fan_out(target, f"watch{run}-{watchers}", watchers)
        report(api, bare)


async def prime(api: Target, bare: Target) -> None:
    """Gives the bare server the API server's own answers."""
    await namespace(api, "prime")
    path = "/api/v1/namespaces/prime/configmaps"
    names = [f"w{number:05d}" for number in range(OBJECTS)]
    for name in names:
        await api.ask("POST", api.url + path, orjson.dumps(config_map(name)))
    one = await api.ask("GET", f"{api.url}{path}/w00000")
    answers = {
        "create": one,
        "item": one,
        "list": await api.ask("GET", api.url + path),
        "label": await api.ask("GET", f"{api.url}{path}?labelSelector=part%3D3"),
        "page": await api.ask("GET", f"{api.url}{path}?limit=500"),
    }
    for kind, body in answers.items():
        await bare.http.put(f"{bare.url}/{kind}", data=io.BytesIO(body))
    await api.ask("DELETE", api.url + path)


async def namespace(target: Target, name: str) -> None:
    if not target.bare:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await target.ask("POST", f"{target.url}/api/v1/namespaces", orjson.dumps(body))


async def together(
    target: Target, what: str, names: list[str], ask: Callable[[str], Awaitable[bytes]]
) -> None:
    """Notes requests per second over CONNECTIONS connections, and the server's CPU time for each."""
    left, used = iter(names), target.cpu()

    async def connection() -> None:
        for name in left:
            await ask(name)

    began = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    target.note(what, len(names) / (time.perf_counter() - began))
    target.cpus.setdefault(what, []).append((target.cpu() - used) / len(names))


async def writes(target: Target, space: str) -> None:
    await namespace(target, space)
    path = f"/api/v1/namespaces/{space}/configmaps"
    names = [f"w{number:05d}" for number in range(OBJECTS)]

    async def create(name: str) -> bytes:
        return await target.ask("POST", target.at("create", path), orjson.dumps(config_map(name)))

    def patch(kind: str, body: Callable[[str], dict]) -> Callable[[str], Awaitable[bytes]]:
        query = "?fieldManager=bench&force=true" if kind == "apply" else ""

        async def ask(name: str) -> bytes:
            where = target.at("item", f"{path}/{name}{query}")
            return await target.ask("PATCH", where, orjson.dumps(body(name)), **CONTENT[kind])

        return ask

    await together(target, "create", names, create)
    some = names[:WRITES]
    merge = patch("merge", lambda _: {"data": {"more": "1"}})
    await together(target, "merge patch", some, merge)
    changed = patch("apply", lambda name: config_map(name, "y" + FILLER))
    await together(target, "server-side apply, changed", some, changed)
    await together(target, "server-side apply, unchanged", some, changed)


async def lists(target: Target, space: str) -> None:
    path = f"/api/v1/namespaces/{space}/configmaps"

    async def timed(what: str, url: str) -> None:
        began = time.perf_counter()
        await target.ask("GET", url)
        target.note(what, (time.perf_counter() - began) * 1000)

    for _ in range(3):
        await timed("list of 5,000", target.at("list", path))
        await timed("list of 500 by label", target.at("label", f"{path}?labelSelector=part%3D3"))
    began = time.perf_counter()
    url, pages = target.at("page", f"{path}?limit=500"), 0
    while url:
        page = await target.ask("GET", url)
        pages += 1
        token = re.search(rb'"continue":"([^"]+)"', page[:500] + page[-500:])
        url = target.at("page", f"{path}?limit=500&continue={token[1].decode()}") if token else ""
        if target.bare and pages == OBJECTS // 500:
            break
    assert pages == OBJECTS // 500
    target.note("5,000 in pages of 500", (time.perf_counter() - began) * 1000)


async def fan_out(target: Target, space: str, watchers: int) -> None:
    """From POST to each watcher's line."""
    await namespace(target, space)
    path = f"/api/v1/namespaces/{space}/configmaps"
    sent: dict[bytes, float] = {}
    took: list[float] = []

    async def watch(ready: asyncio.Event) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with target.http.get(target.at("watch", path) + "?watch=true", timeout=timeout) as answer:
            ready.set()
            seen = 0
            async for line in answer.content:
                if (match := NAME.search(line)) is not None:
                    took.append(time.perf_counter() - sent[match[1]])
                    seen += 1
                if seen == EVENTS:
                    return

    readies = [asyncio.Event() for _ in range(watchers)]
    tasks = [asyncio.create_task(watch(ready)) for ready in readies]
    await asyncio.gather(*(ready.wait() for ready in readies))
    for number in range(EVENTS):
        name = f"w{number:05d}"
        sent[name.encode()] = time.perf_counter()
        await target.ask("POST", target.at("create", path), orjson.dumps(config_map(name)))
    await asyncio.gather(*tasks)
    cuts = statistics.quantiles(took, n=100)
    target.note(f"watch, {watchers} watchers, p50", cuts[49] * 1000)
    target.note(f"watch, {watchers} watchers, p99", cuts[98] * 1000)


def report(api: Target, bare: Target) -> None:
    print(f"\n{'medians of ' + str(RUNS) + ' runs':<30}{'API server':>13}{'aiohttp alone':>15}{'ratio':>7}")
    for what, values in api.found.items():
        mine, raw = statistics.median(values), statistics.median(bare.found[what])
        used = [statistics.median(each.cpus[what]) * 1e6 for each in (api, bare)] if what in api.cpus else []
        unit, digits, ratio = ("/s", 0, raw / mine) if used else ("ms", 1, mine / raw)
        note = f"   CPU of the server {used[0]:,.0f} and {used[1]:,.0f} µs" if used else ""
        print(f"{what:<30}{mine:>10,.{digits}f} {unit}{raw:>12,.{digits}f} {unit}{ratio:>7.1f}{note}")
    with open(f"/proc/{api.pid}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"API server's memory at most {peak // 1024} MiB; load average {load} on {os.cpu_count()} cores")
