"""Docker configuration files as Secrets hold them."""

import base64
import json

import pytest
from artifacts import ArtifactError, Credentials, Reference


def auth(user, password="secret"):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def users(tmp_path, image, *files):
    """The names in the order in which they are tried; empty for none."""
    paths = []
    for number, auths in enumerate(files):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps({"auths": auths}))
    return [login.username for login in Credentials.from_files(paths).candidates(Reference.parse(image))]


@pytest.mark.parametrize(
    ("key", "image", "covered"),
    [
        ("reg.example", "reg.example/a/b", True),
        ("https://reg.example", "reg.example/a", True),
        ("https://reg.example/v1/", "reg.example/a", True),
        ("https://REG.example/v2/", "reg.example/a", True),
        ("reg.example/a", "reg.example/a/b", True),
        ("reg.example/a/b", "reg.example/a/b", True),
        ("reg.example/a", "reg.example/ab", False),
        ("reg.example/a/b/c", "reg.example/a/b", False),
        ("reg.example:5000", "reg.example:5000/a", True),
        ("reg.example", "reg.example:5000/a", False),
        ("*.azurecr.io", "mine.azurecr.io/a", True),
        ("*.azurecr.io", "a.b.azurecr.io/a", False),
        ("https://index.docker.io/v1/", "phi", True),
        ("docker.io", "me/phi", True),
        ("other.example", "reg.example/a", False),
    ],
)
def test_which_images_an_entry_is_for(tmp_path, key, image, covered):
    assert users(tmp_path, image, {key: auth("me")}) == (["me", ""] if covered else [""])


def test_the_order(tmp_path):
    first = {"reg.example": auth("wide"), "reg.example/a/b": auth("narrow"), "other.example": auth("other")}
    second = {"reg.example/a": auth("second")}
    assert users(tmp_path, "reg.example/a/b", first, second) == ["narrow", "wide", "second", ""]


def test_a_pods_identity_comes_after_secrets_and_only_for_azures_registries(tmp_path, monkeypatch):
    for name in ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"):
        monkeypatch.setenv(name, "x")
    for image, own in [("mine.azurecr.io/a", 1), ("azurecr.io.example/a", 0), ("evilazurecr.io/a", 0)]:
        logins = Credentials().candidates(Reference.parse(image))
        assert [login.workload for login in logins] == [True] * own + [False]


@pytest.mark.parametrize(
    ("entry", "pair"),
    [
        (auth("me", "a:b"), ("me", "a:b")),
        ({"username": "me", "password": "hidden"}, ("me", "hidden")),
        ({**auth("other"), "username": "me", "password": "hidden"}, ("me", "hidden")),
        ({"username": "me", "password": "hidden", "email": "unknown keys are others'"}, ("me", "hidden")),
    ],
)
def test_forms_of_a_login(tmp_path, entry, pair):
    (tmp_path / "c").write_text(json.dumps({"auths": {"reg.example": entry}, "credsStore": "desktop"}))
    login = Credentials.from_files([tmp_path / "c"]).candidates(Reference.parse("reg.example/a"))[0]
    assert (login.username, login.password) == pair
    assert login.password not in repr(login)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"not json",
        b"\xff\xfe",
        b'{"auths": []}',
        b'{"auths": {"reg.example": "hidden"}}',
        b'{"auths": {"reg.example": {"auth": "hidden!"}}}',
        b'{"auths": {"reg.example": {"auth": "//79"}}}',
        b'{"auths": {"reg.example": {"password": ["hidden"]}}}',
        b'{"auths": {}}' + b" " * (1 << 20),
        b"[" * 100_000,
    ],
)
def test_refusals(tmp_path, content):
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(ArtifactError) as refused:
        Credentials.from_files([tmp_path / "c"])
    assert refused.value.error_class == "BadConfig"
    assert str(tmp_path / "c") in refused.value.message
    assert "hidden" not in str(refused.value)


def test_absent_files_and_folders_are_skipped(tmp_path):
    assert Credentials.from_files([tmp_path / "absent", tmp_path]) == Credentials()
