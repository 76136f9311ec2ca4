"""What a registry promises a client, held against the development cluster's and Debian's docker-registry."""

import asyncio
import hashlib
import io
import json
import tarfile

import httpx
import oras.client
import pytest
from plugins.registries import LOGIN, PASSWORD, USER

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"

both = pytest.mark.parametrize("registry", ["development", "debian"], indirect=True)


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def finishing(upload, content: bytes) -> httpx.URL:
    """The answer's upload, to be ended with this blob; its own query is the server's business."""
    return httpx.URL(upload.headers["Location"]).copy_merge_params({"digest": digest(content)})


def descriptor(content: bytes, media_type: str) -> dict:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def image(*layers: bytes, config: bytes = b"{}", **more) -> bytes:
    parts = {"config": descriptor(config, CONFIG), "layers": [descriptor(each, LAYER) for each in layers]}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **parts, **more}).encode()


async def push_blob(http, name: str, content: bytes) -> None:
    begun = await http.post(f"/v2/{name}/blobs/uploads/")
    assert begun.status_code == 202
    done = await http.put(finishing(begun, content), content=content)
    assert done.status_code == 201
    assert done.headers["Docker-Content-Digest"] == digest(content)


async def push(http, name: str, reference: str, body: bytes, media_type: str = MANIFEST):
    return await http.put(
        f"/v2/{name}/manifests/{reference}", content=body, headers={"Content-Type": media_type}
    )


async def push_image(http, name: str, tag: str, layer: bytes = b"layer") -> bytes:
    body = image(layer)
    for content in (b"{}", layer):
        await push_blob(http, name, content)
    assert (await push(http, name, tag, body)).status_code == 201
    return body


def code(answer) -> str:
    return answer.json()["errors"][0]["code"]


# --- pushing and pulling


@both
async def test_what_was_pushed_is_pulled_by_tag_and_by_digest(http):
    body = await push_image(http, "team/adapter", "v1")
    for reference in ("v1", digest(body)):
        where = f"/v2/team/adapter/manifests/{reference}"
        pulled = await http.get(where, headers={"Accept": MANIFEST})
        assert (pulled.content, pulled.headers["Content-Type"]) == (body, MANIFEST)
        head = await http.head(where, headers={"Accept": MANIFEST})
        assert head.headers["Docker-Content-Digest"] == digest(body)
        assert head.headers["Content-Length"] == str(len(body))
        assert head.content == b""


@both
async def test_a_pushed_manifest_says_where_it_lies(http):
    for content in (b"{}", b"layer"):
        await push_blob(http, "a", content)
    pushed = await push(http, "a", "v1", image(b"layer"))
    assert pushed.headers["Location"].endswith(f"/v2/a/manifests/{digest(image(b'layer'))}")
    assert pushed.headers["Docker-Content-Digest"] == digest(image(b"layer"))


@both
async def test_a_tag_moves_and_the_old_manifest_stays(http):
    old, new = [await push_image(http, "a", "latest", layer) for layer in (b"old", b"new")]
    assert (await http.get("/v2/a/manifests/latest", headers={"Accept": MANIFEST})).content == new
    kept = await http.get(f"/v2/a/manifests/{digest(old)}", headers={"Accept": MANIFEST})
    assert kept.content == old


@both
async def test_an_index_names_images_that_are_there(http):
    body = await push_image(http, "a", "amd64")
    entry = descriptor(body, MANIFEST) | {"platform": {"os": "linux", "architecture": "amd64"}}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    assert (await push(http, "a", "v1", index, INDEX)).status_code == 201
    pulled = await http.get("/v2/a/manifests/v1", headers={"Accept": INDEX})
    assert (pulled.content, pulled.headers["Content-Type"]) == (index, INDEX)
    stranger = descriptor(image(b"never pushed"), MANIFEST) | {"platform": entry["platform"]}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [stranger]}).encode()
    refused = await push(http, "a", "v2", index, INDEX)
    assert (refused.status_code, code(refused)) == (400, "MANIFEST_BLOB_UNKNOWN")


