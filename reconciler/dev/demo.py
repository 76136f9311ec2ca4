"""The main job, end to end, on the development cluster: push, plan, apply, serve, report.

Three processes: the development world, the daemon (so that it can be killed), and this one, which
plays the user: it pushes with git, watches with a Kubernetes client, and judges the outcome.
"""

import asyncio
import base64
import json
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..cluster.cache import Cache, Selection
from ..cluster.client import Client
from ..model.names import ObjectKey
from ..model.settings import ClusterSettings
from ..model.world import Manifest
from .home import Addresses
from .process import WorldProcess
from .realwork import RealWork
from .request import Forge
from .runtimes.images import REPOSITORY
from .runtimes.models import Model, prepare, training_config
from .show import Show
from .user import PUSH_SECRET, DemoFailed, change, cloned, emptied, git, manifests, push

NAMESPACE = "ai"
CLUSTER = "demo"
SERVING, ADAPTED, TUNING = "workspace-phi-3-mini", "workspace-phi-3-mini-adapter", "workspace-tuning-phi-3"
Phases = Mapping[str, Manifest]
Until = Callable[[Phases], bool]


@dataclass
class Demo:
    """One run in `root`, which is emptied first. `seconds` bounds each wait."""

    root: Path
    show: Show
    seconds: float = 120.0
    fast: bool = False
    """Simulated things take no time."""
    model: Model | None = None
    """Which small model is tuned and served; None: containers are simulated."""
    _workspaces: dict[str, Manifest] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, keep: asyncio.Event | None = None) -> None:
        """Raises DemoFailed with the reason. With `keep`, everything stays up until it is set."""
        emptied(self.root)
        self._forge = Forge(self.root, self.show, git)
        await self._forge.start()
        arguments = ["--fast"] if self.fast else []
        if self.model is not None:
            runtime = self.root / "runtime.json"
            (await asyncio.to_thread(prepare, self.model, self.show.say)).write(runtime)
            arguments += ["--runtime", str(runtime)]
        world = WorldProcess(self.root / "world", arguments)
        try:
            await self._with_world(await world.start(), keep)
        finally:
            await world.stop()
            await self._forge.stop()

    async def _with_world(self, world: Addresses, keep: asyncio.Event | None) -> None:
        self.show.say(f"development cluster at {world.apiserver}, Git at {world.git}")
        settings = self._settings(world)
        client = await Client.connect(ClusterSettings(kubeconfig=Path(world.kubeconfig)), user_agent="demo")
        cache = Cache(client, [Selection("Workspace", namespace=NAMESPACE)], self._seen, retry_seconds=0.5)
        daemon = await self._start_daemon(settings)
        try:
            await _prepare(client, world)
            await cache.start()
            await self._story(client, world, daemon)
            await self._summary(world, settings)
            if keep is not None:
                await keep.wait()
        finally:
            await _stop(daemon)
            await cache.close()
            await client.close()

    # --- the story

    async def _story(self, client: Client, world: Addresses, daemon: asyncio.subprocess.Process) -> None:
        clone = await cloned(world.git, self.root / "clone")
        config = training_config(self.model) if self.model else None
        written = manifests(world, config)
        for name, text in written.items():
            (clone / "workspaces" / name).write_text(text)
        first = await push(clone, "Serve and tune phi-3")
        self.show.heading(f"pushed {first[:7]}: three workspaces")
        await self._until(daemon, "the tuning to succeed", _tuned)
        work = RealWork(client, self.show, NAMESPACE) if self.model else None
        if work:
            await work.show_training(TUNING, _status(self._workspaces, TUNING))
        await self._until(daemon, "all three to be ready", _all_ready)
        if work:
            await work.compare(SERVING, ADAPTED)
        strength, title = ("0", "Turn the adapter off") if work else ("0.5", "Halve the adapter's strength")
        change(clone, strength)
        second = await self._by_pull_request(clone, f"{title}, stop serving the base model alone")
        await self._until(daemon, "the change to be served and the other to be gone", _second_done(second))
        if not await self._forge.followed(second, self.seconds):
            raise DemoFailed(f"the merge was not told of:\n{_tail(self.root / 'daemon.log')}")
        if work:
            await work.compare_without(ADAPTED)
        await self._check_cluster(client)

    async def _by_pull_request(self, clone: Path, title: str) -> str:
        """The merge commit."""
        await self._forge.propose(clone, title)
        self.show.heading("opened pull request 1: one workspace changed, one removed")
        if not await self._forge.answered(self.seconds):
            raise DemoFailed(f"the pull request was not approved of:\n{_tail(self.root / 'daemon.log')}")
        merged = await self._forge.merge(clone)
        self.show.heading(f"merged it as {merged[:7]}")
        return merged

    async def _check_cluster(self, client: Client) -> None:
        nodes, _ = await client.list("Node")
        if any(n["metadata"]["labels"].get("kaito.sh/workspace") == SERVING for n in nodes):
            raise DemoFailed(f"the nodes of {SERVING} are still there")
        if await client.get(ObjectKey("Deployment", NAMESPACE, SERVING)) is not None:
            raise DemoFailed(f"the Deployment of {SERVING} is still there")

    async def _until(self, daemon: asyncio.subprocess.Process, what: str, done: Until) -> None:
        """Waits for the Workspace objects to look so; fails when the daemon ends or time is up."""
        try:
            async with asyncio.timeout(self.seconds):
                while not done(self._workspaces):
                    if daemon.returncode is not None:
                        raise DemoFailed(f"the daemon ended:\n{_tail(self.root / 'daemon.log')}")
                    if failed := [
                        n for n in self._workspaces if _status(self._workspaces, n).get("phase") == "Failed"
                    ]:
                        raise DemoFailed(
                            f"{failed[0]}: {_status(self._workspaces, failed[0]).get('message')}"
                        )
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            log = _tail(self.root / "daemon.log")
            raise DemoFailed(
                f"waited {self.seconds:.0f} s for {what}; the daemon's log ends with\n{log}"
            ) from None

    def _seen(self, key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        if new is None:
            self._workspaces.pop(key.name, None)
        else:
            self._workspaces[key.name] = new
        self.show.workspaces(self._workspaces)
        self._changed.set()

    # --- the daemon

    def _settings(self, world: Addresses) -> Path:
        written = {
            "cluster": CLUSTER,
            "engine": "native",
            "mode": "full",
            "source": {
                "url": world.git,
                "ref": "main",
                "pollSeconds": 1,
                "paths": [{"include": "workspaces/**/*.yaml", "namespace": NAMESPACE}],
            },
            "status": {"minIntervalSeconds": 2},
            "forge": self._forge.settings,
            "review": {"pollSeconds": 1},
            "provisioner": {"driver": "simulated", "url": world.cloud},
            "timing": {"cloudPollSeconds": 1, "releaseAfterSuccessSeconds": 5},
            "images": {"repository": REPOSITORY, "allowHosts": [world.data]} if world.data else {},
            "kubernetes": {"kubeconfig": world.kubeconfig},
            "web": {"host": "127.0.0.1", "port": _free_port()},
            "cache": str(self.root / "cache"),
        }
        path = self.root / "reconciler.yaml"
        path.write_text(yaml.safe_dump(written, sort_keys=False))
        return path

    async def _start_daemon(self, settings: Path) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "reconciler", "run", "--config", str(settings), "--log", "json"]
        with (self.root / "daemon.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)

    # --- what there is to see at the end

    async def _told(self) -> list[str]:
        """The log of the status ref, once it tells of the end."""
        ref, clone = f"refs/heads/reconciler-status/{CLUSTER}", self.root / "clone"
        wanted = {f"{NAMESPACE}/{ADAPTED}": "Ready", f"{NAMESPACE}/{TUNING}": "Succeeded"}
        async with asyncio.timeout(self.seconds):
            while True:
                await git(clone, "fetch", "-q", "origin", f"+{ref}:refs/status")
                index = json.loads(await git(clone, "show", "refs/status:index.json"))
                if index["workspaces"] == wanted:
                    log = await git(clone, "log", "--format=%h %s", "refs/status")
                    return log.strip().splitlines()
                await asyncio.sleep(0.3)  # a remote ref tells nobody that it moved

    async def _summary(self, world: Addresses, settings: Path) -> None:
        try:
            log = await self._told()
        except TimeoutError:
            raise DemoFailed("the status ref does not tell of the end") from None
        port = yaml.safe_load(settings.read_text())["web"]["port"]
        self.show.summary(
            status_commits=log,
            metrics=f"http://127.0.0.1:{port}/metrics",
            kubeconfig=world.kubeconfig,
            settings=str(settings),
        )


# --- what is waited for -----------------------------------------------------------------------------


def _tuned(seen: Phases) -> bool:
    return _status(seen, TUNING).get("phase") == "Succeeded"


def _all_ready(seen: Phases) -> bool:
    wanted = {SERVING: "Ready", ADAPTED: "Ready", TUNING: "Succeeded"}
    return all(_status(seen, name).get("phase") == phase for name, phase in wanted.items())


def _second_done(commit: str) -> Until:
    def done(seen: Phases) -> bool:
        adapted = _status(seen, ADAPTED)
        return SERVING not in seen and adapted.get("phase") == "Ready" and adapted.get("commit") == commit

    return done


def _status(seen: Phases, name: str) -> dict[str, Any]:
    found: dict[str, Any] = seen.get(name, {}).get("status") or {}
    return found


async def _prepare(client: Client, world: Addresses) -> None:
    """What a cluster has before: a namespace, and the Secret with which the tuning pushes."""
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    auths = {"auths": {world.registry: {"auth": base64.b64encode(b"demo:demo").decode()}}}
    await client.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": PUSH_SECRET, "namespace": NAMESPACE},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": base64.b64encode(json.dumps(auths).encode()).decode()},
        }
    )


# --- small things ----------------------------------------------------------------------------------


async def _stop(daemon: asyncio.subprocess.Process) -> None:
    if daemon.returncode is None:
        daemon.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(15):
                await daemon.wait()
        except TimeoutError:
            daemon.kill()
            await daemon.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
