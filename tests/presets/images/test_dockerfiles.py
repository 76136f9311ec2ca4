"""The Dockerfiles: their rules, a dry assembly of what they copy and, on demand, a real build."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from .dockerfile import PRESETS, copies, environment, given, stages

IMAGES = ("tuning", "inference")
STAGES = [(image, number) for image, many in (("tuning", 1), ("inference", 2)) for number in range(many)]
BASE = os.environ.get("RECONCILER_TEST_IMAGES")
"""A local image with Python to build on; RECONCILER_TEST_IMAGES_OPTIONS: further options of `buildah build`,
such as mounts of a package index."""
NOBODY = 4242
"""A user id that no /etc/passwd knows, as OpenShift gives them."""


def stage_of(image, number):
    return stages(image)[number]


@pytest.fixture(params=STAGES, ids=lambda one: f"{one[0]}-{one[1]}")
def stage(request):
    return stage_of(*request.param)


def test_every_stage_is_known():
    assert [(image, n) for image in IMAGES for n, _ in enumerate(stages(image))] == STAGES


def test_it_ends_as_a_numbered_user_that_is_not_root(stage):
    assert given(stage, "USER")[-1] == "65532:65532"


def test_it_runs_python_without_a_shell(stage):
    command = json.loads(given(stage, "CMD")[-1])
    assert command[:2] == ["python", "-m"]
    assert given(stage, "ENTRYPOINT") in ([], ["[]"])


def test_it_says_what_it_is(stage):
    labels = " ".join(given(stage, "LABEL"))
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels


def test_its_base_is_an_argument(stage):
    assert given(stage, "FROM")[0].split()[0] in ("${BASE}", "${VLLM}")


@pytest.mark.parametrize("image", IMAGES)
def test_torch_is_a_step_of_its_own_and_all_else_is_hashed(image):
    last = stages(image)[-1]
    assert given(last, "ARG")[0] == "TORCH=2.13.0"
    pip = [each for each in given(last, "RUN") if "pip install" in each]
    assert pip[0] == 'pip install --no-cache-dir "torch==${TORCH}"'
    assert len(pip) == 2
    assert pip[1].startswith(
        "pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.lock"
    )
    assert f"{image}/requirements.lock /tmp/requirements.lock" in given(last, "COPY")


def test_what_it_copies_is_in_the_context(stage):
    allowed = [
        line[1:] for line in (PRESETS / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    sources = [source.relative_to(PRESETS) for source, _ in copies(stage)]
    assert len(sources) == 2
    for source in sources:
        assert str(source) in allowed
        assert (PRESETS / source / "__init__.py").exists()


@pytest.fixture
def assembled(stage):
    """The stage's packages as it copies them, in a tree that only its owner may write."""
    root = Path(tempfile.mkdtemp())
    for source, target in copies(stage):
        shutil.copytree(source, root / target[1:], ignore=shutil.ignore_patterns("__pycache__"))
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield root
    for path in (root, *root.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(root)


def test_what_it_copies_runs_alone_in_a_tree_it_cannot_write(stage, assembled, tmp_path):
    """Nothing beside these packages and the installed ones is on the path: not this repository."""
    said = environment(stage)
    assert said["PYTHONPATH"] == "/app"
    message = tmp_path / "message"
    ended = subprocess.run(
        [sys.executable, "-m", "artifacts", "pull", "No Image", str(tmp_path / "out")],
        cwd=assembled,
        env={
            **os.environ,
            **{key: value for key, value in said.items() if key != "PATH"},
            "PYTHONPATH": str(assembled / "app"),
            "RECONCILER_TERMINATION_LOG": str(message),
        },
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, json.loads(message.read_text())["error"]["class"]) == (2, "BadConfig"), (
        ended.stderr
    )
    packages = [target.removeprefix("/app/") for _, target in copies(stage)]
    shown = f"import {', '.join(f'{each}' for each in packages)}; import {packages[1]}.settings"
    subprocess.run([sys.executable, "-c", shown], cwd=assembled, env={"PYTHONPATH": "app"}, check=True)


if BASE:  # no test that is skipped everywhere else

    @pytest.mark.timeout(3600)
    @pytest.mark.parametrize("image", IMAGES)
    def test_buildah_builds_it_and_any_user_runs_it(image):
        options = os.environ.get("RECONCILER_TEST_IMAGES_OPTIONS", "").split()
        made = f"localhost/reconciler-test-{image}"
        build = ["build", "--layers=false", "--build-arg", f"BASE={BASE}", *options]
        buildah(*build, "-f", PRESETS / image / "Dockerfile", "-t", made, PRESETS)
        container = buildah("from", "--pull-never", made).strip()
        module = "tuner" if image == "tuning" else "inference_server"
        program = "import os, getpass, torch, transformers, peft; print(os.getuid(), getpass.getuser())"
        try:
            run = ["run", "--user", f"{NOBODY}:0", container, "--", "python", "-c"]
            assert buildah(*run, f"import artifacts, {module}; {program}").split() == [
                str(NOBODY),
                "reconciler",
            ]
        finally:
            buildah("rm", container)
            buildah("rmi", made)


def buildah(*arguments):
    return subprocess.run(["buildah", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout
