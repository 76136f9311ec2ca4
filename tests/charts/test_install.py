"""The chart in a cluster: the daemon as its pod, with its account's rights and no other."""

import asyncio
import json
import shutil
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import yaml
from e2e.bed import NAMESPACE as WORKSPACES
from e2e.bed import PUSH_SECRET, Bed
from plugins import helm, rbac
from plugins.helm import CHART, NAMESPACE, RELEASE, Helm
from plugins.world import Bench

from reconciler import data
from reconciler.cli import main
from reconciler.errors import Conflict, NotFound
from reconciler.model import names
from reconciler.model.names import ObjectKey

SERVING, ADAPTED, TUNING = "workspace-phi-3-mini", "workspace-phi-3-mini-adapter", "workspace-tuning-phi-3"
PROGRAM = {
    "image": "reconciler:*",
    "python": "current",
    "command": ["python", "-m", "reconciler"],
    "hostEnv": "RECONCILER_WEB__HOST",
}
"""The image as a local process: what the Containerfile's ENTRYPOINT runs."""
API = "/etc/reconciler/api"


class Installation:
    """A release of the chart in a bed's cluster."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.helm = Helm(bed.kubeconfig, "secret" if bed.control_plane else "memory")
        self.account = bed.root / "account.kubeconfig"

    def values(self, **config: object) -> dict:
        settings = {name: part for name, part in self.bed.settings.items() if name != "kubernetes"}
        settings |= {"web": {"port": self.bed.port}, "cache": "/var/cache/reconciler"}
        settings["kubernetes"] = {"kubeconfig": f"{API}/kubeconfig", "leaseSeconds": 4}
        mounts = [{"secret": "api", "path": API}]
        return {"config": {**settings, **config}, "mounts": mounts, "rights": {"namespaces": [WORKSPACES]}}

    async def install(self, chart: Path = CHART, **config: object) -> None:
        await made(self.bed.client, {"kind": "Namespace", "metadata": {"name": NAMESPACE}})
        values = self.values(**config)
        self.bed.granted += rbac.grants(helm.rendered(values))
        await self.helm.install(values, chart)
        await self._give_token()

    async def _give_token(self) -> None:
        """A kubeconfig that speaks as the chart's account, where the server knows accounts."""
        document = yaml.safe_load((self.bed.root / "kubeconfig").read_text())
        if self.bed.control_plane:
            path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{RELEASE}/token"
            request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
            answer = await self.bed.client.ask(path, request)
            document["users"][0]["user"] = {"token": answer["status"]["token"]}
        self.account.write_text(yaml.safe_dump(document))
        metadata = {"name": "api", "namespace": NAMESPACE}
        text = {"kubeconfig": self.account.read_text()}
        await made(self.bed.client, {"kind": "Secret", "metadata": metadata, "stringData": text})

    async def pod(self) -> dict | None:
        """The daemon's, once it is ready."""
        pods, _ = await self.bed.client.list("Pod", NAMESPACE)
        for pod in pods:
            conditions = {c["type"]: c["status"] for c in pod.get("status", {}).get("conditions") or []}
            if conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]:
                return pod
        return None

    async def ready(self) -> dict:
        try:
            await self.bed.until(self.pod, "the daemon's pod to be ready", 60)
        except AssertionError:
            pytest.fail(await self._told())
        found = await self.pod()
        assert found is not None
        return found

    async def _told(self) -> str:
        """What is known of pods that do not become ready."""
        told = []
        for pod in (await self.bed.client.list("Pod", NAMESPACE))[0]:
            name = pod["metadata"]["name"]
            told.append(json.dumps(pod.get("status"), indent=1))
            with suppress(NotFound, Conflict):
                told.append(self.bed.world.agent.log(NAMESPACE, name, "reconciler", False).tail(50, 1 << 14))
        events, _ = await self.bed.client.list("Event", NAMESPACE)
        told += [f"{each['reason']}: {each['message']}" for each in events]
        return "\n".join(told)

    async def examined(self, capsys, **config: object) -> tuple[list[dict], int]:
        """What `reconciler doctor` finds as the chart's account."""
        settings = {**self.values(**config)["config"]}
        settings["kubernetes"] = {"kubeconfig": str(self.account), "namespace": NAMESPACE}
        path = self.bed.root / "doctor.yaml"
        path.write_text(yaml.safe_dump(settings))
        capsys.readouterr()
        code = await asyncio.to_thread(main, ["doctor", "-c", str(path), "-o", "json"])
        return json.loads(capsys.readouterr().out), code


async def made(client, manifest: dict) -> None:
    """Where it is not there yet."""
    with suppress(Conflict):
        await client.create({"apiVersion": "v1", **manifest})


@pytest.fixture
async def installation(new_bed, tmp_path):
    table = tmp_path / "images.yaml"
    table.write_text(yaml.safe_dump([PROGRAM]))
    bed = await new_bed(images=table)
    await Bench(bed.world).add_node("system")
    yield (found := Installation(bed))
    found.helm.close()


def seeds(bed: Bed) -> dict[str, str]:
    """The seeds' manifests, with nothing but their placeholders filled in."""
    image = f"{bed.world.registry.host}/adapters/phi-3-dolly:0.0.1"
    filled = {}
    for path in sorted(data.path("presets/examples").glob("*.yaml")):
        text = path.read_text().replace("ACR_REGISTRY_SECRET_HERE", PUSH_SECRET)
        for placeholder in ("IMAGE_NAME_HERE", "ADAPTER_HERE"):
            text = text.replace(f"ACR_REPO_HERE.azurecr.io/{placeholder}:0.0.1", image)
        filled[path.name] = text
    return filled


