"""A test bed: the development world in this process, the daemon in another, proxies between them."""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml
from e2e.proxy import Proxy
from kaito_operator.controller import Operated
from plugins import helm, rbac
from plugins.realcluster import ControlPlane

from reconciler.cluster.client import Client
from reconciler.dev.clock import INSTANT, Speed
from reconciler.dev.gitserver import run_git
from reconciler.dev.serve import Options, serve
from reconciler.errors import NotFound
from reconciler.model import names
from reconciler.model.names import ObjectKey
from reconciler.model.settings import ClusterSettings

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "ai"
PUSH_SECRET = "registry-push"


class Bed:
    """Made by the `bed` fixture. `writes` lists every write that a server took, but for the lease.

    `control_plane` is a real one to work on, with controllers and scheduler of its own; None: ours.
    """

    def __init__(
        self,
        root: Path,
        speed: Speed = INSTANT,
        operator: str | None = None,
        control_plane: ControlPlane | None = None,
        images: Path | None = None,
    ) -> None:
        self.root = root
        self.writes: list[str] = []
        self.kill_after: int | None = None
        self.settings: dict = {}
        self.daemon: asyncio.subprocess.Process | None = None
        self.port = 0
        self.granted: list[rbac.Grant] = []
        self.control_plane = control_plane
        kubeconfig = control_plane and control_plane.kubeconfig
        self._options = Options(speed=speed, control_plane=kubeconfig, images=images)
        self._era = operator

    async def start(self) -> None:
        if shutil.which("git") is None:
            pytest.skip("needs the git program")
        self.world = await serve(self.root / "world", self._options)
        self._operated = Operated(self.world, self._era) if self._era else None
        self.operator = await self._operated.start() if self._operated else None
        at = self.world.addresses()
        git_host, _, git_path = at.git.removeprefix("http://").partition("/")
        tls = ssl.create_default_context(cafile=self.control_plane.ca) if self.control_plane else None
        self.api = Proxy(self.world.api_url, self._wrote, tls)
        self.cloud = Proxy(at.cloud, self._wrote)
        self.git = Proxy(f"http://{git_host}", self._wrote)
        for proxy in (self.api, self.cloud, self.git):
            await proxy.start()
        self.client = await Client.connect(ClusterSettings(kubeconfig=Path(at.kubeconfig)), user_agent="test")
        await self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        metadata = {"name": PUSH_SECRET, "namespace": NAMESPACE}
        data = {".dockerconfigjson": "e30="}
        await self.client.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
        self.remote = at.git
        self._configure(f"{self.git.url}/{git_path}")
        self._clone()

    async def stop(self) -> None:
        if self.daemon is not None and self.daemon.returncode is None:
            self.daemon.kill()
            await self.daemon.wait()
        await self.client.close()
        for proxy in (self.api, self.cloud, self.git):
            await proxy.stop()
        if self._operated:
            await self._operated.stop()
        await self.world.stop()
        refused = rbac.refused(self.needed(), self.granted)
        assert not refused, f"the chart's roles do not allow what the daemon asked for: {refused}"

    # --- the daemon

    @property
    def kubeconfig(self) -> Path:
        """For a person's own kubectl, past the proxies that count writes."""
        return self.world.kubeconfig

    def _configure(self, git_url: str) -> None:
        kubeconfig = yaml.safe_load(self.world.kubeconfig.read_text())
        cluster = kubeconfig["clusters"][0]["cluster"]
        cluster["server"] = cluster["server"].replace(self.world.api_url, self.api.url)
        cluster.pop("certificate-authority-data", None)
        proxied = self.root / "kubeconfig"
        proxied.write_text(yaml.safe_dump(kubeconfig))
        self.port = _free_port()
        self.settings = {
            "cluster": "test",
            "engine": "native",
            "mode": "full",
            "source": {
                "url": git_url,
                "pollSeconds": 0.2,
                "paths": [{"include": "workspaces/**/*.yaml", "namespace": NAMESPACE}],
            },
            "status": {"minIntervalSeconds": 0.2},
            "provisioner": {"driver": "simulated", "url": self.cloud.url},
            "timing": {"cloudPollSeconds": 0.3, "releaseAfterSuccessSeconds": 0.5},
            "kubernetes": {"kubeconfig": str(proxied), "leaseSeconds": 4 if self.control_plane else 1},
            "web": {"host": "127.0.0.1", "port": self.port},
            "cache": str(self.root / "cache"),
        }

    async def run(self) -> None:
        """Starts the daemon and waits for its first plan."""
        await self.launch()
        await self.until(self._ready, "the daemon to be ready")

    def needed(self) -> set[rbac.Need]:
        """What the daemon's requests to the API server must be allowed, where a chart made its namespace."""
        asked = rbac.needs(each for each in self.api.passed if each.agent == "reconciler")
        return {need for need in asked if need[:3] != ("create", "", "namespaces")}

    async def launch(self) -> None:
        told = {name: self.settings[name] for name in ("mode", "engine", "tenants") if name in self.settings}
        self.granted += rbac.grants(helm.rendered(helm.values(**told)))
        path = self.root / "reconciler.yaml"
        path.write_text(yaml.safe_dump(self.settings))
        with (self.root / "daemon.log").open("ab") as log:
            self.daemon = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "reconciler", "run", "--config", str(path), "--log", "json",
                stdout=log, stderr=log, cwd=ROOT,
            )  # fmt: skip

    async def kill(self) -> None:
        assert self.daemon is not None
        self.daemon.kill()
        await self.daemon.wait()

    async def end(self) -> int:
        """Asks the daemon to end as a cluster would."""
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            return await self.daemon.wait()

    def _wrote(self, line: str) -> None:
        if "/leases" in line:
            return  # every process writes its lease before it may write anything else
        self.writes.append(line)
        if self.kill_after == len(self.writes) and self.daemon is not None:
            os.kill(self.daemon.pid, signal.SIGKILL)

    async def _ready(self) -> bool:
        try:
            async with httpx.AsyncClient(verify=False) as http:
                return (await http.get(f"http://127.0.0.1:{self.port}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def metrics(self) -> dict[str, float]:
        async with httpx.AsyncClient(verify=False) as http:
            text = (await http.get(f"http://127.0.0.1:{self.port}/metrics")).text
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, value in pairs}

    # --- the user

    def _clone(self) -> None:
        self.clone = self.root / "clone"
        run_git("init", "-q", "-b", "main", str(self.clone))
        self._git("remote", "add", "origin", self.remote)
        self.push({"../README.md": "specs live in workspaces/"}, "Begin")

    @property
    def repository(self) -> Path:
        """The bare repository on the Git server."""
        return self.root / "world" / "git" / self.remote.rpartition("/")[2]

    def _git(self, *arguments: str) -> str:
        return run_git("-C", str(self.clone), "-c", "user.name=T", "-c", "user.email=t@e.x", *arguments)

    def push(self, files: dict[str, str | None], message: str = "change") -> str:
        """Commits these files under `workspaces/` (None deletes one) and pushes; returns the commit."""
        for name, text in files.items():
            path = self.clone / "workspaces" / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", message)
        self._git("push", "-q", "-f", "origin", "HEAD:main")
        return self._git("rev-parse", "HEAD").strip()

    def status_commits(self) -> list[str]:
        """Messages on the status ref, newest first."""
        self._git("fetch", "-q", "origin", "+refs/heads/reconciler-status/test:refs/status")
        return self._git("log", "--format=%s", "refs/status").strip().splitlines()

    def status_bodies(self) -> str:
        self._git("fetch", "-q", "origin", "+refs/heads/reconciler-status/test:refs/status")
        return self._git("log", "--format=%b", "refs/status")

    def status_file(self, path: str) -> str:
        self._git("fetch", "-q", "origin", "+refs/heads/reconciler-status/test:refs/status")
        return self._git("show", f"refs/status:{path}")

    def index(self) -> dict:
        """The status ref's index; empty while there is none."""
        try:
            return json.loads(self.status_file("index.json"))
        except RuntimeError:
            return {}

    def told_of(self, name: str) -> str:
        """The workspace's file on the status ref; empty while there is none."""
        shard = hashlib.sha256(f"{NAMESPACE}/{name}".encode()).hexdigest()[:2]
        try:
            return self.status_file(f"status/{shard}/{NAMESPACE}.{name}.json")
        except RuntimeError:
            return ""

    # --- what is there

    async def get(self, kind: str, name: str) -> dict | None:
        return await self.client.get(ObjectKey(kind, NAMESPACE, name))

    async def condition(self, type: str) -> dict:
        """What the daemon says of its own surroundings; empty where it never said it."""
        found = await self.client.get(ObjectKey("ConfigMap", "reconciler-system", names.STATE_CONFIGMAP))
        said = ((found or {}).get("data") or {}).get(names.CONDITIONS_ENTRY, "{}")
        return json.loads(said).get(type, {})

    async def names(self, kind: str) -> set[str]:
        """Of all objects of a kind in the workspaces' namespace; none where the cluster does not serve it."""
        try:
            found, _ = await self.client.list(kind, NAMESPACE)
        except NotFound:
            return set()
        return {item["metadata"]["name"] for item in found}

    def pools(self) -> list[dict]:
        return [pool.report() for pool in self.world.cloud.cloud.pools()]

    async def phase(self, name: str) -> str:
        found = await self.get("Workspace", name)
        return ((found or {}).get("status") or {}).get("phase", "")

    async def until(self, done: Callable, what: str, seconds: float = 30.0) -> None:
        """Looks until it is so. The deadline is generous; the wait is not the test."""
        if self.control_plane:
            seconds *= 3
        deadline = time.monotonic() + seconds
        while not await done():
            if self.daemon is not None and self.daemon.returncode is not None and self.kill_after is None:
                raise AssertionError(f"the daemon ended:\n{self._log()}")
            if time.monotonic() > deadline:
                told = await self._told()
                raise AssertionError(f"waited {seconds:.0f} s for {what}:\n{told}\n{self._log()}")
            await asyncio.sleep(0.05)

    async def _told(self) -> str:
        """What the Workspace objects say of themselves, and the pods."""
        lines = []
        for kind in ("Workspace", "Pod"):
            for name in await self.names(kind):
                status = (await self.get(kind, name) or {}).get("status", {})
                lines.append(
                    f"{kind} {name}: {status.get('phase')} {status.get('reason')} {status.get('message')}"
                )
        return "\n".join(lines)

    def _log(self) -> str:
        log = self.root / "daemon.log"  # there is none where the daemon runs in a pod
        return "\n".join(log.read_text().splitlines()[-30:]) if log.exists() else ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def inference(name: str, *, strength: str = "", count: int = 1, annotations: dict | None = None) -> str:
    """A serving workspace as YAML."""
    document: dict = {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": name, **({"annotations": annotations} if annotations else {})},
        "resource": {
            "count": count,
            "instanceType": "Standard_NC6s_v3",
            "labelSelector": {"matchLabels": {"apps": name}},
        },
        "inference": {"preset": {"name": "phi-3-mini-4k-instruct"}},
    }
    if strength:
        source = {"name": "adapter", "image": "registry.example.com/adapters/a:1"}
        document["inference"]["adapters"] = [{"source": source, "strength": strength}]
    return yaml.safe_dump(document, sort_keys=False)


def tuning(name: str, image: str = "registry.example.com/adapters/t:1", method: str = "qlora") -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "kaito.sh/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": name},
            "resource": {
                "instanceType": "Standard_NC6s_v3",
                "labelSelector": {"matchLabels": {"app": name}},
            },
            "tuning": {
                "preset": {"name": "phi-3-mini-128k-instruct"},
                "method": method,
                "input": {"urls": ["https://data.example.com/train.parquet"]},
                "output": {"image": image, "imagePushSecret": PUSH_SECRET},
            },
        },
        sort_keys=False,
    )
