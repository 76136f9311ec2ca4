"""The running demo as a newcomer looks at it: `reconciler demo --keep`, and the real kubectl beside it."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from plugins.kubectl import kubectl_for

from reconciler.dev.gitserver import run_git

ADAPTED, TUNING = "workspace-phi-3-mini-adapter", "workspace-tuning-phi-3"
MINE = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "mine"},
    "data": {"one": "1", "two": "2"},
}
OTHER = {**MINE, "data": {"one": "1", "three": "3"}}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder of a demo that has told its story and keeps running."""
    root = tmp_path_factory.mktemp("demo") / "demo"
    log = root.with_suffix(".log")
    command = [sys.executable, "-m", "reconciler", "demo", "--keep", "--fast", "--dir", str(root)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    deadline = time.monotonic() + 120
    while "to look further" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"the demo told no end:\n{log.read_text()}")
        time.sleep(0.1)
    yield root
    process.terminate()
    assert process.wait(60) == 0, log.read_text()


@pytest.fixture
def kubectl(demo, tmp_path):
    """kubectl in the demo's namespace; a failure is the test's, unless `ok` allows its exit status."""
    run = kubectl_for(demo / "world" / "kubeconfig", tmp_path)

    async def in_namespace(*arguments, ok=(0,), **more):
        said = await run("-n", "ai", *arguments, **more)
        assert said.code in ok, f"{arguments}: {said}"
        return said.out + said.err

    return in_namespace


