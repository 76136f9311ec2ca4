"""Adapters pushed to Debian's `docker-registry` with htpasswd, found there and pulled again."""

import json

import pytest
from artifacts import ArtifactError, Credentials, Reference, Registry, find, pull, push_adapter, require_push

from .images import LOGIN, OCI, adapter, contents, entry, layer, push_image, push_index, sha256
from .servers import Answers, docker_config

FILES = {"adapter_config.json", "adapter_model.safetensors"}
BASE = "microsoft/Phi-3-mini-128k-instruct"


def push(folder, image, credentials, **annotations):
    return push_adapter(folder, image, credentials=credentials, annotations=annotations, base_model=BASE)


def test_a_pushed_adapter_is_pulled_as_it_was(debian, credentials, repository, tmp_path):
    image, source = f"{debian}/{repository}:v1", adapter(tmp_path / "in", 300_000)
    pushed = push(source, image, credentials)
    pulled = pull(image, tmp_path / "out", credentials=credentials)
    assert pulled.digest == pushed.digest
    out = tmp_path / "out"
    assert contents(out).keys() == FILES
    assert (out / "adapter_model.safetensors").read_bytes() == (
        source / "adapter_model.safetensors"
    ).read_bytes()
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == BASE
    assert pulled.size == sum(map(len, contents(out).values()))


def test_its_image_is_complete(debian, credentials, repository, tmp_path):
    image = f"{debian}/{repository}:v1"
    push(adapter(tmp_path / "in"), image, credentials)
    with Registry(Reference.parse(image), LOGIN) as registry:
        manifest = json.loads(registry.manifest("v1").content)
        config = registry.send("GET", f"blobs/{manifest['config']['digest']}").json()
    [only] = manifest["layers"]
    assert only["mediaType"] == f"{OCI}.layer.v1.tar"
    assert manifest["config"]["mediaType"] == f"{OCI}.config.v1+json"
    assert config["rootfs"] == {"type": "layers", "diff_ids": [only["digest"]]}
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    assert len(config["history"]) == 1


def test_equal_content_has_an_equal_digest_and_is_not_sent_again(open_debian, front, repository, tmp_path):
    image, nobody = f"{front.host}/{repository}", Credentials()
    first = push(adapter(tmp_path / "a", target_modules=["a", "b"]), f"{image}:a", nobody)
    sent = front.uploaded
    again = adapter(tmp_path / "b", target_modules=["b", "a"], base_model_name_or_path="/elsewhere")
    assert push(again, f"{image}:b", nobody) == first
    assert front.uploaded == sent > 0
    other = push(adapter(tmp_path / "c", seed=1), f"{image}:c", nobody)
    assert other.digest != first.digest


def test_what_is_there_is_found_with_its_annotations(debian, credentials, repository, tmp_path):
    image = f"{debian}/{repository}:v1"
    assert find(image, credentials=credentials) is None
    told = {
        "reconciler.dev/content-key": "abc",
        "sh.kaito.model.name": "phi-3",
        "reconciler.dev/source-commit": "c0",
    }
    pushed = push(adapter(tmp_path / "in"), image, credentials, **told)
    found = find(image, credentials=credentials)
    assert (found.digest, found.size) == (pushed.digest, pushed.size)
    assert found.annotations == {
        "org.opencontainers.image.created": "1970-01-01T00:00:00Z",
        "org.opencontainers.image.revision": "c0",
        "org.opencontainers.image.title": f"LoRA adapter of {BASE}",
        "reconciler.dev/base-model": BASE,
        **told,
    }


def test_secrets_are_tried_in_order_and_then_none(debian, front, repository, tmp_path):
    good = docker_config(tmp_path / "good", debian)
    wrong = docker_config(tmp_path / "wrong", debian, username="user", password="wrong")
    other = docker_config(tmp_path / "other", "other.example")
    credentials = Credentials.from_files([tmp_path / "absent", other, wrong, good])
    image = f"{debian}/{repository}:v1"
    pushed = push(adapter(tmp_path / "in"), image, credentials)
    assert pull(image, tmp_path / "out", credentials=credentials).digest == pushed.digest
    push(tmp_path / "in", f"{front.host}/{repository}:v1", credentials)


@pytest.mark.parametrize("login", [{}, {"username": "user", "password": "hidden"}])
def test_a_refused_login_is_told(debian, repository, tmp_path, login):
    files = [docker_config(tmp_path / "wrong", debian, **login)] if login else []
    credentials = Credentials.from_files(files)
    with pytest.raises(ArtifactError) as refused:
        push(adapter(tmp_path / "in"), f"{debian}/{repository}:v1", credentials)
    assert (refused.value.error_class, refused.value.retry) == ("RegistryUnauthorized", False)
    assert "imagePushSecret" in refused.value.remedy
    assert (str(tmp_path / "wrong") if login else "no login") in refused.value.message
    assert "hidden" not in str(refused.value)


