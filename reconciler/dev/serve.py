"""The development world in one process: API server, controllers, nodes, cloud, registry and Git server.

`python -m reconciler.dev.serve --dir D` writes `D/kubeconfig` and, once everything answers,
`D/world.json` with the addresses. It ends on SIGTERM or SIGINT. Git repositories and images lie in `D`;
everything else is in memory and ends with it, but with `--persist`: then the objects, the cloud's pools,
the token and the ports are kept there too, and the next one in `D` goes on. With `--control-plane` it
brings a control plane that runs elsewhere the nodes, the cloud, the registry and the Git server alone.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from reconciler.cluster.client import Client
from reconciler.errors import ReconcilerError
from reconciler.model.names import ObjectKey
from reconciler.model.settings import ClusterSettings
from reconciler.sources import catalog

from .api.server import ApiServer
from .clock import INSTANT, Clock, LoopClock, Pace, Speed
from .cloud.cloud import Cloud
from .cloud.http import CloudServer
from .controllers.claims import Claims
from .controllers.deployments import Deployments
from .controllers.endpoints import Endpoints
from .controllers.jobs import Jobs
from .controllers.lostpods import LostPods
from .controllers.replicasets import ReplicaSets
from .controllers.statefulsets import StatefulSets
from .faults import load_faults
from .gitserver import GitServer
from .heartbeat import Heartbeat
from .home import WORLD_FILE, Addresses, take
from .identity import Identity
from .node.agent import NodeAgent, RuntimeTable
from .node.images import Image
from .node.processes import process_runtimes
from .node.simulated import DEFAULT_STAGES, SimulatedRuntime, StageTable
from .registry.server import Registry
from .rows import load
from .runtimes.images import DataServer, rows, stand_ins
from .runtimes.models import LocalRuntime
from .scheduler.scheduler import Scheduler
from .tls import Certificate
from .view import KINDS, NODE_KINDS, View
from .workqueue import WorkQueue

KUBECONFIG = "kubeconfig"
REPOSITORY = "workspaces"
"""Name of the Git repository that is there from the start."""


@dataclass(frozen=True, slots=True)
class Options:
    """Inputs of a world. `clock` is simulated time's, `stages` a file of pod stages.

    `control_plane` is the kubeconfig of a server with controllers and scheduler of its own; None: ours.
    """

    seed: int = 0
    speed: Speed = field(default_factory=Speed)
    clock: Clock = field(default_factory=LoopClock)
    stages: Path = DEFAULT_STAGES
    control_plane: Path | None = None
    persist: bool = False
    """Keep everything in the world's folder, and go on with what is there."""
    tls: bool = False
    faults: Path | None = None
    """Faults in force from the start: see `faults.py`."""
    images: Path | None = None
    """Which images run as local processes: see `node/images.py`; None: all are simulated."""
    runtime: Path | None = None
    """What our own runtime images run with: see `runtimes/models.py`; None: they are simulated."""