def rows(table: str) -> list[dict[str, str]]:
    """A table by its header. No column here is empty but where kubectl leaves blanks at the same places."""
    header, *lines = table.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+(?: \S+)*", header)]
    cuts = [slice(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]
    names = [header[cut].strip() for cut in cuts]
    return [dict(zip(names, (line[cut].strip() for cut in cuts), strict=True)) for line in lines]


async def until(said, what: str):
    """Asks again until it is so."""
    async with asyncio.timeout(60):
        while not await said():
            await asyncio.sleep(0.1)


def push_strength(demo: Path, strength: str) -> None:
    clone = demo / "clone"
    spec = clone / "workspaces" / "inference-phi-3-adapter.yaml"
    spec.write_text(re.sub(r'strength: "[\d.]+"', f'strength: "{strength}"', spec.read_text()))
    who = ("-c", "user.name=T", "-c", "user.email=t@e.x")
    run_git("-C", str(clone), *who, "commit", "-qam", f"Strength {strength}")
    run_git("-C", str(clone), "push", "-q", "origin", "main")


# --- looking


async def test_get_workspaces_watches_a_change_arrive(demo, kubectl):
    binary = Path(sys.executable).with_name("kubectl")
    environment = {**os.environ, "KUBECONFIG": str(demo / "world" / "kubeconfig")}
    columns = "-ocustom-columns=NAME:.metadata.name,PHASE:.status.phase"
    watching = await asyncio.create_subprocess_exec(
        binary if binary.exists() else "kubectl", "-n", "ai", "get", "workspaces", "-w", columns,
        env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert watching.stdout is not None

    async def reads(phase: str) -> None:
        async for line in watching.stdout:
            if line.split() == [ADAPTED.encode(), phase.encode()]:
                return
        pytest.fail("kubectl stopped watching")

    try:
        async with asyncio.timeout(60):
            await reads("Ready")
            push_strength(demo, "0.7")
            await reads("Deploying")
            await reads("Ready")
    finally:
        watching.terminate()
        await watching.wait()
    said = await kubectl("get", "deploy", ADAPTED, "-o", "jsonpath={..env[?(@.name=='phi-3-adapter')].value}")
    assert said == "0.7"


async def test_get_in_every_format(kubectl):
    wide = {row["NAME"]: row for row in rows(await kubectl("get", "workspaces", "-o", "wide"))}
    assert wide.keys() == {ADAPTED, TUNING}
    assert {wide[ADAPTED][part] for part in ("RESOURCEREADY", "INFERENCEREADY", "WORKSPACEREADY")} == {"True"}
    (pod,) = rows(await kubectl("get", "pods", "-o", "wide", "-l", f"kaito.sh/workspace={ADAPTED}"))
    assert (pod["READY"], pod["STATUS"], pod["RESTARTS"]) == ("1/1", "Running", "0")
    (node,) = [row for row in rows(await kubectl("get", "nodes", "-o", "wide")) if row["NAME"] == pod["NODE"]]
    assert (node["STATUS"], node["VERSION"]) == ("Ready", "v1.32.0")
    (listed,) = [
        item
        for item in json.loads(await kubectl("get", "pods", "-o", "json"))["items"]
        if item["metadata"]["name"] == pod["NAME"]
    ]
    assert listed["status"]["podIP"] == pod["IP"]
    assert await kubectl("get", "pod", pod["NAME"], "-o", "jsonpath={.spec.nodeName}") == pod["NODE"]
    columns = "custom-columns=WHO:.metadata.name,IP:.status.podIP"
    (custom,) = rows(await kubectl("get", "pod", pod["NAME"], "-o", columns))
    assert custom == {"WHO": pod["NAME"], "IP": pod["IP"]}
    pods = rows(await kubectl("get", "pods", "--sort-by=.metadata.name"))
    assert [row["NAME"] for row in pods] == sorted(row["NAME"] for row in pods)
    assert await kubectl("get", "deploy", "-o", "name") == f"deployment.apps/{ADAPTED}\n"
    every = await kubectl("get", "all", "-A")
    for name in (f"deployment.apps/{ADAPTED}", f"service/{ADAPTED}", f"job.batch/{TUNING}"):
        assert name in every


async def test_describe_tells_of_every_kind(kubectl):
    workspace = await kubectl("describe", "workspace", ADAPTED)
    assert re.search(r"Phase: +Ready", workspace)
    assert "AsDeclared" in workspace.partition("Events:")[2]
    service = await kubectl("describe", "service", ADAPTED)
    assert re.search(r"TargetPort: +5000/TCP\nEndpoints: +10\.[\d.]+:5000", service)
    deployment = await kubectl("describe", "deployment", ADAPTED)
    assert "1 desired | 1 updated | 1 total | 1 available | 0 unavailable" in deployment
    assert re.search(r"NewReplicaSet: +\S+ \(1/1 replicas created\)", deployment)
    job = await kubectl("describe", "job", TUNING)
    assert re.search(r"Pods Statuses: +0 Active \(0 Ready\) / 1 Succeeded / 0 Failed", job)
    pod = await kubectl("describe", "pod", "-l", f"kaito.sh/workspace={ADAPTED}")
    assert re.search(r"Init Containers:\n +puller-phi-3-adapter:(.*\n)+? +Reason: +Completed", pod)
    assert re.search(r"Ready +True", pod)
    node = await kubectl("describe", "node")
    assert re.search(r"nvidia.com/gpu +1 +1", node)
    assert f"ai                          {ADAPTED}" in node


async def test_logs_of_a_deployment_and_of_its_init_container(kubectl):
    every = await kubectl("logs", f"deploy/{ADAPTED}", "--all-containers")
    last = await kubectl("logs", f"deploy/{ADAPTED}", "-c", ADAPTED, "--tail=1")
    assert last.endswith(": ready\n")
    assert last in every
    assert "puller-phi-3-adapter" in every
    assert "not found" in await kubectl("logs", f"deploy/{ADAPTED}", "--previous", ok=(1,))


async def test_events_are_listed_and_told_of_one_workspace(kubectl):
    told = rows(await kubectl("get", "events", "--sort-by=.lastTimestamp"))
    assert {"AsDeclared", "TuningSucceeded"} <= {row["REASON"] for row in told}
    one = f"involvedObject.kind=Workspace,involvedObject.name={TUNING}"
    some = rows(await kubectl("get", "events", "--field-selector", one))
    assert {row["OBJECT"] for row in some} == {f"workspace/{TUNING}"}
    assert {"Scheduled", "Started", "SuccessfulCreate", "ScalingReplicaSet"} <= {
        row["REASON"] for row in told
    }


async def test_explain_and_api_resources(kubectl):
    assert re.search(
        r"FIELD: instanceType <string>", await kubectl("explain", "workspace.resource.instanceType")
    )
    assert re.search(r"FIELD: replicas <integer>", await kubectl("explain", "deployment.spec.replicas"))
    known = {row["NAME"]: row for row in rows(await kubectl("api-resources"))}
    assert known["workspaces"]["KIND"] == "Workspace"
    assert known["deployments"]["SHORTNAMES"] == "deploy"
    assert "kaito.sh/v1beta1" in (await kubectl("api-versions")).split()


async def test_wait_returns_for_what_is_so_and_names_what_is_not(kubectl):
    for condition, what in (
        ("WorkspaceReady", f"workspace/{ADAPTED}"),
        ("Available", f"deployment/{ADAPTED}"),
        ("Complete", f"job/{TUNING}"),
    ):
        said = await kubectl("wait", f"--for=condition={condition}", what, "--timeout=60s")
        assert said.endswith("condition met\n")
    never = await kubectl("wait", "--for=condition=Never", f"job/{TUNING}", "--timeout=1s", ok=(1,))
    assert "timed out waiting for the condition" in never


# --- changing


async def test_apply_diff_and_delete_by_hand(kubectl):
    apply, diff = ("apply", "-f", "-"), ("diff", "-f", "-")
    assert "mine created" in await kubectl(*apply, manifests=[MINE])
    assert "mine unchanged" in await kubectl(*apply, manifests=[MINE])
    difference = await kubectl(*diff, manifests=[OTHER], ok=(1,))
    assert '-  two: "2"\n+  three: "3"\n' in difference
    assert "mine configured" in await kubectl(*apply, manifests=[OTHER])
    assert await kubectl(*diff, manifests=[OTHER]) == ""
    assert json.loads(await kubectl("get", "cm", "mine", "-o", "jsonpath={.data}")) == OTHER["data"]
    assert 'configmap "mine" deleted' in await kubectl("delete", "cm", "mine")
    assert "NotFound" in await kubectl("get", "cm", "mine", ok=(1,))


async def test_apply_server_side_names_the_manager_in_the_way(kubectl):
    three = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": ADAPTED},
        "spec": {"replicas": 3},
    }
    refused = await kubectl("apply", "--server-side", "-f", "-", manifests=[three], ok=(1,))
    assert 'conflict with "reconciler": .spec.replicas' in refused
    apply = ("apply", "--server-side", "-f", "-")
    assert "mine serverside-applied" in await kubectl(*apply, manifests=[MINE])
    assert "mine serverside-applied" in await kubectl(*apply, manifests=[OTHER])
    assert json.loads(await kubectl("get", "cm", "mine", "-o", "jsonpath={.data}")) == OTHER["data"]
    await kubectl("delete", "cm", "mine")


async def test_a_pod_deleted_by_hand_is_replaced_and_a_workspace_comes_back(kubectl):
    ours = ("-l", f"kaito.sh/workspace={ADAPTED}")
    old = await kubectl("get", "pod", *ours, "-o", "name")
    await kubectl("delete", "pod", *ours)

    async def replaced() -> bool:
        new = await kubectl("get", "pod", *ours, "-o", "name")
        return new not in (old, "") and len(new.split()) == 1

    await until(replaced, "another pod")
    assert "condition met" in await kubectl("wait", "--for=condition=Ready", "pod", *ours, "--timeout=60s")
    uid = ("get", "workspace", ADAPTED, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
    before = await kubectl(*uid)
    await kubectl("delete", "workspace", ADAPTED)

    async def back() -> bool:
        return await kubectl(*uid) not in (before, "")

    await until(back, "the workspace")
