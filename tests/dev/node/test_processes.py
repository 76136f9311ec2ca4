"""Containers as local processes: their order, their end, and that nothing outlives them."""

import os
import signal

import pytest
from plugins.pods import alive, ended, main, removed, run, said, shell, spoken
from plugins.world import Bench, pod

from reconciler.cluster.client import Client
from reconciler.dev.process import WorldProcess
from reconciler.model.settings import ClusterSettings


async def test_init_containers_hand_their_work_on_in_order(local):
    mounts = [{"name": "work", "mountPath": "/data"}]
    inits = [shell(f"echo {n} >> /data/steps", f"step-{n}", volumeMounts=mounts) for n in (1, 2)]
    text = await said(
        local,
        "cat /data/steps",
        container={"volumeMounts": mounts},
        initContainers=inits,
        volumes=[{"name": "work", "emptyDir": {}}],
    )
    assert text == "1\n2\n"


async def test_a_failed_init_container_ends_the_pod(local):
    init = shell("exit 3", "first")
    spec = {"initContainers": [init], "containers": [shell("true")], "restartPolicy": "Never"}
    await local.client.create(pod("p", spec))
    found = await ended(local, "p")
    assert found["status"]["phase"] == "Failed"
    assert found["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert main(found)["state"]["waiting"]["reason"] == "PodInitializing"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"args": None}, "from the image\n"),
        ({"args": ["echo own"]}, "own\n"),
        ({"command": ["echo", "just this"], "args": None}, "just this\n"),
        ({"command": ["echo"], "args": ["$(WHO)", "$$(WHO)", "$(NOBODY)"]}, "me $(WHO) $(NOBODY)\n"),
    ],
    ids=["image's own", "arguments", "command", "both, with variables"],
)
async def test_command_and_arguments_replace_the_images(local, fields, text):
    env = [{"name": "WHO", "value": "me"}]
    assert await said(local, "", container={"env": env} | fields) == text


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        ("exit 0", 0, "Completed"),
        ("exit 7", 7, "Error"),
        ("kill -9 $$", 137, "Error"),
        ("kill -15 $$", 143, "Error"),
    ],
)
async def test_an_exit_is_told_with_its_code(local, script, code, reason):
    terminated = await run(local, script)
    assert (terminated["exitCode"], terminated["reason"]) == (code, reason)
    assert terminated["startedAt"] and terminated["finishedAt"] and terminated["containerID"]


async def test_a_container_is_restarted_with_back_off_until_it_succeeds(local):
    script = "echo x >> /data/tries; test $(wc -l < /data/tries) -ge 3"
    mounts = [{"name": "work", "mountPath": "/data"}]
    spec = {
        "containers": [shell(script, volumeMounts=mounts)],
        "restartPolicy": "OnFailure",
        "volumes": [{"name": "work", "emptyDir": {}}],
    }
    await local.client.create(pod("p", spec))
    found = await ended(local, "p")
    assert found["status"]["phase"] == "Succeeded"
    assert main(found)["restartCount"] == 2


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("nope", 'exec: "nope": executable file not found in $PATH'),
        ("/no/such/program", 'exec: "/no/such/program": stat /no/such/program: no such file or directory'),
        ("/etc/passwd", 'exec: "/etc/passwd": permission denied'),
        ("sh \0", "embedded null byte"),
    ],
)
async def test_a_command_that_cannot_run_is_told(local, command, words):
    terminated = await run(local, "", container={"command": command.split()})
    assert (terminated["exitCode"], terminated["reason"]) == (128, "StartError")
    assert terminated["message"] == words


async def test_an_environment_that_is_not_there_is_told_as_an_image_is(local):
    await local.client.create(pod("p", {"containers": [{"name": "main", "image": "nowhere"}]}))
    found = await local.until(
        "Pod", "p", lambda p: main(p)["state"].get("waiting", {}).get("reason") == "ImagePullBackOff"
    )
    assert "/no/such/environment/bin holds no python" in main(found)["state"]["waiting"]["message"]


@pytest.mark.parametrize(
    ("script", "policy", "message"),
    [
        ("printf '{\"digest\": 1}' > /dev/termination-log", "File", '{"digest": 1}'),
        ("printf own > $RECONCILER_TERMINATION_LOG; echo logged; false", "FallbackToLogsOnError", "own"),
        ("echo logged; echo more >&2; false", "FallbackToLogsOnError", "logged\nmore\n"),
        ("echo logged", "FallbackToLogsOnError", None),
        ("seq 100; false", "FallbackToLogsOnError", "".join(f"{n}\n" for n in range(21, 101))),
        ("head -c 9000 /dev/zero | tr '\\0' x > /dev/termination-log", "File", "x" * 4096),
    ],
    ids=["file", "file before logs", "logs", "no error", "80 lines", "4096 bytes"],
)
async def test_the_termination_message(local, script, policy, message):
    terminated = await run(local, script, container={"terminationMessagePolicy": policy})
    assert terminated.get("message") == message


KEPT = {"name": "work", "persistentVolumeClaim": {"claimName": "kept"}}
MOUNTED = {"volumeMounts": [{"name": "work", "mountPath": "/data"}]}


async def test_a_deleted_pod_is_asked_to_end(local):
    script = "trap 'echo bye > /data/said; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    await local.client.create(pod("p", {"containers": [shell(script, **MOUNTED)], "volumes": [KEPT]}))
    await spoken(local, "p")
    await removed(local, "p")
    assert await said(local, "cat /data/said", name="q", container=MOUNTED, volumes=[KEPT]) == "bye\n"


async def test_a_hook_runs_before_the_end(local):
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > $RECONCILER_ROOT/data/said"]}}}
    container = shell("echo up; exec sleep 300", lifecycle=hook, **MOUNTED)
    await local.client.create(pod("p", {"containers": [container], "volumes": [KEPT]}))
    await spoken(local, "p")
    await removed(local, "p")
    assert await said(local, "cat /data/said", name="q", container=MOUNTED, volumes=[KEPT]) == "hook\n"


async def test_a_pod_that_will_not_end_is_killed_with_all_it_started(local):
    script = "trap '' TERM; setsid sleep 300 & echo $!; echo $$; while :; do sleep 1; done"
    await local.client.create(pod("p", {"containers": [shell(script)], "terminationGracePeriodSeconds": 1}))
    processes = await spoken(local, "p", lines=2)
    assert all(map(alive, processes))
    await removed(local, "p")
    assert not any(map(alive, processes))


async def test_what_a_program_leaves_behind_ends_with_it(local):
    text = await said(local, "setsid sleep 300 & echo $!")
    assert not alive(text)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["asked to end", "killed"])
async def test_nothing_outlives_the_cluster(tmp_path, table, how):
    process = WorldProcess(tmp_path / "other", ["--fast", "--images", str(table)])
    addresses = await process.start()
    client = await Client.connect(ClusterSettings(kubeconfig=process.root / "kubeconfig"))
    bench = Bench(client=client)
    await bench.add_node("n")
    script = "setsid sleep 300 & echo $!; sleep 300 & echo $!; echo $$; wait"
    await client.create(pod("p", {"containers": [shell(script)]}))
    processes = await spoken(bench, "p", lines=3)
    assert all(map(alive, processes))
    os.kill(addresses.pid, how)
    await bench.eventually(lambda: not any(map(alive, processes)))
    await client.close()
    await process.stop()
