"""The development world in one process: API server, controllers, nodes, cloud, registry and Git server.

`python -m reconciler.dev.serve --dir D` writes `D/kubeconfig` and, once everything answers,
`D/world.json` with the addresses. It ends on SIGTERM or SIGINT. Everything but the Git repositories is
in memory and ends with it.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from reconciler import data
from reconciler.cluster.apply import install_crd
from reconciler.cluster.client import Client
from reconciler.model.names import CRD_NAME, ObjectKey
from reconciler.model.settings import ClusterSettings

from .api.server import ApiServer
from .clock import INSTANT, Clock, LoopClock, Pace, Speed
from .cloud.cloud import Cloud
from .cloud.http import CloudServer
from .controllers.deployments import Deployments
from .controllers.jobs import Jobs
from .controllers.lostpods import LostPods
from .controllers.replicasets import ReplicaSets
from .controllers.statefulsets import StatefulSets
from .gitserver import GitServer
from .node.agent import NodeAgent, RuntimeTable
from .node.simulated import SimulatedRuntime
from .node.stages import DEFAULT_STAGES, load
from .operator.controller import Operator
from .operator.eras import ERAS
from .registry.server import Registry
from .scheduler.scheduler import Scheduler
from .view import KINDS, View
from .workqueue import WorkQueue

WORLD_FILE = "world.json"
KUBECONFIG = "kubeconfig"
REPOSITORY = "workspaces"
"""Name of the Git repository that is there from the start."""


@dataclass(frozen=True, slots=True)
class Options:
    """Inputs of a world. `clock` is simulated time's, `stages` a file of pod stages.

    `operator` is the release of the Kaito operator at work there (a key of `ERAS`); None: there is none.
    """

    seed: int = 0
    speed: Speed = field(default_factory=Speed)
    clock: Clock = field(default_factory=LoopClock)
    stages: Path = DEFAULT_STAGES
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """What `world.json` says. `git` is empty on a machine without git."""

    apiserver: str
    cloud: str
    registry: str
    git: str
    kubeconfig: str
    pid: int


class World:
    """A running world; `stop` ends all of it."""

    def __init__(self, root: Path, options: Options) -> None:
        self.root = root
        self.pace = Pace(options.clock, random.Random(options.seed), options.speed)
        self.api = ApiServer()
        self.registry = Registry()
        self.git: GitServer | None = GitServer(root / "git") if shutil.which("git") else None
        self.operator: Operator | None = None
        self._options = options
        self._open = AsyncExitStack()

    @property
    def kubeconfig(self) -> Path:
        return self.root / KUBECONFIG

    async def start(self) -> None:
        try:
            await self._start_servers()
            await self._start_cluster()
        except BaseException:
            await self.stop()
            raise

    async def _start_servers(self) -> None:
        await self.api.start()
        self._open.push_async_callback(self.api.stop)
        self.api.write_kubeconfig(self.kubeconfig)
        await self.registry.start()
        self._open.push_async_callback(self.registry.stop)
        if self.git:
            await asyncio.to_thread(self.git.start)
            self._open.push_async_callback(asyncio.to_thread, self.git.stop)
            await asyncio.to_thread(self.git.create, REPOSITORY)

    async def _start_cluster(self) -> None:
        """Everything that talks to the API server does so over HTTP."""
        settings = ClusterSettings(kubeconfig=self.kubeconfig, concurrency=64)
        client = await Client.connect(settings, user_agent="dev-cluster", manager="dev-cluster")
        self._open.push_async_callback(client.close)
        kinds = KINDS if self._options.operator is None else (*KINDS, "Workspace")
        self.view = View(client, kinds)
        runtimes: RuntimeTable = [("*", SimulatedRuntime(self.pace, load(self._options.stages)))]
        self.agent = NodeAgent(self.view, self.pace, runtimes)
        self.api.log_source = self.agent.logs
        self.cloud = CloudServer(Cloud(client, self.pace), self.pace)
        self._open.push_async_callback(self.agent.close)
        for queue in self._queues():
            queue.start()
            self._open.push_async_callback(queue.close)
        if self._options.operator is not None:
            await self._start_operator(self._options.operator)
        self.agent.start()
        self._open.push_async_callback(self.view.close)
        await self.view.start()
        await self.cloud.start()
        self._open.push_async_callback(self.cloud.stop)

    async def _start_operator(self, era: str) -> None:
        """Its definition comes with it, as from its chart."""
        crd = yaml.safe_load(data.path(f"schemas/crds/{CRD_NAME}.yaml").read_text())
        await install_crd(self.view.client, crd)
        self.operator = Operator(self.view, self.pace, ERAS[era])
        self.operator.queue.start()
        self._open.push_async_callback(self.operator.queue.close)

    def _queues(self) -> list[WorkQueue[ObjectKey]]:
        everyone = (Deployments, ReplicaSets, StatefulSets, Jobs, Scheduler, LostPods)
        return [each(self.view, self.pace).queue for each in everyone]

    async def stop(self) -> None:
        await self._open.aclose()

    def addresses(self) -> Addresses:
        return Addresses(
            apiserver=self.api.url,
            cloud=self.cloud.url,
            registry=self.registry.host,
            git=self.git.url_of(REPOSITORY) if self.git else "",
            kubeconfig=str(self.kubeconfig),
            pid=os.getpid(),
        )


async def serve(root: Path, options: Options | None = None) -> World:
    """A world that is ready, its files written under `root`."""
    root.mkdir(parents=True, exist_ok=True)
    world = World(root, options or Options())
    await world.start()
    draft = root / f"{WORLD_FILE}.new"
    draft.write_text(json.dumps(asdict(world.addresses()), indent=2) + "\n")
    draft.replace(root / WORLD_FILE)
    return world


async def _until_asked_to_end(root: Path, options: Options) -> None:
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
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
    parser.add_argument("--operator", choices=sorted(ERAS), help="release of a Kaito operator at work there")
    given = parser.parse_args()
    speed = INSTANT if given.fast else Speed()
    options = Options(given.seed, speed, stages=given.stages, operator=given.operator)
    asyncio.run(_until_asked_to_end(given.dir, options))


if __name__ == "__main__":
    main()