async def phases(bed: Bed, **wanted: str) -> None:
    expected = {f"{WORKSPACES}/{name}": phase for name, phase in wanted.items()}

    async def told():
        return bed.index().get("workspaces") == expected

    await bed.until(told, f"the status ref to tell {expected}", 60)


async def uids(bed: Bed, kind: str) -> dict[str, str]:
    found, _ = await bed.client.list(kind, WORKSPACES)
    return {each["metadata"]["name"]: each["metadata"]["uid"] for each in found}


async def test_the_seeds_scenario_with_the_charts_rights_alone(installation, capsys):
    bed = installation.bed
    await installation.install()
    pod = await installation.ready()
    files = seeds(bed)
    bed.push(files)
    await phases(bed, **{SERVING: "Ready", ADAPTED: "Ready", TUNING: "Succeeded"})
    strength = files["inference-phi-3-adapter.yaml"].replace('strength: "1.0"', 'strength: "0.5"')
    bed.push({"inference-phi-3-adapter.yaml": strength, "inference-phi-3-mini.yaml": None})
    await phases(bed, **{ADAPTED: "Ready", TUNING: "Succeeded"})
    assert SERVING not in await bed.names("Deployment")

    address = f"http://{pod['status']['podIP']}:{bed.port}"
    async with httpx.AsyncClient(trust_env=False) as http:
        counted = (await http.get(f"{address}/metrics")).text
    assert 'reason="NotPermitted"' not in counted
    assert [each for each in bed.api.passed if each.code == 403] == []
    if bed.control_plane:
        await examined_on_a_server_that_has_access_rules(installation, capsys)
    await uninstalled(installation)


async def examined_on_a_server_that_has_access_rules(installation: Installation, capsys) -> None:
    findings, code = await installation.examined(capsys)
    assert {each["result"] for each in findings} <= {"ok", "warning"}, findings
    assert (code, [each for each in findings if "Secret" in each["seen"]]) == (0, [])
    findings, code = await installation.examined(capsys, engine="native", mode="full", tenants=[TENANT])
    wrong = [each["seen"] for each in findings if each["result"] == "wrong"]
    assert (code, wrong) == (
        1,
        [f"may not impersonate serviceaccounts writer in {WORKSPACES}: a tenant's objects are written as it"],
    )


TENANT = {"name": "a", "namespaces": [WORKSPACES], "serviceAccount": f"{WORKSPACES}:writer"}


async def uninstalled(installation: Installation) -> None:
    """Nothing but the release itself goes."""
    bed = installation.bed
    kinds = ("Workspace", "Deployment", "Service", "ConfigMap", "Pod")
    before = {kind: await uids(bed, kind) for kind in kinds}
    pools = bed.pools()
    await installation.helm.uninstall()

    async def gone():
        return not (await bed.client.list("Pod", NAMESPACE))[0]

    await bed.until(gone, "the daemon's pod to be gone", 60)
    assert {kind: await uids(bed, kind) for kind in kinds} == before
    assert before["Deployment"].keys() == {ADAPTED}
    assert bed.pools() == pools
    assert await bed.client.get(ObjectKey("CustomResourceDefinition", "", names.CRD_NAME))
    assert await bed.client.get(ObjectKey("ConfigMap", NAMESPACE, names.STATE_CONFIGMAP))


async def test_an_upgrade_from_another_version_keeps_everything_running(installation, tmp_path):
    bed = installation.bed
    older = shutil.copytree(CHART, tmp_path / "older")
    chart = yaml.safe_load((older / "Chart.yaml").read_text()) | {"version": "0.0.1"}
    (older / "Chart.yaml").write_text(yaml.safe_dump(chart))
    await installation.install(older)
    first = await installation.ready()
    bed.push({"inference-phi-3-mini.yaml": seeds(bed)["inference-phi-3-mini.yaml"]})
    await phases(bed, **{SERVING: "Ready"})
    pods, workspaces = await uids(bed, "Pod"), await uids(bed, "Workspace")

    await installation.helm.upgrade(installation.values(limits={"maxDeleted": 1}))

    async def replaced():
        pod = await installation.pod()
        return pod is not None and pod["metadata"]["uid"] != first["metadata"]["uid"]

    await bed.until(replaced, "the next version's pod to be ready", 60)
    assert (await uids(bed, "Pod"), await uids(bed, "Workspace")) == (pods, workspaces)
    assert {pool["key"] for pool in bed.pools()} == {f"{WORKSPACES}/{SERVING}"}


# --- examples, as a real server takes them ---------------------------------------------------------


def definition(kind: str) -> dict:
    """Of one of the Prometheus operator's kinds, as loosely as can be."""
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest.mark.parametrize("name", sorted(path.stem for path in (CHART / "examples").glob("*.yaml")))
async def test_an_example_is_taken_by_a_real_server(control_plane, name):
    from reconciler.cluster.apply import install_crd
    from reconciler.cluster.client import Client
    from reconciler.model.settings import ClusterSettings

    client = await Client.connect(ClusterSettings(kubeconfig=control_plane.kubeconfig))
    for namespace in (NAMESPACE, "ai", "vision"):
        await made(client, {"kind": "Namespace", "metadata": {"name": namespace}})
    for kind in ("ServiceMonitor", "PrometheusRule"):
        await install_crd(client, definition(kind))
    values = yaml.safe_load((CHART / "examples" / f"{name}.yaml").read_text())
    release = Helm(control_plane.kubeconfig, "secret")
    try:
        await release.install(values)
        deployment = await client.get(ObjectKey("Deployment", NAMESPACE, RELEASE))
        assert deployment is not None
        rendered = helm.one(helm.rendered(values), "Deployment")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["args"] == rendered["spec"]["template"]["spec"]["containers"][0]["args"]
    finally:
        await release.uninstall()
        release.close()
        await client.close()
