"""Random sequences of writes, sent to a real server and to the development one: they must answer alike.

Every request counts. After a disagreement the sequence ends and the next one begins, with an object of its
own, so that nothing is counted twice.
"""

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from contracts.agreement import AGE, Answer, Version, cause_of, comparable, differences
from contracts.parts import DEFINITION, KINDS, NAMESPACE, Kind, Object
from contracts.sequences import Request, Step, sequence
from plugins.realcluster import ASSETS, ControlPlane

from reconciler.dev.api.server import ApiServer

AGREEMENT = 0.95
SEED, REQUESTS, LENGTH = 2026, 400, 40
"""Requests for each kind, in sequences of that length: less than a minute in all."""


@pytest.fixture(scope="module")
def bare_server(tmp_path_factory):
    """A real API server without controllers, which would write to the objects compared."""
    root = tmp_path_factory.mktemp("bare")
    assets = root / "assets"
    assets.mkdir()
    for name in ("etcd", "kube-apiserver"):
        (assets / name).symlink_to((Path(ASSETS) / name).resolve())
    made = ControlPlane(assets, root / "server")
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Side:
    """One server, with what it last answered about the object."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.live: Object = {}
        self.before: Object = {}

    async def send(self, request: Request) -> tuple[int, Object]:
        content = b"" if request.body is None else json.dumps(request.body).encode()
        headers = {"Content-Type": request.media, "Accept": "application/json"}
        answer = await self.http.request(
            request.method, request.path, content=content, headers=headers, params=request.query
        )
        told = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.status_code, answer.json() if told else {"kind": "Status", "message": answer.text}

    async def take(self, step: Step) -> Answer:
        request = step.request(self.live, self.before)
        code, body = await self.send(request)
        if code >= 300:
            return Answer(code, body, written=False)
        if request.method == "DELETE":
            found, body = await self.send(Request("GET", request.path))
            self.before, self.live = self.live, body if found == 200 else {}
            return Answer(code, self.live or {"kind": "Status"}, written=False)
        written = _version(body) != _version(self.live)
        if written and request.query.get("dryRun") != "All":
            self.before, self.live = self.live, body
        return Answer(code, body, written)

    async def prepare(self) -> None:
        """The namespace and the custom kind."""
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        namespace = {"metadata": {"name": NAMESPACE}}
        for path, body in (("/api/v1/namespaces", namespace), (definitions, DEFINITION)):
            code, told = await self.send(Request("POST", path, body))
            assert code == 201, told
        async with asyncio.timeout(30):
            while (await self.send(Request("GET", KINDS[-1].path)))[0] != 200:
                await asyncio.sleep(0.05)


def _version(obj: Object) -> str | None:
    return obj.get("metadata", {}).get("resourceVersion")


@dataclass
class Tally:
    asked: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def share(self, *, aged: bool) -> float:
        """Of writes that were answered alike, or (`aged`) would have been but for the server's age."""
        apart = sum(n for cause, n in self.causes.items() if not (aged and cause.startswith(AGE)))
        return 1 - apart / self.asked.total()

    def report(self) -> str:
        alike, aged = (f"{100 * self.share(aged=aged):.2f} %" for aged in (False, True))
        lines = [f"{self.asked.total()} writes, {alike} answered alike, {aged} but for its age; the others:"]
        for cause, count in self.causes.most_common():
            lines += [f"{count:4} {cause}", *(f"       {line[:200]}" for line in self.examples[cause])]
        return "\n".join(lines)


async def compare(ours: Side, theirs: Side, kind: Kind, version: Version, tally: Tally) -> None:
    seed = SEED
    while tally.asked[kind.name] < REQUESTS:
        seed += 1
        for side in (ours, theirs):
            side.live, side.before = {}, {}
        for step in sequence(seed, kind, LENGTH, plain=version < (1, 22)):
            here, there = await asyncio.gather(ours.take(step), theirs.take(step))
            tally.asked[kind.name] += 1
            found = list(differences(comparable(here, version), comparable(there, version)))
            if found:
                cause = cause_of(here, there, version)
                tally.causes[cause] += 1
                tally.examples.setdefault(cause, [f"{kind.name} {seed}, {step.name}", *found[:3]])
                break


def connected(server: ApiServer | ControlPlane) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {server.token}"}
    return httpx.AsyncClient(base_url=server.url, headers=headers, verify=False, trust_env=False, timeout=30)


@pytest.mark.timeout(300)
async def test_writes_are_answered_as_by_a_real_server(apiserver, bare_server, connections_end, capsys):
    tally = Tally()
    async with connected(apiserver) as here, connected(bare_server) as there:
        ours, theirs = Side(here), Side(there)
        await ours.prepare()
        await theirs.prepare()
        for kind in KINDS:
            await compare(ours, theirs, kind, bare_server.version, tally)
    with capsys.disabled():
        sys.stdout.write(f"\nbeside kube-apiserver {bare_server.version}: {tally.report()}\n")
    assert tally.share(aged=False) >= AGREEMENT, tally.report()