class World:
    """A running world; `stop` ends all of it."""

    def __init__(self, root: Path, options: Options) -> None:
        self.root = root
        self._options = options
        self.pace = Pace(options.clock, random.Random(options.seed), options.speed)
        self._identity = Identity.load(self._kept("identity.json"))
        self.api: ApiServer | None = None if options.control_plane else self._api_server()
        self.registry = Registry(root / "registry")
        self.git: GitServer | None = GitServer(root / "git") if shutil.which("git") else None
        self._runtime = LocalRuntime.read(options.runtime) if options.runtime else None
        self.data = DataServer(Path(self._runtime.data)) if self._runtime else None
        self._open = AsyncExitStack()

    def _kept(self, name: str) -> Path | None:
        return self.root / name if self._options.persist else None

    def _api_server(self) -> ApiServer:
        certificate = Certificate(self.root) if self._options.tls else None
        journal = self._kept("objects.jsonl")
        return ApiServer(token=self._identity.token, certificate=certificate, journal=journal)

    @property
    def kubeconfig(self) -> Path:
        return self._options.control_plane or self.root / KUBECONFIG

    @property
    def api_url(self) -> str:
        """Of the API server, whoever runs it."""
        return self.api.url if self.api else _server_of(self.kubeconfig)

    async def start(self) -> None:
        try:
            await self._start_servers()
            await self._start_cluster()
        except BaseException:
            await self.stop()
            raise

    async def _start_servers(self) -> None:
        opened = self._identity.open
        if api := self.api:
            await opened("apiserver", lambda port: api.start(port=port))
            self._open.push_async_callback(api.stop)
            api.write_kubeconfig(self.kubeconfig)
        await opened("registry", self.registry.start)
        self._open.push_async_callback(self.registry.stop)
        if self.data:
            await opened("data", self.data.start)
            self._open.push_async_callback(self.data.stop)
        if git := self.git:
            await opened("git", lambda port: asyncio.to_thread(git.start, port))
            self._open.push_async_callback(asyncio.to_thread, self.git.stop)
            await asyncio.to_thread(self.git.create, REPOSITORY)

    async def _start_cluster(self) -> None:
        """Everything that talks to the API server does so over HTTP."""
        settings = ClusterSettings(kubeconfig=self.kubeconfig, concurrency=64)
        client = await Client.connect(settings, user_agent="dev-cluster", manager="dev-cluster")
        self._open.push_async_callback(client.close)
        self.view = View(client, KINDS if self.api else NODE_KINDS)
        self.agent = NodeAgent(self.view, self.pace, self._runtimes())
        if self.api:
            self.api.log_source = self.agent.log
        self.cloud = CloudServer(Cloud(client, self.pace, self._kept("pools.json")), self.pace)
        self._order_faults()
        self._open.push_async_callback(self.agent.close)
        for queue in self._queues():
            queue.start()
            self._open.push_async_callback(queue.close)
        self.agent.start()
        self._open.push_async_callback(self.view.close)
        await self.view.start()
        await self._identity.open("cloud", self.cloud.start)
        self._open.push_async_callback(self.cloud.stop)

    def _runtimes(self) -> RuntimeTable:
        table = [*(load(self._options.images, Image) if self._options.images else ()), *self._our_images()]
        simulated = SimulatedRuntime(self.pace, load(self._options.stages, StageTable))
        return [*process_runtimes(table, self.root, self.pace), ("*", simulated)]

    def _our_images(self) -> tuple[Image, ...]:
        if self._runtime is None or self.data is None:
            return ()
        table = self.root / "stand-ins.json"
        presets = (preset.name for preset in catalog.load().presets)
        table.write_text(stand_ins(self._runtime, presets, self.data.rows_url))
        return rows(self._runtime, table)

    def _order_faults(self) -> None:
        """Before anybody asks anything."""
        if self._options.faults is None:
            return
        of_api, of_cloud = load_faults(self._options.faults)
        if self.api:
            self.api.faults[:] = of_api
        for fault in of_cloud:
            self.cloud.cloud.inject(fault)

    def _queues(self) -> list[WorkQueue[ObjectKey]]:
        if not self.api:
            return [Heartbeat(self.view, self.pace).queue]
        everyone = (
            *(Deployments, ReplicaSets, StatefulSets, Jobs, Scheduler),
            *(Endpoints, Claims, LostPods),
        )
        return [each(self.view, self.pace).queue for each in everyone]

    async def stop(self) -> None:
        await self._open.aclose()

    def remember(self) -> None:
        """Where everything is, for the next one that goes on here."""
        at = self.addresses()
        urls = {"apiserver": at.apiserver, "cloud": at.cloud, "registry": self.registry.url, "git": at.git}
        urls |= {"data": self.data.url} if self.data else {}
        self._identity.keep(**urls)

    def addresses(self) -> Addresses:
        return Addresses(
            apiserver=self.api_url,
            cloud=self.cloud.url,
            registry=self.registry.host,
            git=self.git.url_of(REPOSITORY) if self.git else "",
            data=self.data.host if self.data else "",
            kubeconfig=str(self.kubeconfig),
            pid=os.getpid(),
        )


def _server_of(kubeconfig: Path) -> str:
    """The URL of the current context's server."""
    said = yaml.safe_load(kubeconfig.read_text())
    context = next(c["context"] for c in said["contexts"] if c["name"] == said["current-context"])
    cluster = next(c["cluster"] for c in said["clusters"] if c["name"] == context["cluster"])
    return str(cluster["server"]).rstrip("/")


async def serve(root: Path, options: Options | None = None) -> World:
    """A world that is ready, its files written under `root`."""
    root.mkdir(parents=True, exist_ok=True)
    world = World(root, options or Options())
    await world.start()
    world.remember()
    world.addresses().write(root)
    return world


async def _until_asked_to_end(root: Path, options: Options) -> None:
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    root.mkdir(parents=True, exist_ok=True)
    with take(root):
        world = await serve(root, options)
        try:
            await asked.wait()
        finally:
            (root / WORLD_FILE).unlink(missing_ok=True)
            await world.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs a development world until it is told to end.")
    parser.add_argument("--dir", type=Path, required=True, help="folder for kubeconfig and world.json")
    parser.add_argument("--seed", type=int, default=0, help="of all simulated chance")
    parser.add_argument("--fast", action="store_true", help="simulated things take no time")
    parser.add_argument("--stages", type=Path, default=DEFAULT_STAGES, help="YAML file of pod stages")
    parser.add_argument("--control-plane", type=Path, help="kubeconfig of a control plane to use, not ours")
    parser.add_argument("--persist", action="store_true", help="keep everything in DIR, and go on with it")
    parser.add_argument("--tls", action="store_true", help="the API server speaks TLS")
    parser.add_argument("--faults", type=Path, help="YAML file of faults in force from the start")
    parser.add_argument("--runtime", type=Path, help="JSON file of what our runtime images run with")
    parser.add_argument("--images", type=Path, help="YAML file of images that run as local processes")
    given = vars(parser.parse_args())
    root, fast = given.pop("dir"), given.pop("fast")
    options = Options(speed=INSTANT if fast else Speed(), **given)
    try:
        asyncio.run(_until_asked_to_end(root.resolve(), options))
    except (ReconcilerError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