@both
async def test_a_blob_comes_in_chunks_and_goes_on_after_a_break(http):
    begun = await http.post("/v2/a/blobs/uploads/")
    first = await http.patch(
        begun.headers["Location"],
        content=b"first ",
        headers={"Content-Range": "0-5", "Content-Type": "application/octet-stream"},
    )
    assert (first.status_code, first.headers["Range"]) == (202, "0-5")
    seen = await http.get(first.headers["Location"])
    assert (seen.status_code, seen.headers["Range"]) == (204, "0-5")
    assert seen.headers["Docker-Upload-UUID"] == begun.headers["Docker-Upload-UUID"]
    second = await http.patch(seen.headers["Location"], content=b"second ", headers={"Content-Range": "6-12"})
    assert second.headers["Range"] == "0-12"
    done = await http.put(finishing(second, b"first second third"), content=b"third")
    assert done.status_code == 201
    assert (await http.get(f"/v2/a/blobs/{digest(b'first second third')}")).content == b"first second third"
    again = await http.patch(second.headers["Location"], content=b"x")
    assert (again.status_code, code(again)) == (404, "BLOB_UPLOAD_UNKNOWN")


@both
async def test_an_upload_may_be_cancelled(http):
    begun = await http.post("/v2/a/blobs/uploads/")
    where = begun.headers["Location"]
    assert (await http.delete(where)).status_code == 204
    assert (await http.get(where)).status_code == 404


@both
async def test_an_upload_whose_digest_is_wrong_is_no_blob(http):
    begun = await http.post("/v2/a/blobs/uploads/")
    refused = await http.put(finishing(begun, b"b"), content=b"a")
    assert (refused.status_code, code(refused)) == (400, "DIGEST_INVALID")
    for content in (b"a", b"b"):
        assert (await http.head(f"/v2/a/blobs/{digest(content)}")).status_code == 404


@both
async def test_a_blob_is_mounted_from_another_repository(http):
    await push_blob(http, "base", b"layer")
    assert (await http.head(f"/v2/team/own/blobs/{digest(b'layer')}")).status_code == 404
    mounted = await http.post(
        "/v2/team/own/blobs/uploads/", params={"mount": digest(b"layer"), "from": "base"}
    )
    assert mounted.status_code == 201
    assert (await http.get(f"/v2/team/own/blobs/{digest(b'layer')}")).content == b"layer"
    unknown = await http.post("/v2/team/own/blobs/uploads/", params={"mount": digest(b"x"), "from": "base"})
    assert unknown.status_code == 202
    assert "/blobs/uploads/" in unknown.headers["Location"]


