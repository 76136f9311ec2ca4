"""What is the development registry's own: where it keeps things, its limits and its tokens.

What it shares with any registry is in tests/contracts/test_registry.py.
"""

import asyncio
import hashlib
import json
from contextlib import asynccontextmanager

import httpx
import pytest

from reconciler.dev.registry.access import Basic, Token
from reconciler.dev.registry.server import Registry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LOGIN = httpx.BasicAuth("me", "secret")


@asynccontextmanager
async def serving(root, auth=None, **options):
    registry = Registry(root, auth, **options)
    await registry.start()
    async with httpx.AsyncClient(base_url=registry.url) as client:
        yield client
    await registry.stop()


@pytest.fixture
async def http(tmp_path):
    async with serving(tmp_path) as client:
        yield client


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


async def push(http, name: str, content: bytes, **more):
    return await http.post(
        f"/v2/{name}/blobs/uploads/", params={"digest": digest(content)}, content=content, **more
    )


def image(layer: bytes) -> bytes:
    layers = [{"digest": digest(layer), "size": len(layer), "mediaType": "application/octet-stream"}]
    return json.dumps({"schemaVersion": 2, "layers": layers}).encode()


# --- what is kept


async def test_what_was_pushed_is_there_after_a_restart(tmp_path):
    async with serving(tmp_path) as http:
        await push(http, "team/a", b"layer")
        put = await http.put(
            "/v2/team/a/manifests/v1", content=image(b"layer"), headers={"Content-Type": MANIFEST}
        )
        assert put.status_code == 201
    async with serving(tmp_path) as http:
        assert (await http.get("/v2/team/a/manifests/v1")).content == image(b"layer")
        assert (await http.get(f"/v2/team/a/blobs/{digest(b'layer')}")).content == b"layer"
        assert (await http.get("/v2/_catalog")).json() == {"repositories": ["team/a"]}


async def test_an_upload_goes_on_after_its_connection_broke(http):
    where = (await http.post("/v2/a/blobs/uploads/")).headers["Location"]

    async def breaks():
        yield b"first "
        raise httpx.WriteError("the line is cut")

    with pytest.raises(httpx.WriteError):
        await http.patch(where, content=breaks(), headers={"Content-Length": "100"})
    async with asyncio.timeout(10):
        while (await http.get(where)).headers["Range"] != "0-5":
            await asyncio.sleep(0.01)
    done = await http.put(where, params={"digest": digest(b"first second")}, content=b"second")
    assert done.status_code == 201


async def test_a_mounted_blob_outlives_the_one_it_came_from(http):
    await push(http, "base", b"layer")
    query = {"mount": digest(b"layer"), "from": "base"}
    assert (await http.post("/v2/own/blobs/uploads/", params=query)).status_code == 201
    await http.delete(f"/v2/base/blobs/{digest(b'layer')}")
    assert (await http.get(f"/v2/own/blobs/{digest(b'layer')}")).content == b"layer"


async def test_the_last_tag_leaves_its_manifest_and_an_empty_list(http):
    await push(http, "a", b"layer")
    await http.put("/v2/a/manifests/v1", content=image(b"layer"), headers={"Content-Type": MANIFEST})
    await http.delete("/v2/a/manifests/v1")
    assert (await http.get("/v2/a/tags/list")).json() == {"name": "a", "tags": []}
    assert (await http.get(f"/v2/a/manifests/{digest(image(b'layer'))}")).status_code == 200


# --- limits


async def test_a_blob_over_the_limit_is_refused_as_it_comes(tmp_path):
    async with serving(tmp_path, max_blob=10) as http:
        assert (await push(http, "a", b"0123456789")).status_code == 201
        where = (await http.post("/v2/a/blobs/uploads/")).headers["Location"]
        assert (await http.patch(where, content=b"012345")).status_code == 202
        refused = await http.patch(where, content=b"678901")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (413, "SIZE_INVALID")
        assert "10 bytes at most" in refused.json()["errors"][0]["message"]


async def test_a_manifest_over_four_mebibytes_is_refused(http):
    large = json.dumps({"schemaVersion": 2, "annotations": {"a": "x" * (4 << 20)}}).encode()
    refused = await http.put("/v2/a/manifests/v1", content=large, headers={"Content-Type": MANIFEST})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (413, "SIZE_INVALID")


