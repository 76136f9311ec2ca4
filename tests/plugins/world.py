"""A development world at hand, and short manifests."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from reconciler.cluster.client import Client
from reconciler.dev.cloud.nodes import node
from reconciler.dev.cloud.pools import Pool, PoolSpec
from reconciler.dev.serve import World
from reconciler.model.names import ObjectKey

DEADLINE_SECONDS = 20.0


class Bench:
    """A world, and what tests do to it; or what they do to one elsewhere through its client."""

    def __init__(self, world: World | None = None, client: Client | None = None) -> None:
        self._world = world
        self.client = client or self.world.view.client

    @property
    def world(self) -> World:
        assert self._world is not None
        return self._world

    async def add_node(self, name: str, *, gpus: int = 0, cpu: str = "", ready: bool = True, **labels: str):
        spec = PoolSpec(key=name, instance_type="Standard_X", count=1, gpus_per_node=gpus, labels=labels)
        if not gpus:
            spec = spec.model_copy(update={"taints": ()})
        now = self._world.pace.now() if self._world else time.time()
        made = node(Pool(name="hand", spec=spec), name, ready, now)
        if cpu:
            made["status"]["allocatable"]["cpu"] = cpu
        return await self.client.create(made)

    async def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any] | None:
        return await self.client.get(ObjectKey(kind, namespace if kind != "Node" else "", name))

    async def pods(self, namespace: str = "default") -> list[dict[str, Any]]:
        return (await self.client.list("Pod", namespace))[0]

    async def patch(self, kind: str, name: str, body: dict[str, Any], subresource: str = "") -> None:
        namespace = "" if kind == "Node" else "default"
        await self.client.merge_patch(ObjectKey(kind, namespace, name), body, subresource=subresource)

    async def delete(self, kind: str, name: str) -> None:
        await self.client.delete(ObjectKey(kind, "" if kind == "Node" else "default", name))

    async def eventually(self, check: Callable[[], Any | Awaitable[Any]]) -> Any:
        """What `check` returns as soon as that is true."""
        found: Any = None
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while True:
                    found = check()
                    found = await found if isawaitable(found) else found
                    if found:
                        return found
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not so within {DEADLINE_SECONDS} s; last seen: {found!r}") from None

    async def until(self, kind: str, name: str, true: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The object once it is there and `true` of it."""

        async def check() -> dict[str, Any] | None:
            found = await self.get(kind, name)
            return found if found and true(found) else None

        return await self.eventually(check)


def pod_spec(*, gpus: int = 0, image: str = "app:1", **spec: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "main", "image": image}
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
        spec.setdefault(
            "tolerations", [{"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}]
        )
    return {"containers": [container]} | spec


def workload(kind: str, name: str, template: dict[str, Any], annotations=None, **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    metadata = {"labels": labels} | ({"annotations": annotations} if annotations else {})
    selector = {} if kind == "Job" else {"selector": {"matchLabels": labels}}
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": selector | {"template": {"metadata": metadata, "spec": template}} | spec,
    }


def pod(name: str, spec: dict[str, Any], **annotations: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
