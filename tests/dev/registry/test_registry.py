"""The registry, as a client that pushes and pulls sees it."""

import base64
import hashlib
import json

import httpx
import pytest

from reconciler.dev.registry.server import Registry

MEDIA = "application/vnd.oci.image.manifest.v1+json"


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.fixture
async def http():
    registry = Registry()
    await registry.start()
    async with httpx.AsyncClient(base_url=registry.url) as client:
        yield client
    await registry.stop()


async def push(http, content: bytes) -> str:
    answer = await http.post(
        "/v2/team/adapter/blobs/uploads/", params={"digest": digest(content)}, content=content
    )
    assert answer.status_code == 201
    return digest(content)


def manifest(config: str, layer: str) -> bytes:
    return json.dumps(
        {"schemaVersion": 2, "config": {"digest": config}, "layers": [{"digest": layer}]}
    ).encode()


async def test_what_was_pushed_is_pulled_by_tag_and_by_digest(http):
    body = manifest(await push(http, b"{}"), await push(http, b"layer"))
    pushed = await http.put("/v2/team/adapter/manifests/v1", content=body, headers={"Content-Type": MEDIA})
    assert pushed.headers["Docker-Content-Digest"] == digest(body)
    for reference in ("v1", digest(body)):
        pulled = await http.get(f"/v2/team/adapter/manifests/{reference}")
        assert (pulled.content, pulled.headers["Content-Type"]) == (body, MEDIA)
    head = await http.head("/v2/team/adapter/manifests/v1")
    assert head.headers["Docker-Content-Digest"] == digest(body)
    assert head.headers["Content-Length"] == str(len(body))
    assert (await http.get(f"/v2/team/adapter/blobs/{digest(b'layer')}")).content == b"layer"
    assert (await http.get("/v2/team/adapter/tags/list")).json()["tags"] == ["v1"]


async def test_a_blob_may_come_in_chunks(http):
    begun = await http.post("/v2/team/adapter/blobs/uploads/")
    where = begun.headers["Location"]
    assert (await http.patch(where, content=b"first ")).headers["Range"] == "0-5"
    out_of_order = await http.patch(where, content=b"x", headers={"Content-Range": "99-99"})
    assert out_of_order.status_code == 416
    done = await http.put(where, params={"digest": digest(b"first second")}, content=b"second")
    assert done.status_code == 201
    assert (await http.get(done.headers["Location"])).content == b"first second"
    assert (await http.patch(where, content=b"x")).status_code == 404


REFUSALS = {
    "content that is not what its digest says": (
        "POST",
        "/v2/a/blobs/uploads/?digest=" + digest(b"b"),
        b"a",
        400,
    ),
    "a manifest whose blobs were not pushed": (
        "PUT",
        "/v2/a/manifests/v1",
        manifest(digest(b"1"), digest(b"2")),
        404,
    ),
    "something that is no manifest": ("PUT", "/v2/a/manifests/v1", b"[]", 400),
    "a manifest under another's digest": ("PUT", "/v2/a/manifests/" + digest(b""), b"{}", 400),
    "a tag nobody pushed": ("GET", "/v2/a/manifests/none", None, 404),
    "a blob nobody pushed": ("GET", "/v2/a/blobs/" + digest(b"none"), None, 404),
    "the tags of an unknown repository": ("GET", "/v2/nowhere/tags/list", None, 404),
    "deleting": ("DELETE", "/v2/a/manifests/v1", None, 405),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
async def test_refuses(http, case):
    method, path, content, status = case
    answer = await http.request(method, path, content=content)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["code"]


async def test_with_a_login_nobody_else_gets_in():
    registry = Registry("me:secret")
    await registry.start()
    async with httpx.AsyncClient(base_url=registry.url) as client:
        refused = await client.get("/v2/")
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic ")
        token = base64.b64encode(b"me:secret").decode()
        assert (await client.get("/v2/", headers={"Authorization": f"Basic {token}"})).status_code == 200
    await registry.stop()