REFUSALS = {
    "a name that leads out": ("GET", f"/v2/..%2F..%2Fetc/blobs/{digest(b'')}", 400, "NAME_INVALID"),
    "a folder of ours as a name": ("GET", f"/v2/a/_tags/blobs/{digest(b'')}", 400, "NAME_INVALID"),
    "upper case": ("POST", "/v2/Team/blobs/uploads/", 400, "NAME_INVALID"),
    "a name that is too long": ("POST", f"/v2/{'a' * 256}/blobs/uploads/", 400, "NAME_INVALID"),
    "a digest that leads out": ("GET", "/v2/a/blobs/..%2F..%2Fsecret", 400, "DIGEST_INVALID"),
    "a digest of another kind": ("GET", "/v2/a/blobs/md5:d41d8cd98f00b204", 400, "DIGEST_INVALID"),
    "an upload that leads out": ("GET", "/v2/a/blobs/uploads/..%2Fsecret", 400, "BLOB_UPLOAD_INVALID"),
    "a tag that leads out": ("PUT", "/v2/a/manifests/..%2Fsecret", 400, "TAG_INVALID"),
    "a page of no number": ("GET", "/v2/_catalog?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
    "a path there is none of": ("GET", "/v2/a/nothing", 404, "UNSUPPORTED"),
    "the referrers of an image": ("GET", f"/v2/a/referrers/{digest(b'')}", 404, "UNSUPPORTED"),
    "a method there is none of": ("PATCH", "/v2/_catalog", 405, "UNSUPPORTED"),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
async def test_refuses(http, case):
    method, path, status, wanted = case
    answer = await http.request(method, path)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, wanted)
    assert answer.json()["errors"][0]["message"]


async def test_a_manifest_sent_as_something_else(http):
    refused = await http.put("/v2/a/manifests/v1", content=b'{"schemaVersion": 2}')
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "MANIFEST_INVALID")


# --- tokens

PULL, PUSH = "repository:team/a:pull", "repository:team/a:pull,push"


@pytest.fixture
async def guarded(tmp_path):
    async with serving(tmp_path, Token(Basic({"me": "secret"}))) as client:
        yield client


async def bearer(http, *scopes: str) -> dict:
    answer = await http.get("/token", params={"service": "registry", "scope": scopes}, auth=LOGIN)
    assert answer.json()["expires_in"] > 0
    return {"Authorization": "Bearer " + answer.json()["token"]}


async def test_a_challenge_says_where_to_get_which_token(guarded):
    refused = await guarded.post("/v2/team/a/blobs/uploads/")
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == (
        f'Bearer realm="{guarded.base_url}/token",service="registry",scope="{PUSH}"'
    )


async def test_a_token_opens_what_it_was_asked_for_and_nothing_else(guarded):
    push_it, pull_it = await bearer(guarded, PUSH), await bearer(guarded, PULL)
    assert (await push(guarded, "team/a", b"layer", headers=push_it)).status_code == 201
    where = f"/v2/team/a/blobs/{digest(b'layer')}"
    for headers in (push_it, pull_it):
        assert (await guarded.get(where, headers=headers)).status_code == 200
        assert (await guarded.get("/v2/", headers=headers)).status_code == 200
        assert (await guarded.get("/v2/_catalog", headers=headers)).status_code == 401
        assert (await guarded.delete(where, headers=headers)).status_code == 401
        assert (await push(guarded, "team/b", b"layer", headers=headers)).status_code == 401
    assert (await push(guarded, "team/a", b"more", headers=pull_it)).status_code == 401


async def test_mounting_needs_a_token_for_both_repositories(guarded):
    await push(guarded, "team/a", b"layer", headers=await bearer(guarded, PUSH))
    query, own = {"mount": digest(b"layer"), "from": "team/a"}, "repository:own:pull,push"
    for scopes, status in (((own,), 401), ((own, PULL), 201)):
        headers = await bearer(guarded, *scopes)
        mounted = await guarded.post("/v2/own/blobs/uploads/", params=query, headers=headers)
        assert mounted.status_code == status


async def test_no_token_without_the_password(guarded):
    for auth in (None, httpx.BasicAuth("me", "wrong"), httpx.BasicAuth("nobody", "secret")):
        refused = await guarded.get("/token", params={"scope": PULL}, auth=auth)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic ")
    assert (await guarded.get("/v2/", auth=LOGIN)).status_code == 401
    assert (await guarded.get("/v2/", headers={"Authorization": "Bearer made-up"})).status_code == 401


async def test_a_token_ends(tmp_path):
    async with serving(tmp_path, Token(Basic({"me": "secret"}), seconds=0)) as http:
        answer = await http.get("/token", auth=LOGIN)
        headers = {"Authorization": "Bearer " + answer.json()["token"]}
        assert (await http.get("/v2/", headers=headers)).status_code == 401
