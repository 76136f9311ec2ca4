"""Programs that are not ours read what is pushed: skopeo, umoci, and containerd's `ctr`."""

import json
import os
import subprocess
import time
from contextlib import contextmanager

import pytest
from artifacts import pull, push_adapter

from .images import adapter, contents
from .servers import PASSWORD, USER, docker_config, program, require

FILES = {"adapter_config.json", "adapter_model.safetensors"}


@pytest.fixture
def pushed(debian, credentials, repository, tmp_path):
    """The image's name, its digest and its files."""
    image = f"{debian}/{repository}:v1"
    told = {"sh.kaito.model.name": "phi-3"}
    source = adapter(tmp_path / "in", 200_000)
    done = push_adapter(source, image, credentials=credentials, annotations=told, base_model="base")
    pull(image, tmp_path / "pulled", credentials=credentials)
    return image, done.digest, contents(tmp_path / "pulled")


def run(*command, **options):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=60, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo(pushed, debian, tmp_path):
    image, digest, files = pushed
    skopeo, auth = program("skopeo"), docker_config(tmp_path / "auth.json", debian)
    options = ["--tls-verify=false", f"--authfile={auth}"]
    told = json.loads(run(skopeo, "inspect", *options, f"docker://{image}"))
    assert (told["Digest"], told["Architecture"], told["Os"]) == (digest, "amd64", "linux")
    copied = tmp_path / "copied"
    run(
        skopeo,
        "--insecure-policy",
        "copy",
        "--src-tls-verify=false",
        f"--src-authfile={auth}",
        f"docker://{image}",
        f"dir:{copied}",
    )
    manifest = json.loads((copied / "manifest.json").read_text())
    [layer] = manifest["layers"]
    (tmp_path / "root").mkdir()
    run("tar", "-xf", copied / layer["digest"].partition(":")[2], "-C", tmp_path / "root")
    assert contents(tmp_path / "root" / "data") == files
    assert manifest["annotations"]["sh.kaito.model.name"] == "phi-3"


def test_umoci(pushed, debian, tmp_path):
    """It refuses a config without `rootfs.type`."""
    image, _, files = pushed
    skopeo, umoci = program("skopeo"), program("umoci")
    auth = docker_config(tmp_path / "auth.json", debian)
    run(
        skopeo,
        "--insecure-policy",
        "copy",
        "--src-tls-verify=false",
        f"--src-authfile={auth}",
        f"docker://{image}",
        f"oci:{tmp_path / 'layout'}:v1",
    )
    run(umoci, "unpack", "--rootless", "--image", f"{tmp_path / 'layout'}:v1", tmp_path / "bundle")
    data = tmp_path / "bundle" / "rootfs" / "data"
    assert contents(data) == files
    assert {path.stat().st_mode & 0o777 for path in data.iterdir()} == {0o644}


@contextmanager
def containerd(folder):
    """`ctr` with the address of a containerd of its own, without what needs a kernel's file systems."""
    config = folder / "config.toml"
    disabled = [
        f"io.containerd.snapshotter.v1.{name}" for name in ("aufs", "btrfs", "devmapper", "overlayfs", "zfs")
    ]
    disabled += ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
    address = folder / "socket"
    config.write_text(
        f'version = 2\nroot = "{folder / "root"}"\nstate = "{folder / "state"}"\n'
        f'disabled_plugins = {json.dumps(disabled)}\n[grpc]\naddress = "{address}"\n'
    )
    ctr = [program("ctr", "containerd"), "--address", str(address)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program("containerd"), "--config", str(config)], stdout=log, stderr=log)
    try:
        while subprocess.run([*ctr, "version"], capture_output=True, timeout=30, check=False).returncode:
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield ctr
    finally:
        process.terminate()
        process.wait()


def test_containerd(pushed, tmp_path_factory):
    """It unpacks into snapshots, which are mounts: only root may."""
    require(os.geteuid() == 0, "containerd mounts what it unpacks, which needs root")
    image, digest, files = pushed
    folder = tmp_path_factory.mktemp("c")
    with containerd(folder) as ctr:
        run(
            *ctr,
            "images",
            "pull",
            "--plain-http",
            "--user",
            f"{USER}:{PASSWORD}",
            "--snapshotter",
            "native",
            image,
        )
        assert digest in run(*ctr, "images", "list")
        [data] = (folder / "root").glob("io.containerd.snapshotter.v1.native/snapshots/*/data")
        assert contents(data) == files
