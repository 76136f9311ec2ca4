"""Image references, as the registries' grammar has them, and hosts."""

import pytest

from reconciler.model import grammar

DIGEST = "sha256:" + "0a" * 32
VALID = [
    "acr.azurecr.io/x:0.0.1",
    "acr.azurecr.io/team/x",
    f"acr.azurecr.io/x@{DIGEST}",
    f"acr.azurecr.io/x:1@{DIGEST}",
    "localhost/x",
    "localhost:5000/x:tag",
    "127.0.0.1:5000/a/b-c__d.e:V1.0_x",
    "Acr.azurecr.io/x",
    "alpine",
    "user/data:1",
]
INVALID = {
    "ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1": "is not a host name, and the repository name",
    "PULLREGISTRY/DATA_NAME_HERE:1": "'DATA_NAME_HERE' must be lower case",
    "acr.azurecr.io/X": "lower case",
    "acr.azurecr.io/": "no part of a repository",
    "acr.azurecr.io//x": "no part of a repository",
    "acr.azurecr.io/a___b": "no part of a repository",
    "acr.azurecr.io/-a": "no part of a repository",
    "https://acr.azurecr.io/x": "is not a host name",
    "acr.azurecr.io/x:": "the tag",
    "acr.azurecr.io/x:" + "t" * 129: "the tag",
    "acr.azurecr.io/x@sha256:abc": "digest",
    "acr.azurecr.io/x@" + DIGEST.upper(): "digest",
    "acr.azurecr.io/x y": "no part of a repository",
    "acr.azurecr.io/x\n": "no part of a repository",
    "acr.azurecr.io/" + "x" * 250: "255",
    "<YOUR_IMAGE>": "lower case",
}


@pytest.mark.parametrize("image", VALID)
def test_valid_image(image):
    assert grammar.image_fault(image) == ""


@pytest.mark.parametrize("image", INVALID)
def test_invalid_image(image):
    assert INVALID[image] in grammar.image_fault(image)


PLACEHOLDERS = {
    "ACR_REGISTRY_SECRET_HERE": "ACR_REGISTRY_SECRET_HERE",
    "x.io/<YOUR_IMAGE>:1": "<YOUR_IMAGE>",
    "YOUR_ACR.azurecr.io/x": "YOUR_ACR",
    "${REGISTRY}/x": "${REGISTRY}",
    "acr.azurecr.io/here": "",
    "acr.azurecr.io/WHERE": "",
}


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_placeholder(text):
    assert grammar.placeholder(text) == PLACEHOLDERS[text]


HOSTS = ["127.1", "2130706433", "0x7f.0.0.1", "0x7f000001", "0177.0.0.1", "127.0.0.1", "[::1]", "10.0.0.1."]


@pytest.mark.parametrize("host", HOSTS)
def test_no_writing_of_an_address_hides_it(host):
    assert grammar.host_fault(f"http://{host}/data")
    assert grammar.host_fault(f"http://{host}:8080/data")


@pytest.mark.parametrize(
    "host", ["example.com", "1.example.com", "8.8.8.8", "2130706433.example.com", "0x.io"]
)
def test_hosts_the_whole_network_has(host):
    assert not grammar.host_fault(f"https://{host}/data")
