"""A registry that drops, damages and refuses, through a proxy before Debian's `docker-registry`."""

import json

import pytest
from artifacts import ArtifactError, Credentials, Reference, Registry, blobs, pull, push_adapter, registry

from .images import adapter, contents, entry, layer, push_image, sha256
from .servers import Answers

NOBODY = Credentials()
SIZE = 3_000_000


def push(folder, image):
    return push_adapter(folder, image, credentials=NOBODY, annotations={}, base_model="base")


@pytest.mark.parametrize("cuts", [[20_000], [1_000_000], [500_000, 700_000, 1], [2_999_999]])
def test_a_dropped_upload_goes_on_and_sends_nothing_twice(front, repository, tmp_path, cuts):
    front.cut_uploads_at, front.keeps = list(cuts), True
    assert_uploaded_once(front, repository, tmp_path, seed=sum(cuts))


def test_an_upload_that_drops_between_chunks_goes_on_where_cut_chunks_are_lost(
    front, repository, tmp_path, monkeypatch
):
    monkeypatch.setattr(blobs, "CHUNK_BYTES", 1_000_000)
    front.cut_uploads_at = [None, 0, None, 0]
    assert_uploaded_once(front, repository, tmp_path, seed=1)
    starts = [int(sent.partition("-")[0]) for sent in front.ranges if sent and "bytes" not in sent]
    assert starts[:-1] == [0, 1_000_000, 1_000_000, 2_000_000, 2_000_000, 3_000_000]


def assert_uploaded_once(front, repository, tmp_path, seed):
    image = f"{front.host}/{repository}:v1"
    pushed = push(adapter(tmp_path / "in", SIZE, seed), image)
    assert front.cut_uploads_at == []
    with Registry(Reference.parse(image)) as registry:
        config = json.loads(registry.manifest("v1").content)["config"]
    assert front.uploaded == pushed.size + config["size"]
    assert pull(image, tmp_path / "out", credentials=NOBODY).digest == pushed.digest


@pytest.mark.parametrize("cut", [1, 2_000_000])
def test_an_upload_that_cannot_go_on_is_begun_again(front, repository, tmp_path, cut):
    front.cut_uploads_at = [cut]
    image = f"{front.host}/{repository}:v1"
    pushed = push(adapter(tmp_path / "in", SIZE, cut), image)
    assert pull(image, tmp_path / "out", credentials=NOBODY).digest == pushed.digest


@pytest.mark.parametrize("no_ranges", [False, True])
def test_a_dropped_download_goes_on(front, repository, tmp_path, no_ranges):
    image = f"{front.host}/{repository}:v1"
    source = adapter(tmp_path / "in", SIZE)
    push(source, image)
    front.ranges.clear()
    front.cut_downloads_at, front.no_ranges = [0 + 131_072 + 200, 1_000_000, 1_000_000], no_ranges
    pull(image, tmp_path / "out", credentials=NOBODY)
    name = "adapter_model.safetensors"
    assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    assert any(asked and asked.startswith("bytes=") for asked in front.ranges) or no_ranges


@pytest.mark.parametrize("which", ["layer", "config"])
def test_a_corrupted_blob_is_refused(front, repository, tmp_path, which):
    content = layer(entry("data/a", b"1" * 5000))
    image = f"{front.host}/{repository}:v1"
    push_image(image, [content])
    config = b'{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["%s"]}}'
    front.corrupt = sha256(content if which == "layer" else config % sha256(content).encode())
    with pytest.raises(ArtifactError) as refused:
        pull(image, tmp_path / "out", credentials=NOBODY)
    assert (refused.value.error_class, refused.value.retry) == ("ArtifactCorrupt", False)
    assert front.corrupt in refused.value.message
    assert contents(tmp_path / "out") == {}


def test_a_manifest_other_than_announced_is_refused(front, repository, tmp_path):
    image = f"{front.host}/{repository}:v1"
    push_image(image, [layer(entry("data/a", b"1"))])
    front.wrong_digest = "sha256:" + "0" * 64
    with pytest.raises(ArtifactError, match="announced sha256:000"):
        pull(image, tmp_path / "out", credentials=NOBODY)
    with pytest.raises(ArtifactError, match="the registry took sha256:000"):
        push(adapter(tmp_path / "in"), image)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answers("HEAD", "/blobs/", 200), "has 0 bytes there"),
        (Answers("GET", "/manifests/", 200), "but the tag names"),
    ],
)
def test_what_the_registry_has_after_a_push_is_looked_at(front, repository, tmp_path, answer, told):
    front.answers = [answer]
    with pytest.raises(ArtifactError, match=told) as refused:
        push(adapter(tmp_path / "in"), f"{front.host}/{repository}:v1")
    assert refused.value.error_class == "ArtifactCorrupt"


