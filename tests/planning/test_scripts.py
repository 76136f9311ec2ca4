"""The shell in pods of Kaito's images, run here: what is pushed, what is pulled, and how it ends.

`oras` and `skopeo` are stood in for by programs that do what is asked of them with files.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from reconciler.planning import puller, pusher

FILES = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"weights"}
ORAS = """#!/bin/sh
echo x >> "$FAKE/tries"
[ "$(wc -l < "$FAKE/tries")" -gt "$FAILS" ] || { echo "denied" >&2; exit 1; }
printf '%s\\n' "$@" > "$FAKE/told"
cp config.json layer.tar "$FAKE/"
echo "sha256:$(printf '0%.0s' $(seq 64))"
"""
SKOPEO = """#!/bin/sh
auth=anonymous
[ "$2" = --authfile ] && { auth=$3; shift 2; }
grep -q "$ALLOWED" "$auth" 2>/dev/null || [ "$ALLOWED" = anonymous ] || exit 1
mkdir -p "${3#dir:}" && cp "$FAKE"/image/* "${3#dir:}/"
"""


@pytest.fixture
def run(tmp_path):
    """A script's end and output, with a program of ours in PATH."""

    def go(script, program, text, env):
        programs = tmp_path / "bin"
        programs.mkdir(exist_ok=True)
        (programs / program).write_text(text)
        (programs / program).chmod(0o755)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        whole = {"PATH": path, "FAKE": str(tmp_path), "TMPDIR": str(tmp_path), "PAUSE": "0.05", **env}
        done = subprocess.run(
            ["/bin/sh", "-c", script], env=whole, capture_output=True, text=True, timeout=30, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return go


@pytest.fixture
def push(run, tmp_path):
    results = tmp_path / "results"
    results.mkdir()

    def go(fails=0, tries=30):
        env = {
            "RESULTS": str(results),
            "IMAGE": "registry.example.com/a:1",
            "MODEL": "phi",
            "CONTENT_KEY": "k",
        }
        env |= {"TERMINATION_LOG": str(tmp_path / "message"), "FAILS": str(fails), "TRIES": str(tries)}
        return run(pusher.SCRIPT, "oras", ORAS, env)

    return results, go


def done(results: Path) -> None:
    for name, content in FILES.items():
        (results / name).write_bytes(content)
    (results / "fine_tuning_completed.txt").touch()


def test_the_adapter_is_pushed_as_an_image_and_reported(push, tmp_path):
    results, go = push
    done(results)
    assert go() == (0, "")
    with tarfile.open(tmp_path / "layer.tar") as layer:
        names = [name for name in layer.getnames() if name != "data"]
        assert {n: layer.extractfile(n).read() for n in names} == {f"data/{n}": c for n, c in FILES.items()}
    digest = hashlib.sha256((tmp_path / "layer.tar").read_bytes()).hexdigest()
    assert json.loads((tmp_path / "config.json").read_text())["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
    told = (tmp_path / "told").read_text().splitlines()
    assert {"registry.example.com/a:1", "sh.kaito.model.name=phi", "reconciler.dev/content-key=k"} <= {*told}
    artifact = json.loads((tmp_path / "message").read_text())["artifact"]
    assert artifact["digest"] == "sha256:" + 64 * "0"
    assert artifact["size"] == (tmp_path / "layer.tar").stat().st_size


def test_a_push_is_tried_again(push, tmp_path):
    results, go = push
    done(results)
    code, _ = go(fails=2)
    assert code == 0
    assert (tmp_path / "message").exists()


def test_a_push_that_never_succeeds_is_given_up(push, tmp_path):
    results, go = push
    done(results)
    code, said = go(fails=9, tries=3)
    assert code == 1
    assert "registry.example.com/a:1 could not be pushed" in said
    assert not (tmp_path / "message").exists()


def test_it_ends_with_a_trainer_that_failed(push, tmp_path):
    _, go = push
    trainer = tmp_path / "fine_tuning.py"
    trainer.write_text("import time; time.sleep(1)")
    with subprocess.Popen([sys.executable, str(trainer)]):
        code, said = go()
    assert code == 1
    assert "the trainer ended without a result" in said


@pytest.mark.parametrize(("allowed", "code"), [("anonymous", 0), ("first", 0), ("second", 0), ("third", 1)])
def test_an_image_is_pulled_with_the_first_login_that_is_let_in(run, tmp_path, allowed, code):
    image, logins, target = tmp_path / "image", tmp_path / "logins", tmp_path / "target"
    image.mkdir()
    for name in ("first", "second"):
        (logins / name).mkdir(parents=True)
        (logins / name / "config.json").write_text(name)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w:gz") as packed:
        for name, content in FILES.items():
            entry = tarfile.TarInfo(f"data/{name}")
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    (image / digest).write_bytes(layer.getvalue())
    described = {"config": {"digest": "sha256:" + 64 * "1"}, "layers": [{"digest": f"sha256:{digest}"}]}
    (image / "manifest.json").write_text(json.dumps(described))
    env = {"IMAGE": "registry.example.com/a:1", "TARGET": str(target), "LOGINS": str(logins)}
    ended, said = run(puller.SCRIPT, "skopeo", SKOPEO, env | {"ALLOWED": allowed})
    assert ended == code, said
    if code == 0:
        assert {p.name: p.read_bytes() for p in target.iterdir()} == FILES
    else:
        assert "could not be pulled" in said
