"""Volumes of containers that have no file system of their own."""

import pytest
from plugins.pods import held_up, run, said, shell
from plugins.world import pod

CONFIG = {"training_config.yaml": "output_dir: /mnt/results\nother: /mnt/results-old\n", "b.txt": "bee"}


async def create(bench, kind, name, data):
    field = {"ConfigMap": "data", "Secret": "stringData"}[kind]
    metadata = {"name": name, "namespace": "default"}
    await bench.client.create({"apiVersion": "v1", "kind": kind, "metadata": metadata, field: data})


def mount(path, name="v", **more):
    return {"volumeMounts": [{"name": name, "mountPath": path} | more]}


async def test_commands_written_for_an_image_find_their_files(local):
    """As Kaito writes them: paths in arguments, variables and configuration."""
    await create(local, "ConfigMap", "config", CONFIG)
    script = "set -e; grep -o '/.*' $2 | head -1; cp $2 $OUT/copy; ls -d /mnt/results/copy"
    container = {
        "command": ["sh", "-c", script, "tune", "--config", "/mnt/config/training_config.yaml"],
        "args": None,
        "env": [{"name": "OUT", "value": "/mnt/results"}],
        "volumeMounts": [
            {"name": "config", "mountPath": "/mnt/config"},
            {"name": "results", "mountPath": "/mnt/results"},
        ],
    }
    volumes = [
        {"name": "config", "configMap": {"name": "config"}},
        {"name": "results", "emptyDir": {}},
    ]
    text = await said(local, "", container=container, volumes=volumes)
    written, listed = text.splitlines()
    assert listed == written + "/copy"


async def test_a_path_that_only_looks_like_a_mount_is_left_alone(local):
    text = "--a=/mnt/data/x,/mnt/data http://host/mnt/data /mnt/database file:///mnt/data"
    args = [f"echo {text}; echo $RECONCILER_ROOT"]
    container = {"args": args} | mount("/mnt/data")
    volumes = [{"name": "v", "emptyDir": {}}]
    line, root = (await said(local, "", container=container, volumes=volumes)).splitlines()
    wanted = "--a=R/mnt/data/x,R/mnt/data http://host/mnt/data /mnt/database file://R/mnt/data"
    assert line == wanted.replace("R", root)


PROJECTED = {
    "sources": [
        {"configMap": {"name": "config", "items": [{"key": "b.txt", "path": "deep/b"}]}},
        {"secret": {"name": "keys"}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"serviceAccountToken": {"path": "token"}},
    ]
}
VOLUMES = {
    "a config map": ({"configMap": {"name": "config"}}, {}, "cat /v/b.txt", "bee\n"),
    "chosen items": (
        {"configMap": {"name": "config", "items": [{"key": "b.txt", "path": "x/y", "mode": 0o700}]}},
        {},
        "find /v -type f -perm 700 | sed 's|.*/v/||'; cat /v/x/y",
        "x/y\nbee\n",
    ),
    "a secret with its mode": (
        {"secret": {"secretName": "keys", "defaultMode": 0o600}},
        {},
        "cat /v/token; stat -c %a /v/token",
        "hidden600\n",
    ),
    "an absent optional map": (
        {"configMap": {"name": "none", "optional": True}},
        {},
        "ls -A /v; echo ok",
        "ok\n",
    ),
    "one file": ({"configMap": {"name": "config"}}, {"subPath": "b.txt"}, "cat /v", "bee\n"),
    "a part of a directory": ({"emptyDir": {}}, {"subPath": "x"}, "echo hi > /v/f; cat /v/f", "hi\n"),
    "projected": (
        {"projected": PROJECTED},
        {},
        "cat /v/deep/b /v/token /v/labels; grep -c . /v/token",
        'beeplaceholder: the node agent issues no tokensapp="x"1\n',
    ),
}


@pytest.mark.parametrize("case", VOLUMES.values(), ids=VOLUMES.keys())
async def test_a_volume_is_where_it_is_mounted(local, case):
    volume, more, script, text = case
    await create(local, "ConfigMap", "config", CONFIG)
    await create(local, "Secret", "keys", {"token": "hidden"})
    made = pod("p", {"containers": [shell(script, **mount("/v", **more))], "restartPolicy": "Never"})
    made["spec"]["volumes"] = [{"name": "v"} | volume]
    made["metadata"]["labels"] = {"app": "x"}
    await local.client.create(made)
    await local.until("Pod", "p", lambda p: p["status"]["phase"] == "Succeeded")
    assert await local.client.logs("default", "p") == text


async def test_a_claim_is_kept_and_an_empty_directory_is_not(local):
    script = "cat /kept/f /lost/f; echo x | tee -a /kept/f >> /lost/f; exit 0"
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("kept", "lost")]
    volumes = [
        {"name": "kept", "persistentVolumeClaim": {"claimName": "c"}},
        {"name": "lost", "emptyDir": {}},
    ]
    for name in ("p", "q"):
        await run(local, script, name=name, container={"volumeMounts": mounts}, volumes=volumes)
    first, second = await local.client.logs("default", "p"), await local.client.logs("default", "q")
    assert first.count("No such file") == 2
    assert second.count("No such file") == 1 and second.count("x\n") == 1


@pytest.mark.parametrize(
    ("volume", "path", "reason", "message"),
    [
        ({"hostPath": {"path": "/etc"}}, "/v", "CreateContainerError", 'volume "v" (hostPath) is refused'),
        ({"emptyDir": {}}, "/", "CreateContainerError", "cannot be mounted at /"),
        ({"emptyDir": {}}, {"subPathExpr": "$(A)"}, "CreateContainerError", "or by subPathExpr"),
        (
            {"secret": {"secretName": "none"}},
            "/v",
            "ContainerCreating",
            'MountVolume.SetUp failed for volume "v": secret "none" not found',
        ),
        (
            {"configMap": {"name": "config", "items": [{"key": "none", "path": "x"}]}},
            "/v",
            "ContainerCreating",
            "references non-existent key: none",
        ),
    ],
    ids=["host path", "root", "expression", "no secret", "no key"],
)
async def test_what_cannot_be_mounted_is_told(local, volume, path, reason, message):
    await create(local, "ConfigMap", "config", CONFIG)
    mounts = mount(path) if isinstance(path, str) else mount("/v", **path)
    spec = {"containers": [shell("true", **mounts)], "volumes": [{"name": "v"} | volume]}
    await local.client.create(pod("p", spec))
    waiting = await held_up(local, "p")
    assert waiting["reason"] == reason
    assert message in waiting["message"]


async def test_a_working_directory_is_made_where_it_is_missing(local):
    text = await said(local, "pwd; echo $RECONCILER_ROOT", container={"workingDir": "/workspace/x"})
    folder, root = text.splitlines()
    assert folder == root + "/workspace/x"


async def test_a_deleted_pods_folders_go(local):
    await said(local, "true", container=mount("/v"), volumes=[{"name": "v", "emptyDir": {}}])
    folders = local.world.root / "pods"
    assert list(folders.iterdir())
    await local.delete("Pod", "p")
    await local.eventually(lambda: not list(folders.iterdir()))
