"""Bearer tokens: of a token server, by refresh token, and by exchange as at Azure."""

import json
import subprocess

import httpx
import pytest
from artifacts import ArtifactError, Credentials, Reference, Registry, find, pull, push_adapter

from .images import adapter
from .servers import Answers, Front, Tokens, docker_config, own_address, program


def round_trip(front, tmp_path, repository, *files):
    image, credentials = f"{front.host}/{repository}:v1", Credentials.from_files(files)
    source = adapter(tmp_path / "in", seed=hash(repository))
    pushed = push_adapter(source, image, credentials=credentials, annotations={}, base_model="base")
    assert pull(image, tmp_path / "out", credentials=credentials).digest == pushed.digest


@pytest.fixture
def serve(open_debian):
    """A function that makes a registry with these tokens."""
    entered = []

    def made(**tokens):
        context = Front(open_debian, Tokens(**tokens)).serving()
        entered.append(context)
        return context.__enter__()

    yield made
    for context in entered:
        context.__exit__(None, None, None)


def test_a_token_for_user_and_password(serve, tmp_path, repository):
    front = serve()
    round_trip(front, tmp_path, repository, docker_config(tmp_path / "secret", front.host))
    assert front.seen["GET /token"] == 2  # one for the push, one for the pull


def test_a_token_that_is_used_up_is_renewed(serve, tmp_path, repository):
    front = serve(uses=3)
    round_trip(front, tmp_path, repository, docker_config(tmp_path / "secret", front.host))
    assert front.seen["GET /token"] > 2


def test_an_anonymous_pull(serve, tmp_path, repository):
    front = serve(anonymous="pull")
    secret = docker_config(tmp_path / "secret", front.host)
    round_trip(front, tmp_path, repository, secret)
    pull(f"{front.host}/{repository}:v1", tmp_path / "other", credentials=Credentials())


def test_an_identity_token_is_a_refresh_token(serve, tmp_path, repository):
    front = serve(refresh={"mine"})
    secret = docker_config(tmp_path / "secret", front.host, auth="PHRva2VuPjo=", identitytoken="mine")
    round_trip(front, tmp_path, repository, secret)
    assert front.seen["POST /token refresh_token"] == 2


def test_a_ready_token(serve, tmp_path, repository):
    front = serve()
    token = front.tokens.grant(f"repository:{repository}:pull,push", "pull,push")
    secret = docker_config(tmp_path / "secret", front.host, registrytoken=token)
    round_trip(front, tmp_path, repository, secret)


@pytest.mark.parametrize(
    ("identity", "grant"), [("head.body.signature", "access_token"), ("opaque", "refresh_token")]
)
def test_entras_token_in_a_secret_is_exchanged(serve, tmp_path, repository, identity, grant):
    front = serve(azure=True, entra={identity})
    secret = docker_config(tmp_path / "secret", front.host, identitytoken=identity)
    round_trip(front, tmp_path, repository, secret)
    assert front.seen[f"POST /oauth2/exchange {grant}"] == 2


@pytest.fixture
def workload(tmp_path, monkeypatch):
    """This process has an identity at Azure, once it is told where Entra is."""
    (tmp_path / "assertion").write_text("signed\n")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "assertion"))
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    return lambda host: monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"http://{host}/")


def test_the_pods_identity_is_exchanged(serve, tmp_path, repository, workload):
    front = serve(azure=True)
    workload(front.host)
    round_trip(front, tmp_path, repository)
    assert front.seen["POST /tenant/oauth2/v2.0/token client_credentials"] == 2
    assert front.seen["POST /oauth2/exchange access_token"] == 2


def test_the_pods_identity_is_not_told_to_another_host(serve, tmp_path, repository, workload):
    thief = serve(azure=True)
    front = serve(azure=True, elsewhere=thief.host)
    workload(front.host)
    with pytest.raises(ArtifactError, match="RegistryUnauthorized"):
        round_trip(front, tmp_path, repository)
    assert thief.seen["POST"] == 0


def test_a_login_does_not_follow_a_redirect_to_storage(serve, front, tmp_path, repository):
    registry = serve()
    secret = docker_config(tmp_path / "secret", registry.host)
    round_trip(registry, tmp_path, repository, secret)
    with Registry(Reference.parse(f"{front.host}/{repository}:v1")) as storage:
        layer = json.loads(storage.manifest("v1").content)["layers"][0]["digest"]
    where = f"/v2/{repository}/blobs/{layer}"
    registry.answers = [Answers("GET", where, 307, headers={"Location": f"http://{front.host}{where}"})]
    front.logins.clear()
    pull(f"{registry.host}/{repository}:v1", tmp_path / "o", credentials=Credentials.from_files([secret]))
    assert front.logins == [None]


def test_a_login_does_not_follow_an_upload_to_another_host(serve, front, tmp_path, repository):
    registry = serve()
    secret = docker_config(tmp_path / "secret", registry.host)
    uploads = f"/v2/{repository}/blobs/uploads/"
    elsewhere = httpx.post(f"http://{front.host}{uploads}", trust_env=False).headers["Location"]
    registry.answers = [Answers("POST", uploads, 202, headers={"Location": elsewhere}, times=1)]
    front.logins.clear()
    round_trip(registry, tmp_path, repository, secret)
    assert front.logins == [None, None]  # PATCH and PUT


@pytest.mark.parametrize(
    ("tokens", "login", "error_class"),
    [
        ({"logins": {}}, {}, "RegistryUnauthorized"),
        ({"actions": "pull"}, {}, "RegistryForbidden"),
        ({"refresh": {"mine"}}, {"identitytoken": "other"}, "RegistryUnauthorized"),
        ({"azure": True}, {"identitytoken": "other"}, "RegistryUnauthorized"),
        ({"anonymous": "pull"}, None, "RegistryUnauthorized"),
    ],
    ids=["wrong-password", "pull-only", "stale-refresh", "stale-entra", "anonymous"],
)
def test_what_is_refused(serve, tmp_path, repository, tokens, login, error_class):
    front = serve(**tokens)
    files = [] if login is None else [docker_config(tmp_path / "secret", front.host, **login)]
    with pytest.raises(ArtifactError) as refused:
        round_trip(front, tmp_path, repository, *files)
    assert refused.value.error_class == error_class
    assert "Secret" in refused.value.remedy


@pytest.fixture
def certificate(tmp_path):
    """Self-signed, for this machine's address, in one file with its key."""
    path = tmp_path / "tls.pem"
    names = f"subjectAltName=IP:{own_address()}"
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=registry"
    subprocess.run(
        [program("openssl"), *command.split(), "-addext", names, "-keyout", path, "-out", tmp_path / "crt"],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + (tmp_path / "crt").read_bytes())
    return path


def test_tls(open_debian, tmp_path, repository, certificate, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with Front(open_debian, certificate=certificate).serving() as front:
        image = f"{front.host}/{repository}:v1"
        with pytest.raises(ArtifactError, match="CERTIFICATE_VERIFY_FAILED") as refused:
            find(image, credentials=Credentials())
        assert (refused.value.error_class, refused.value.retry) == ("RegistryUnavailable", True)
        assert "SSL_CERT_FILE" in refused.value.remedy
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert find(image, credentials=Credentials()) is None
