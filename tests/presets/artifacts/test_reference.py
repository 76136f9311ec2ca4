"""Names of images."""

import pytest
from artifacts import ArtifactError, Reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "canonical", "url"),
    [
        ("phi", "docker.io/library/phi:latest", "https://registry-1.docker.io/v2/library/phi"),
        ("me/phi:v1", "docker.io/me/phi:v1", "https://registry-1.docker.io/v2/me/phi"),
        ("index.docker.io/me/phi", "docker.io/me/phi:latest", "https://registry-1.docker.io/v2/me/phi"),
        ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1", "https://ghcr.io/v2/a/b/c"),
        ("Reg.Example/a", "reg.example/a:latest", "https://reg.example/v2/a"),
        ("reg:5000/a", "reg:5000/a:latest", "https://reg:5000/v2/a"),
        ("localhost/a", "localhost/a:latest", "http://localhost/v2/a"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "http://127.0.0.1:5000/v2/a"),
        ("127.8.9.1/a", "127.8.9.1/a:latest", "http://127.8.9.1/v2/a"),
        ("[::1]:5000/a:b", "[::1]:5000/a:b", "http://[::1]:5000/v2/a"),
        ("10.0.0.1:5000/a", "10.0.0.1:5000/a:latest", "https://10.0.0.1:5000/v2/a"),
        (f"reg.example/a@{DIGEST}", f"reg.example/a@{DIGEST}", "https://reg.example/v2/a"),
        (f"reg.example/a:b@{DIGEST}", f"reg.example/a:b@{DIGEST}", "https://reg.example/v2/a"),
        (
            "reg.example/a__b/c-d.e:V_1.0-x",
            "reg.example/a__b/c-d.e:V_1.0-x",
            "https://reg.example/v2/a__b/c-d.e",
        ),
    ],
)
def test_references(text, canonical, url):
    reference = Reference.parse(text)
    assert (str(reference), reference.url) == (canonical, url)
    assert Reference.parse(str(reference)) == reference
    assert reference.selector == (DIGEST if "@" in text else reference.tag)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "reg.example/",
        "https://reg.example/a",
        "reg.example/A",
        "reg.example/a b",
        "reg.example/a:",
        "reg.example/a:b:c",
        "reg.example/a:" + "t" * 129,
        "reg.example/a:-b",
        "reg.example/a@",
        "reg.example/a@sha256:abc",
        f"reg.example/a@{DIGEST.upper()}",
        "reg.example/a@sha512:" + "a" * 128,
        "reg.example/../a",
        "reg.example/a//b",
        "reg.example/a/",
        "reg.example:port/a",
        "user@reg.example/a",
        "-reg.example/a",
        "reg.example/a?b=c",
        "reg.example/a\nb",
        "reg.example/" + "a" * 256,
        "reg.example/" + "a/" * 10_000 + "a",
        "[::1/a",
    ],
)
def test_refusals(text):
    with pytest.raises(ArtifactError, match="is no reference: one ") as refused:
        Reference.parse(text)
    assert (refused.value.error_class, refused.value.retry) == ("BadConfig", False)
    assert len(str(refused.value)) < 500
