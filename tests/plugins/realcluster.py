"""A real control plane of whatever version, from the programs in the folder that KUBEBUILDER_ASSETS names.

`etcd` and `kube-apiserver` must be there; `kube-controller-manager` and `kube-scheduler` are started where
they are. Everything listens on loopback, is in a folder of its own and ends with the test process.
"""

import base64
import os
import re
import secrets
import ssl
import subprocess
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import httpx
import pytest
import yaml

from .children import Child, free_port

ASSETS = os.environ.get("KUBEBUILDER_ASSETS", "")
SERVERS = ["dev", "real"] if ASSETS else ["dev"]
"""Names of those that tests run against: ours, and the real one where there is one."""

START_SECONDS = 120.0
TEST_SECONDS = 600
ADMIN = "admin"


def has(program: str) -> bool:
    """Whether the folder of programs has this one."""
    return (Path(ASSETS) / program).exists()


class ControlPlane:
    """`start` returns once the server is ready and its first namespaces are there."""

    def __init__(self, assets: Path, root: Path) -> None:
        self.root = root
        self.kubeconfig = root / "kubeconfig"
        self.token = secrets.token_urlsafe(24)
        self.url = f"https://127.0.0.1:{free_port()}"
        self._assets = assets
        self._etcd = f"http://127.0.0.1:{free_port()}"
        self._children: list[Child] = []

    @cached_property
    def version(self) -> tuple[int, int]:
        """(1, 20) for a kube-apiserver 1.20.2."""
        said = subprocess.check_output([self._assets / "kube-apiserver", "--version"], text=True)
        major, minor = re.findall(r"v(\d+)\.(\d+)", said)[0]
        return int(major), int(minor)

    @property
    def ca(self) -> Path:
        """The server's own certificate and, after it, the one that signed it."""
        return self.root / "certificates" / "apiserver.crt"

    def start(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "tokens.csv").write_text(f'{self.token},{ADMIN},{ADMIN},"system:masters"\n')
        self._make_key(self.root / "accounts.key")
        self._run("etcd", self._etcd_flags())
        self._run("kube-apiserver", self._apiserver_flags())
        self._await_server()
        self._write_kubeconfig()
        for name in ("kube-controller-manager", "kube-scheduler"):
            if (self._assets / name).exists():
                self._run(name, self._follower_flags(name))

    def stop(self) -> None:
        for child in reversed(self._children):
            child.kill()

    async def forget(self) -> None:
        """Compacts etcd: versions older than the newest can no longer be read."""
        async with httpx.AsyncClient(base_url=self._etcd, trust_env=False) as http:
            newest = (await http.post("/v3/kv/range", json={"key": "AA=="})).json()["header"]["revision"]
            (await http.post("/v3/kv/compaction", json={"revision": newest})).raise_for_status()

    def told(self) -> str:
        """The last lines of every program's log."""
        return "\n".join(f"--- {child.log}\n{child.tail()}" for child in self._children)

    def _run(self, name: str, flags: dict[str, str]) -> None:
        command = [str(self._assets / name), *(f"--{key}={value}" for key, value in flags.items())]
        self._children.append(Child(command, self.root / f"{name}.log"))

    def _make_key(self, path: Path) -> None:
        """For the tokens of service accounts."""
        subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True, capture_output=True)

    def _etcd_flags(self) -> dict[str, str]:
        peers = f"http://127.0.0.1:{free_port()}"
        return {
            "data-dir": str(self.root / "etcd"),
            "listen-client-urls": self._etcd,
            "advertise-client-urls": self._etcd,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
            "unsafe-no-fsync": "true",
        }

    def _apiserver_flags(self) -> dict[str, str]:
        key = str(self.root / "accounts.key")
        return {
            "etcd-servers": self._etcd,
            "cert-dir": str(self.root / "certificates"),
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "endpoint-reconciler-type": "none",
            "secure-port": self.url.rpartition(":")[2],
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "token-auth-file": str(self.root / "tokens.csv"),
            "authorization-mode": "RBAC",
            "service-cluster-ip-range": "10.0.0.0/16",
            "disable-admission-plugins": "ServiceAccount",
            **self._gates(),
        }

    def _follower_flags(self, name: str) -> dict[str, str]:
        shared = {
            "kubeconfig": str(self.kubeconfig),
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
            "secure-port": "0",
        }
        if self.version < (1, 24):
            shared["port"] = "0"
        if name == "kube-scheduler":
            return shared
        key = {"service-account-private-key-file": str(self.root / "accounts.key")}
        return shared | key | self._gates()

    def _gates(self) -> dict[str, str]:
        """Jobs are deleted after `ttlSecondsAfterFinished` since 1.23 without being asked to."""
        return {"feature-gates": "TTLAfterFinished=true"} if self.version < (1, 23) else {}

    def _await_server(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            ended = [child for child in self._children if child.ended]
            if ended or time.monotonic() > deadline:
                told = self.told()
                self.stop()
                raise RuntimeError(f"the real control plane in {self._assets} did not start:\n{told}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            context = ssl.create_default_context(cafile=self.ca)
            headers = {"Authorization": f"Bearer {self.token}"}
            with httpx.Client(base_url=self.url, headers=headers, verify=context, trust_env=False) as http:
                namespaces = ("default", "kube-system")
                paths = ["/readyz", *(f"/api/v1/namespaces/{name}" for name in namespaces)]
                return all(http.get(path).status_code == 200 for path in paths)
        except (OSError, httpx.HTTPError):
            return False

    def _write_kubeconfig(self) -> None:
        authority = base64.b64encode(self.ca.read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "real", "cluster": cluster}],
            "users": [{"name": ADMIN, "user": {"token": self.token}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": ADMIN}}],
            "current-context": "real",
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))


_running: list[ControlPlane] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks `real` what needs the real one, which takes its time; without one those tests are not there."""
    needy = [item for item in items if _needs_the_real_one(item)]
    for item in needy:
        item.add_marker("real")
        item.add_marker(pytest.mark.timeout(TEST_SECONDS))
    if not ASSETS:
        config.hook.pytest_deselected(items=needy)
        items[:] = [item for item in items if item not in needy]


def _needs_the_real_one(item: pytest.Item) -> bool:
    params = item.callspec.params.values() if hasattr(item, "callspec") else ()
    fixtures = {"control_plane", "bare_server"} & set(getattr(item, "fixturenames", ()))
    return bool(fixtures) or "real" in params or item.get_closest_marker("real") is not None


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One for each test process; ask for it only where `ASSETS` is set."""
    made = ControlPlane(Path(ASSETS), tmp_path_factory.mktemp("control-plane"))
    try:
        made.start()
        _running.append(made)
        yield made
    finally:
        _running.clear()
        made.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failure of a test that used the control plane shows what that said."""
    report = yield
    if report.failed and _running and "control_plane" in getattr(item, "fixturenames", ()):
        report.sections.append(("control plane", _running[0].told()))
    return report