def test_an_image_that_is_not_there_is_told(debian, credentials, repository, tmp_path):
    with pytest.raises(ArtifactError) as refused:
        pull(f"{debian}/{repository}:v1", tmp_path / "out", credentials=credentials)
    assert refused.value.error_class == "RegistryNotFound"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("diff_ids", [True, False])
def test_images_of_upstream_whose_config_lacks_its_type(
    debian, credentials, repository, tmp_path, packed, diff_ids
):
    content = layer(
        entry("./data/adapter_config.json", b"{}"), entry("./data/adapter_model.safetensors", b"x")
    )
    config = {"rootfs": {"diff_ids": [sha256(content)]}} if diff_ids else {}
    push_image(f"{debian}/{repository}:v1", [content], packed=packed, config=config)
    pull(f"{debian}/{repository}:v1", tmp_path / "out", credentials=credentials)
    assert contents(tmp_path / "out") == {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}


LINUX = {"architecture": "amd64", "os": "linux"}
ARM = {"architecture": "arm64", "os": "linux"}
UNKNOWN = {"architecture": "unknown", "os": "unknown"}


@pytest.mark.parametrize(
    ("platforms", "chosen"),
    [
        ([ARM, LINUX], 1),
        ([LINUX, ARM], 0),
        ([ARM], 0),
        ([ARM, UNKNOWN], 0),
        ([ARM, {"architecture": "s390x", "os": "linux"}], None),
    ],
)
def test_of_an_index_this_platforms_or_the_only_image(
    debian, credentials, repository, tmp_path, platforms, chosen
):
    image = f"{debian}/{repository}"
    entries = []
    for number, platform in enumerate(platforms):
        digest = push_image(f"{image}:n{number}", [layer(entry("data/which", str(number).encode()))])
        with Registry(Reference.parse(image), LOGIN) as registry:
            entries.append((digest, len(registry.manifest(digest).content), platform))
    push_index(f"{image}:index", entries)
    if chosen is None:
        with pytest.raises(ArtifactError, match="none of 2 images is for linux/amd64"):
            pull(f"{image}:index", tmp_path / "out", credentials=credentials)
    else:
        pulled = pull(f"{image}:index", tmp_path / "out", credentials=credentials)
        assert contents(tmp_path / "out") == {"which": str(chosen).encode()}
        assert pulled.digest == entries[chosen][0]


def test_a_pull_by_digest(debian, credentials, repository, tmp_path):
    digest = push_image(f"{debian}/{repository}:v1", [layer(entry("data/a", b"1"))])
    assert pull(f"{debian}/{repository}@{digest}", tmp_path / "out", credentials=credentials).digest == digest


def test_a_pull_replaces_what_an_earlier_one_left(debian, credentials, repository, tmp_path):
    push_image(f"{debian}/{repository}:v1", [layer(entry("data/a", b"new"), entry("data/d/x", b"x"))])
    out = tmp_path / "out"
    (out / ".pull-gone" / "root").mkdir(parents=True)
    (out / "d").write_text("a file where a folder comes")
    (out / "stale").mkdir()
    (out / "link").symlink_to(tmp_path)
    pull(f"{debian}/{repository}:v1", out, credentials=credentials)
    assert contents(out) == {"a": b"new", "d/x": b"x"}
    assert sorted(path.name for path in out.iterdir()) == ["a", "d"]


def test_a_failed_pull_leaves_the_folder_as_it_was(debian, credentials, repository, tmp_path):
    push_image(f"{debian}/{repository}:v1", [layer(entry("elsewhere/a", b"1"))])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(ArtifactError, match="holds no folder data"):
        pull(f"{debian}/{repository}:v1", tmp_path / "out", credentials=credentials)
    assert contents(tmp_path / "out") == {"old": b"old"}


def test_a_push_needs_a_tag(debian, credentials, tmp_path):
    image = f"{debian}/a@sha256:{'0' * 64}"
    with pytest.raises(ArtifactError, match="pushed to a tag"):
        push(adapter(tmp_path / "in"), image, credentials)


def test_a_login_is_tried_before_there_is_anything_to_push(debian, credentials, repository, front):
    image = f"{debian}/{repository}:v1"
    require_push(image, credentials=credentials)
    assert find(image, credentials=credentials) is None
    with pytest.raises(ArtifactError) as refused:
        require_push(image, credentials=Credentials())
    assert refused.value.error_class == "RegistryUnauthorized"
    front.answers = [Answers("POST", "", 403, "DENIED", "quota exceeded")]
    with pytest.raises(ArtifactError, match="RegistryQuota"):
        require_push(f"{front.host}/{repository}:v1", credentials=Credentials())
