"""One API server to hold to its documented behaviour, and a plain HTTP client for it."""

import asyncio
import base64
import io
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from reconciler.cluster.wire import abandon

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WAIT_SECONDS = 60.0
"""Until something that a server does in its own time is called missing."""

Object = dict[str, Any]
Answer = tuple[int, Any]


@dataclass(frozen=True)
class Server:
    """`forget` makes it forget old versions, so that reading from one is answered 410."""

    name: str
    kubeconfig: Path
    version: tuple[int, int]
    forget: Callable[[], Awaitable[None]]

    @property
    def is_dev(self) -> bool:
        return self.name == "dev"


@dataclass
class Api:
    """JSON in, (code, JSON) out; `headers` are those of the last answer."""

    server: Server
    namespace: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    async def __aenter__(self) -> "Api":
        config = yaml.safe_load(self.server.kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = cluster.get("certificate-authority-data")
        self.url = cluster["server"].rstrip("/")
        self.token = user["token"]
        self.tls = (
            ssl.create_default_context(cadata=base64.b64decode(authority).decode()) if authority else True
        )
        headers = {"Authorization": f"Bearer {self.token}", "User-Agent": "conformance/1.0"}
        connector = aiohttp.TCPConnector(ssl=self.tls)
        self.session = aiohttp.ClientSession(headers=headers, connector=connector)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.session.close()

    def path(self, plural: str, name: str = "") -> str:
        """Of a built-in resource in the test's namespace: `configmaps`, `apps/deployments`."""
        group, _, plural = plural.rpartition("/")
        root = f"/apis/{group}/v1" if group else "/api/v1"
        return "/".join(filter(None, (f"{root}/namespaces/{self.namespace}", plural, name)))

    async def ask(
        self, method: str, path: str, body: Any = None, *, media="application/json", headers=None, **query
    ) -> Answer:
        """`query` names with a trailing underscore are keywords of Python."""
        data = body if isinstance(body, bytes | None) else io.BytesIO(json.dumps(body).encode())
        params = {name.rstrip("_"): value for name, value in query.items()}
        sent = {"Content-Type": media, **(headers or {})}
        async with self.session.request(
            method, self.url + path, data=data, headers=sent, params=params
        ) as response:
            self.headers = response.headers
            text = await response.text()
            return response.status, json.loads(text) if text.startswith("{") else text

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.ask("GET", path, **query)

    async def create(self, path: str, body: Any, **query: Any) -> Answer:
        return await self.ask("POST", path, body, **query)

    async def put(self, path: str, body: Any, **query: Any) -> Answer:
        return await self.ask("PUT", path, body, **query)

    async def delete(self, path: str, body: Any = None, **query: Any) -> Answer:
        return await self.ask("DELETE", path, body, **query)

    async def patch(self, path: str, body: Any, media: str = MERGE, **query: Any) -> Answer:
        return await self.ask("PATCH", path, body, media=media, **query)

    async def apply(self, path: str, body: Object, manager: str = "us", **query: Any) -> Answer:
        """To the collection at `path`; the name is the body's."""
        target = f"{path}/{body['metadata']['name']}"
        return await self.patch(target, body, media=APPLY, fieldManager=manager, **query)

    async def made(self, path: str, body: Object, **query: Any) -> Object:
        """The object that the server made of `body`."""
        code, obj = await self.create(path, body, **query)
        assert code == 201, obj
        return obj

    async def seen(self, path: str, **query: Any) -> Object:
        code, obj = await self.get(path, **query)
        assert code == 200, obj
        return obj

    async def until(self, path: str, true: Callable[[int, Any], Any]) -> Any:
        """The answer to a GET of `path` once `true(code, answer)`."""
        found: Answer = (0, None)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not true(*(found := await self.get(path))):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{path} did not become so; last seen: {found}") from None
        return found[1]

    async def gone(self, path: str) -> None:
        await self.until(path, lambda code, _: code == 404)

    def watch(self, path: str, **query: str) -> "Watching":
        return Watching(self, path, query)


class Watching:
    """An open watch."""

    def __init__(self, api: Api, path: str, query: Mapping[str, str]) -> None:
        self._request = api.session.get(api.url + path, params={"watch": "true", **query})

    async def __aenter__(self) -> "Watching":
        self.response = await self._request.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        abandon(self.response)

    async def next(self, seconds: float = WAIT_SECONDS) -> tuple[str, Object] | None:
        """(type, object) of the next event; None where the watch ended."""
        async with asyncio.timeout(seconds):
            line = await self.response.content.readline()
        if not line:
            return None
        event = json.loads(line)
        return event["type"], event["object"]

    async def events(self, count: int) -> list[tuple[str, Object]]:
        found = [await self.next() for _ in range(count)]
        assert all(found), f"the watch ended: {found}"
        return found


def names(listed: Object) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]


def owners(obj: Object, *managers: str) -> dict[str, Object]:
    """Manager → the fields it owns, of those named, or of all but the cluster's own controllers."""
    return {
        entry["manager"]: entry["fieldsV1"]
        for entry in obj["metadata"]["managedFields"]
        if (entry["manager"] in managers if managers else not entry["manager"].startswith("kube-"))
    }


def causes(status: Object) -> list[tuple[str, str]]:
    """(reason, field) of each."""
    return [(each["reason"], each["field"]) for each in status["details"]["causes"]]


def config_map(name: str = "settings", /, labels: Mapping[str, str] | None = None, **data: Any) -> Object:
    metadata = {"name": name, "labels": {"suite": "yes", **(labels or {})}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def bare(name: str = "settings", /, **data: Any) -> Object:
    """A ConfigMap without labels, for tests of ownership."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod_spec(**container: Any) -> Object:
    return {"containers": [{"name": "main", "image": "app:1", **container}]}


def pod(name: str = "worker", /, **spec: Any) -> Object:
    """One that no scheduler places, unless `spec` binds it."""
    spec = {"nodeSelector": {"conformance": "nowhere"}, **pod_spec(), **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def deployment(name: str = "web", /, replicas: int | None = None, **container: Any) -> Object:
    """Whose pods, where controllers make any, fit nowhere."""
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"nodeSelector": {"conformance": "nowhere"}, **pod_spec(**container)},
    }
    spec: Object = {"selector": {"matchLabels": {"app": name}}, "template": template}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