def test_a_layer_that_unpacks_to_something_else_is_refused(front, repository, tmp_path):
    image = f"{front.host}/{repository}:v1"
    config = {"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}}
    push_image(image, [layer(entry("data/a", b"1"))], packed=True, config=config)
    with pytest.raises(ArtifactError, match="layer 0 unpacks to"):
        pull(image, tmp_path / "out", credentials=NOBODY)


QUOTA, UNAVAILABLE = "RegistryQuota", "RegistryUnavailable"


@pytest.mark.parametrize(
    ("answer", "error_class", "retry", "remedy"),
    [
        (Answers("POST", "", 401, "UNAUTHORIZED"), "RegistryUnauthorized", False, "imagePushSecret"),
        (Answers("POST", "", 403, "DENIED", "no push"), "RegistryForbidden", False, "permission pull,push"),
        (Answers("POST", "", 404, "NAME_UNKNOWN"), "RegistryNotFound", False, "create the repository"),
        (Answers("POST", "", 400, "NAME_INVALID"), "BadConfig", False, "image"),
        (Answers("POST", "", 403, "DENIED", "Quota exceeded"), QUOTA, False, "raise the quota"),
        (Answers("PATCH", "", 413, "SIZE_INVALID"), QUOTA, False, "raise the quota"),
        (Answers("PUT", "manifests", 429, "TOOMANYREQUESTS", "storage quota"), QUOTA, False, "quota"),
        (Answers("POST", "", 429, "TOOMANYREQUESTS", "slow down"), QUOTA, True, "rate limit"),
        (Answers("PATCH", "", 507), QUOTA, False, "free space"),
        (Answers("POST", "", 503), UNAVAILABLE, True, "tried again"),
        (Answers("PATCH", "", 500), UNAVAILABLE, True, "tried again"),
        (Answers("PUT", "manifests", 502), UNAVAILABLE, True, "tried again"),
    ],
    ids=lambda value: f"{value.method}-{value.status}" if isinstance(value, Answers) else None,
)
def test_a_refused_push_ends_in_the_right_class(
    front, repository, tmp_path, answer, error_class, retry, remedy
):
    answer.times = 1_000_000
    front.answers = [answer]
    with pytest.raises(ArtifactError) as refused:
        push(adapter(tmp_path / "in", seed=answer.status), f"{front.host}/{repository}:v1")
    failure = refused.value
    assert (failure.error_class, failure.retry) == (error_class, retry)
    assert remedy in failure.remedy
    assert str(answer.status) in failure.message
    assert answer.message in failure.message
    assert not list((tmp_path / "in").glob(".push-*"))


@pytest.mark.parametrize(
    ("status", "error_class"),
    [(401, "RegistryUnauthorized"), (403, "RegistryForbidden"), (404, "RegistryNotFound")],
)
@pytest.mark.parametrize("path", ["/manifests/", "/blobs/"])
def test_a_refused_pull_ends_in_the_right_class(front, repository, tmp_path, path, status, error_class):
    image = f"{front.host}/{repository}:v1"
    push_image(image, [layer(entry("data/a", b"1"))])
    front.answers = [Answers("GET", path, status)]
    with pytest.raises(ArtifactError) as refused:
        pull(image, tmp_path / "out", credentials=NOBODY)
    assert refused.value.error_class == error_class


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "HEAD", "GET"])
def test_a_registry_that_is_away_for_a_moment_is_asked_again(front, repository, tmp_path, method):
    front.answers = [Answers(method, "", 503, times=2)]
    image = f"{front.host}/{repository}:v1"
    pushed = push(adapter(tmp_path / "in", seed=len(method)), image)
    assert pull(image, tmp_path / "out", credentials=NOBODY).digest == pushed.digest


def test_no_registry_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "ATTEMPTS", 2)
    with pytest.raises(ArtifactError) as refused:
        pull("127.0.0.1:1/a:b", tmp_path / "out", credentials=NOBODY)
    assert (refused.value.error_class, refused.value.retry) == (UNAVAILABLE, True)


def test_an_endless_answer_is_cut_off(front, repository, tmp_path):
    front.answers = [Answers("GET", "", 200, message="x" * (5 << 20))]
    with pytest.raises(ArtifactError) as refused:
        pull(f"{front.host}/{repository}:v1", tmp_path / "out", credentials=NOBODY)
    assert refused.value.error_class == "ArtifactUnsafe"


def test_logins_are_not_sent_by_plain_http(front, repository, tmp_path):
    elsewhere = {"Location": "http://registry.example/v2/x", "Docker-Content-Digest": ""}
    front.answers = [Answers("GET", "", 307, headers=elsewhere)]
    with pytest.raises(ArtifactError, match=r"http://registry.example/v2/x is not https"):
        pull(f"{front.host}/{repository}:v1", tmp_path / "out", credentials=NOBODY)
