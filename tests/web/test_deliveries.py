"""What a delivery proves and what it is a hint of: one row for each rule, and nothing that raises."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.web.deliveries import Nudge, delivery_id, has_proof, nudge, refusal

NOW = 1_800_000_000.0
BODY = b'{"ref": "refs/heads/main"}'
SECRET, OLD = "a-secret-of-some-length", "an-older-secret"
WHSEC = "whsec_" + base64.b64encode(b"k" * 32).decode()


def hexed(body: bytes = BODY, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def basic(password: str, user: str = "azure") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def standard(stamp: float = NOW, body: bytes = BODY, secret: str = WHSEC, id: str = "msg_1") -> dict:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{id}.{int(stamp)}.".encode() + body
    made = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": id, "webhook-timestamp": str(int(stamp)), "webhook-signature": f"v1,{made}"}


def stamped(stamp: float = NOW, body: bytes = BODY) -> dict:
    return {"x-timestamp": str(int(stamp)), "x-signature": hexed(f"{int(stamp)}.".encode() + body)}


BELIEVED = {
    "GitHub": ("github", {"x-hub-signature-256": hexed()}, SECRET),
    "GitHub, by the secret before": ("github", {"x-hub-signature-256": hexed(secret=OLD)}, SECRET),
    "GitLab's token": ("gitlab", {"x-gitlab-token": SECRET}, SECRET),
    "GitLab's signature": ("gitlab", standard(), WHSEC),
    "GitLab's signature among others": (
        "gitlab",
        standard() | {"webhook-signature": "v1,xx " + standard()["webhook-signature"]},
        WHSEC,
    ),
    "Azure": ("azuredevops", {"authorization": basic(SECRET)}, SECRET),
    "generic with a time": ("generic", stamped(), SECRET),
    "generic as Flux has it": ("generic", {"x-signature": hexed()}, SECRET),
}
REFUSED = {
    "GitHub, another body": ("github", {"x-hub-signature-256": hexed(b"{}")}, "bad-signature"),
    "GitHub, another secret": ("github", {"x-hub-signature-256": hexed(secret="x" * 20)}, "bad-signature"),
    "GitHub, the weak old hash": (
        "github",
        {"x-hub-signature-256": "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()},
        "bad-signature",
    ),
    "GitHub, no signature": ("github", {}, "bad-signature"),
    "GitHub, another provider's proof": ("github", {"x-gitlab-token": SECRET}, "bad-signature"),
    "GitLab, another token": ("gitlab", {"x-gitlab-token": SECRET + "x"}, "bad-signature"),
    "GitLab, a signature of long ago": ("gitlab", standard(NOW - 301), "stale"),
    "GitLab, a signature of the future": ("gitlab", standard(NOW + 301), "stale"),
    "GitLab, a time that is none": ("gitlab", standard() | {"webhook-timestamp": "soon"}, "stale"),
    "GitLab, a signature for another id": (
        "gitlab",
        standard() | {"webhook-id": "msg_2"},
        "bad-signature",
    ),
    "GitLab, a bad signature beside a good token": (
        "gitlab",
        {"x-gitlab-token": SECRET} | standard(secret="whsec_" + base64.b64encode(b"j" * 32).decode()),
        "bad-signature",
    ),
    "Azure, another password": ("azuredevops", {"authorization": basic("x")}, "bad-signature"),
    "Azure, a bearer": ("azuredevops", {"authorization": f"Bearer {SECRET}"}, "bad-signature"),
    "Azure, what is no base64": ("azuredevops", {"authorization": "Basic ???"}, "bad-signature"),
    "generic, a time of long ago": ("generic", stamped(NOW - 301), "stale"),
    "generic, another time": ("generic", stamped() | {"x-timestamp": str(int(NOW) + 1)}, "bad-signature"),
    "generic, another body": ("generic", {"x-signature": hexed(b"{}")}, "bad-signature"),
}


@pytest.mark.parametrize(("provider", "headers", "secret"), BELIEVED.values(), ids=BELIEVED)
def test_believed(provider, headers, secret):
    assert has_proof(provider, headers)
    assert refusal(provider, headers, BODY, [secret, OLD], NOW) == ""


@pytest.mark.parametrize(("provider", "headers", "why"), REFUSED.values(), ids=REFUSED)
def test_refused(provider, headers, why):
    assert refusal(provider, headers, BODY, [SECRET, OLD], NOW) == why


@pytest.mark.parametrize("secrets", [[], [""]], ids=["none", "an empty one"])
def test_without_a_secret_nobody_is_believed(secrets):
    assert refusal("gitlab", {"x-gitlab-token": ""}, BODY, secrets, NOW) == "no-secret"
    empty = "sha256=" + hmac.new(b"", BODY, hashlib.sha256).hexdigest()
    assert refusal("github", {"x-hub-signature-256": empty}, BODY, secrets, NOW) == "no-secret"


NAMES = [
    "x-hub-signature-256",
    "x-gitlab-token",
    "authorization",
    "x-signature",
    "x-timestamp",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-github-event",
    "x-github-delivery",
]
ANY_TEXT = st.text(max_size=60)
HEADERS = st.dictionaries(
    st.sampled_from(NAMES),
    ANY_TEXT | ANY_TEXT.map(lambda text: "Basic " + text) | ANY_TEXT.map(lambda text: "sha256=" + text),
)
PROVIDERS = st.sampled_from(["github", "gitlab", "azuredevops", "generic"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ref", "number", "pull_request", "object_kind", "object_attributes", "iid"])
            | st.sampled_from(["eventType", "resource", "refUpdates", "pullRequestId", "name"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(PROVIDERS, HEADERS, st.binary(max_size=200))
def test_no_stranger_is_believed_and_nothing_raises(provider, headers, body):
    assert refusal(provider, headers, body, [SECRET], NOW) != ""
    assert isinstance(delivery_id(provider, headers, body), str)


@given(PROVIDERS, HEADERS, JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
def test_any_payload_is_some_nudge(provider, headers, body):
    found = nudge(provider, headers, body)
    assert isinstance(found.ref, str)
    assert found.number is None or found.number > 0


NUDGES = {
    "GitHub: a push": ("github", "push", {"ref": "refs/heads/main", "after": "x"}, Nudge("refs/heads/main")),
    "GitHub: a request": ("github", "pull_request", {"action": "opened", "number": 7}, Nudge(number=7)),
    "GitHub: a review": ("github", "pull_request_review", {"pull_request": {"number": 7}}, Nudge(number=7)),
    "GitHub: a request without a number": ("github", "pull_request", {"number": "7"}, Nudge()),
    "GitHub: a ping": ("github", "ping", {"zen": "x"}, Nudge(nothing=True)),
    "GitHub: our own status": ("github", "status", {}, Nudge(nothing=True)),
    "GitHub: something new": ("github", "brand_new", {}, Nudge()),
    "GitLab: a push": ("gitlab", "", {"object_kind": "push", "ref": "refs/heads/x"}, Nudge("refs/heads/x")),
    "GitLab: a request": (
        "gitlab",
        "",
        {"object_kind": "merge_request", "object_attributes": {"iid": 3}},
        Nudge(number=3),
    ),
    "GitLab: a comment": ("gitlab", "", {"object_kind": "note"}, Nudge(nothing=True)),
    "Azure: a push": (
        "azuredevops",
        "",
        {"eventType": "git.push", "resource": {"refUpdates": [{"name": "refs/heads/main"}]}},
        Nudge("refs/heads/main"),
    ),
    "Azure: a push of several refs": (
        "azuredevops",
        "",
        {"eventType": "git.push", "resource": {"refUpdates": [{"name": "a"}, {"name": "b"}]}},
        Nudge(),
    ),
    "Azure: a request": (
        "azuredevops",
        "",
        {"eventType": "git.pullrequest.updated", "resource": {"pullRequestId": 9}},
        Nudge(number=9),
    ),
    "generic: a ref": ("generic", "", {"ref": "refs/heads/main"}, Nudge("refs/heads/main")),
    "generic: nothing": ("generic", "", {}, Nudge()),
    "a ref that is no text": ("generic", "", {"ref": ["main"]}, Nudge()),
    "a payload that is a list": ("github", "push", [1], Nudge()),
}


@pytest.mark.parametrize(("provider", "event", "payload", "found"), NUDGES.values(), ids=NUDGES)
def test_nudges(provider, event, payload, found):
    assert nudge(provider, {"x-github-event": event}, json.dumps(payload).encode()) == found


IDS = {
    "GitHub": ("github", {"x-github-delivery": "1"}, "1"),
    "GitLab's newest": ("gitlab", {"webhook-id": "1", "x-gitlab-event-uuid": "2"}, "1"),
    "GitLab": ("gitlab", {"x-gitlab-event-uuid": "2"}, "2"),
    "Azure": ("azuredevops", {}, hashlib.sha256(BODY).hexdigest()),
    "generic": ("generic", {"x-delivery": "x" * 999}, "x" * 200),
    "none": ("github", {}, ""),
}


@pytest.mark.parametrize(("provider", "headers", "id"), IDS.values(), ids=IDS)
def test_a_delivery_has_an_id(provider, headers, id):
    assert delivery_id(provider, headers, BODY) == id