@both
async def test_part_of_a_blob(http):
    await push_blob(http, "a", b"0123456789")
    where = f"/v2/a/blobs/{digest(b'0123456789')}"
    part = await http.get(where, headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert part.headers["Content-Range"] == "bytes 2-4/10"
    assert (await http.get(where, headers={"Range": "bytes=7-"})).content == b"789"
    head = await http.head(where)
    assert (head.headers["Content-Length"], head.headers["Accept-Ranges"]) == ("10", "bytes")


# --- listing and deleting


@both
async def test_tags_and_repositories_are_listed(http):
    for name in ("b", "a/x", "c"):
        await push_image(http, name, "v1")
    await push_image(http, "b", "latest")
    listed = (await http.get("/v2/b/tags/list")).json()
    assert (listed["name"], sorted(listed["tags"])) == ("b", ["latest", "v1"])
    assert (await http.get("/v2/_catalog")).json() == {"repositories": ["a/x", "b", "c"]}


@both
async def test_the_catalog_comes_in_pages(http):
    for name in ("a", "b", "c"):
        await push_image(http, name, "v1")
    first = await http.get("/v2/_catalog", params={"n": 2})
    assert first.json() == {"repositories": ["a", "b"]}
    assert first.links["next"]["url"].startswith("/v2/_catalog?")
    last = await http.get(first.links["next"]["url"])
    assert last.json() == {"repositories": ["c"]}
    assert "next" not in last.links


@both
async def test_a_deleted_manifest_is_gone_with_its_tags(http):
    body, other = await push_image(http, "a", "v1"), await push_image(http, "a", "v2", b"another")
    assert (await http.delete(f"/v2/a/manifests/{digest(body)}")).status_code == 202
    for reference in ("v1", digest(body)):
        gone = await http.get(f"/v2/a/manifests/{reference}", headers={"Accept": MANIFEST})
        assert (gone.status_code, code(gone)) == (404, "MANIFEST_UNKNOWN")
    assert (await http.get("/v2/a/manifests/v2", headers={"Accept": MANIFEST})).content == other
    assert (await http.get("/v2/a/tags/list")).json()["tags"] == ["v2"]


@both
async def test_a_blob_deleted_in_one_repository_stays_in_another(http):
    for name in ("a", "b"):
        await push_blob(http, name, b"layer")
    where = f"/blobs/{digest(b'layer')}"
    assert (await http.delete("/v2/a" + where)).status_code == 202
    assert code(await http.get("/v2/a" + where)) == "BLOB_UNKNOWN"
    assert (await http.get("/v2/b" + where)).content == b"layer"


# --- refusals

REFUSALS = {
    "a manifest whose blobs were not pushed": (
        "PUT",
        "manifests/v1",
        image(b"x"),
        400,
        "MANIFEST_BLOB_UNKNOWN",
    ),
    "something that is no JSON": ("PUT", "manifests/v1", b"}", 400, "MANIFEST_INVALID"),
    "a manifest under another's digest": ("PUT", f"manifests/{digest(b'')}", image(), 400, "DIGEST_INVALID"),
    "a tag nobody pushed": ("GET", "manifests/none", None, 404, "MANIFEST_UNKNOWN"),
    "a digest nobody pushed": ("GET", f"manifests/{digest(b'none')}", None, 404, "MANIFEST_UNKNOWN"),
    "a blob nobody pushed": ("GET", f"blobs/{digest(b'none')}", None, 404, "BLOB_UNKNOWN"),
    "deleting a blob nobody pushed": ("DELETE", f"blobs/{digest(b'none')}", None, 404, "BLOB_UNKNOWN"),
    "deleting a manifest nobody pushed": (
        "DELETE",
        f"manifests/{digest(b'none')}",
        None,
        404,
        "MANIFEST_UNKNOWN",
    ),
}


@both
@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
async def test_refuses(http, case):
    method, path, content, status, wanted = case
    answer = await http.request(
        method, f"/v2/a/{path}", content=content, headers={"Content-Type": MANIFEST, "Accept": MANIFEST}
    )
    assert (answer.status_code, code(answer)) == (status, wanted)
    assert answer.json()["errors"][0]["message"]


@both
async def test_every_answer_names_the_protocol(http):
    for path in ("/v2/", "/v2/_catalog", "/v2/a/manifests/none"):
        answer = await http.get(path)
        assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


@both
async def test_the_tags_of_an_unknown_repository(http):
    answer = await http.get("/v2/nowhere/tags/list")
    assert (answer.status_code, code(answer)) == (404, "NAME_UNKNOWN")


# --- where Debian's 2.8 and the specification 1.1, which ours follows, differ


async def chunk_out_of_order(http):
    begun = await http.post("/v2/a/blobs/uploads/")
    where = begun.headers["Location"]
    return (await http.patch(where, content=b"x", headers={"Content-Range": "99-99"})).status_code


async def whole_blob_in_one_post(http):
    answer = await http.post("/v2/a/blobs/uploads/", params={"digest": digest(b"x")}, content=b"x")
    return answer.status_code


async def page_of_tags(http):
    for tag in ("a", "b", "c"):
        await push_image(http, "a", tag)
    return len((await http.get("/v2/a/tags/list", params={"n": 1, "last": "a"})).json()["tags"])


async def deletion_of_a_tag(http):
    await push_image(http, "a", "v1")
    return (await http.delete("/v2/a/manifests/v1")).status_code


async def range_past_the_end(http):
    await push_blob(http, "a", b"0123456789")
    try:
        answer = await http.get(f"/v2/a/blobs/{digest(b'0123456789')}", headers={"Range": "bytes=10-"})
    except httpx.RemoteProtocolError:
        return "a broken answer"
    return answer.status_code


async def manifest_of_another_schema(http):
    return (await push(http, "a", "v1", b'{"schemaVersion": 3}')).status_code


async def manifest_without_an_accept_header(http):
    await push_image(http, "a", "v1")
    return (await http.get("/v2/a/manifests/v1")).status_code


DIFFERENCES = [
    (chunk_out_of_order, {"debian": 202, "development": 416}),
    (whole_blob_in_one_post, {"debian": 202, "development": 201}),
    (page_of_tags, {"debian": 3, "development": 1}),
    (deletion_of_a_tag, {"debian": 400, "development": 202}),
    (range_past_the_end, {"debian": "a broken answer", "development": 416}),
    (manifest_of_another_schema, {"debian": 500, "development": 400}),
    (manifest_without_an_accept_header, {"debian": 404, "development": 200}),
]


@both
@pytest.mark.parametrize(("seen", "wanted"), DIFFERENCES, ids=lambda each: getattr(each, "__name__", ""))
async def test_differs_as_known(registry, http, seen, wanted):
    assert await seen(http) == wanted[registry.kind]


# --- who may


@pytest.mark.parametrize("registry", ["development-basic", "debian-basic"], indirect=True)
async def test_only_who_knows_the_password_gets_in(http):
    for headers in ({}, {"Authorization": "Basic dXNlcjp3cm9uZw=="}, {"Authorization": "Basic ?"}):
        refused = await http.get("/v2/", headers=headers)
        assert (refused.status_code, code(refused)) == (401, "UNAUTHORIZED")
        assert refused.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert (await http.get("/v2/", headers=LOGIN)).status_code == 200


# --- a client that people use

ORAS = ["development", "development-basic", "development-token", "debian", "debian-basic"]


@pytest.mark.parametrize("registry", ORAS, indirect=True)
async def test_oras_pushes_an_adapter_and_pulls_it_back(registry, http, tmp_path):
    """One uncompressed tar layer with `data/adapter_config.json` and the weights."""
    folder = tmp_path / "artifact"
    folder.mkdir()
    layer = folder / "adapter.tar"
    layer.write_bytes(adapter())
    client = oras.client.OrasClient(
        hostname=registry.host, insecure=True, auth_backend=registry.auth or "token"
    )
    client.auth.set_basic_auth(USER, PASSWORD)
    if registry.auth == "token":  # this client asks for one token only, for what its first request needs
        scope = "repository:adapters/dolly:pull,push"
        answer = await http.get("/token", params={"service": "registry", "scope": scope}, headers=LOGIN)
        client.auth.set_token_auth(answer.json()["token"])
    await asyncio.to_thread(exchange, client, layer, tmp_path / "pulled")
    pulled = tmp_path / "pulled" / "adapter.tar"
    assert pulled.read_bytes() == layer.read_bytes()
    with tarfile.open(pulled) as archive:
        assert archive.getnames() == ["data/adapter_config.json", "data/adapter_model.safetensors"]


def exchange(client, layer, target) -> None:
    where = f"{client.hostname}/adapters/dolly:v1"
    pushed = client.push(where, files=[f"{layer}:{LAYER}"], disable_path_validation=True)
    assert pushed.status_code == 201
    assert client.get_tags(where) == ["v1"]
    assert client.get_manifest(where)["layers"][0]["digest"] == digest(layer.read_bytes())
    client.pull(where, outdir=str(target))


def adapter() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in (("config.json", b"{}"), ("model.safetensors", bytes(3 << 20))):
            entry = tarfile.TarInfo(f"data/adapter_{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()
