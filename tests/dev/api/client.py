"""A plain HTTP client for the tests: JSON in, (code, JSON) out."""

import asyncio
import io
import json

import aiohttp

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
CORE = "/api/v1/namespaces/default"
APPS = "/apis/apps/v1/namespaces/default"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KAITO = "/apis/kaito.sh/v1beta1/namespaces/default"


class Client:
    def __init__(self, server, agent="tests/1.0"):
        headers = {"Authorization": f"Bearer {server.token}", "User-Agent": agent}
        self.session = aiohttp.ClientSession(server.url, headers=headers)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        await self.session.close()

    async def ask(self, method, path, body=None, *, media="application/json", **query):
        headers = {"Content-Type": media}
        data = body if isinstance(body, bytes | None) else io.BytesIO(json.dumps(body).encode())
        async with self.session.request(method, path, data=data, headers=headers, params=query) as response:
            self.headers = response.headers
            return response.status, json.loads(await response.read())

    async def get(self, path, **query):
        return await self.ask("GET", path, **query)

    async def create(self, path, body, **query):
        return await self.ask("POST", path, body, **query)

    async def put(self, path, body, **query):
        return await self.ask("PUT", path, body, **query)

    async def delete(self, path, body=None, **query):
        return await self.ask("DELETE", path, body, **query)

    async def patch(self, path, body, media=MERGE, **query):
        return await self.ask("PATCH", path, body, media=media, **query)

    async def apply(self, path, body, manager="us", **query):
        """The name is the body's."""
        target = f"{path}/{body['metadata']['name']}"
        return await self.patch(target, body, media=APPLY, fieldManager=manager, **query)

    async def gone(self, path):
        """Wait until `path` answers 404."""
        async with asyncio.timeout(5):
            while (await self.get(path))[0] != 404:
                await asyncio.sleep(0.01)

    def watch(self, path, **query):
        return Watching(self.session, path, query)


class Watching:
    """An open watch; `next()` is its next event."""

    def __init__(self, session, path, query):
        self._request = session.get(path, params={"watch": "true", **query})

    async def __aenter__(self):
        self.response = await self._request.__aenter__()
        return self

    async def __aexit__(self, *exc):
        self.response.close()

    async def next(self):
        """(type, object) or None where the watch ended."""
        async with asyncio.timeout(5):
            line = await self.response.content.readline()
        if not line:
            return None
        event = json.loads(line)
        return event["type"], event["object"]


def config_map(name="settings", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name="web", replicas=None, **container):
    spec = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": "nginx:1", **container}]},
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def pod(name="worker", **spec):
    containers = [{"name": "main", "image": "busybox:1"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": containers, **spec},
    }


SCHEMA = {
    "type": "object",
    "required": ["resource"],
    "properties": {
        "resource": {
            "type": "object",
            "properties": {
                "instanceType": {"type": "string", "default": "Standard_NC24ads_A100_v4"},
                "count": {"type": "integer", "minimum": 1, "default": 1},
                "nodes": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            },
        },
        "inference": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "status": {
            "type": "object",
            "properties": {
                "conditions": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                    "items": {
                        "type": "object",
                        "required": ["type", "status"],
                        "properties": {
                            "type": {"type": "string"},
                            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                            "reason": {"type": "string"},
                        },
                    },
                }
            },
        },
    },
}


def definition():
    def version(name, storage):
        return {
            "name": name,
            "served": True,
            "storage": storage,
            "schema": {"openAPIV3Schema": SCHEMA},
            "subresources": {"status": {}},
            "additionalPrinterColumns": [
                {"name": "Instance", "type": "string", "jsonPath": ".resource.instanceType"},
                {
                    "name": "Ready",
                    "type": "string",
                    "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
                },
                {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            ],
        }

    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "workspaces.kaito.sh"},
        "spec": {
            "group": "kaito.sh",
            "scope": "Namespaced",
            "names": {
                "kind": "Workspace",
                "plural": "workspaces",
                "shortNames": ["wk"],
                "categories": ["ai"],
            },
            "versions": [version("v1beta1", True), version("v1alpha1", False)],
        },
    }


def workspace(name="falcon", **fields):
    head = {"apiVersion": "kaito.sh/v1beta1", "kind": "Workspace", "metadata": {"name": name}}
    return {**head, "resource": {}, **fields}
