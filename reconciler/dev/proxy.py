"""A Service's port on this machine: connections are passed on to the pods that are ready.

Endpoints are looked up for each connection, in the pods themselves, so that it works as well on a real
control plane, which refuses loopback addresses in EndpointSlices.
"""

import asyncio
import random
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from ..cluster.client import Client
from ..errors import InvalidSpec, NotFound, ReconcilerError, Unavailable
from ..model.names import ObjectKey
from ..model.world import Manifest
from .controllers.endpoints import endpoints_of
from .objects import selects

CHUNK = 64 * 1024


class ServiceProxy:
    """`port` is a name, a number, or empty for the only one; `complain` hears why connections are refused."""

    def __init__(
        self, client: Client, service: ObjectKey, port: str, complain: Callable[[str], object]
    ) -> None:
        self._client = client
        self._key = service
        self._wanted = port
        self._complain = complain
        self._server: asyncio.Server | None = None
        self._chosen: dict[str, Any] = {}

    async def start(self) -> str:
        """The address it listens on. Raises NotFound or InvalidSpec where no such port is there."""
        self._chosen = self._port_of(await self._service())
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _service(self) -> Manifest:
        found = await self._client.get(self._key)
        if found is None:
            raise NotFound(f"there is no {self._key}")
        if not found["spec"].get("selector"):
            raise InvalidSpec(f"{self._key} has no selector, so there are no pods to pass connections on to")
        return found

    def _port_of(self, service: Manifest) -> dict[str, Any]:
        ports: list[dict[str, Any]] = service["spec"].get("ports") or []
        fitting = [p for p in ports if self._wanted in ("", p.get("name"), str(p["port"]))]
        if len(fitting) != 1:
            told = ", ".join(f"{p['port']} ({p['name']})" if p.get("name") else str(p["port"]) for p in ports)
            raise InvalidSpec(f"name one port of {self._key} as SERVICE:PORT; it has {told or 'none'}")
        return fitting[0]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            pod_reader, pod_writer = await self._open()
        except (ReconcilerError, OSError) as error:
            self._complain(f"connection refused: {error}")
            writer.close()
            return
        await asyncio.gather(_copy(reader, pod_writer), _copy(pod_reader, writer))
        for each in (writer, pod_writer):
            each.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To one of the ready pods, chosen by chance."""
        service = await self._service()
        pods, _ = await self._client.list("Pod", self._key.namespace)
        places = [
            (endpoint["addresses"][0], number, endpoint["targetRef"]["name"])
            for ports, endpoints in endpoints_of(service, [p for p in pods if selects(service, p)]).items()
            for name, number, _ in ports
            if name == self._chosen.get("name", "")
            for endpoint in endpoints
            if endpoint["conditions"]["ready"]
        ]
        if not places:
            raise Unavailable(f"no pod behind {self._key} is ready")
        real = [place for place in places if ip_address(place[0]).is_loopback]
        if not real:
            pods_told = ", ".join(sorted(place[2] for place in places))
            raise Unavailable(
                f"the pods behind {self._key} are simulated, nothing listens there: {pods_told}"
            )
        host, port, pod = random.choice(real)
        try:
            return await asyncio.open_connection(host, port)
        except OSError as error:
            raise Unavailable(f"pod {pod} is ready, but does not listen on {host}:{port}: {error}") from None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the sender has no more to say; where a side is gone, the other is let go as well."""
    try:
        while piece := await reader.read(CHUNK):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()
