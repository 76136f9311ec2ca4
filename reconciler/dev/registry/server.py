"""The registry's HTTP side, after the OCI distribution specification 1.1.

Pushed manifests must name blobs that are there. Deleting is refused.
"""

import base64
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from reconciler.dev.sites import Site

from .content import Content, Refused, StoredManifest

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAX_CHUNK_BYTES = 1 << 30


class Registry:
    """Serves `content` on a loopback port; where `login` (`user:password`) is given, to it alone."""

    def __init__(self, login: str = "") -> None:
        self.content = Content()
        self._expected = "Basic " + base64.b64encode(login.encode()).decode() if login else ""
        app = web.Application(middlewares=[_refusals, self._login], client_max_size=MAX_CHUNK_BYTES)
        blob, manifest = "/v2/{name:.+}/blobs/{digest}", "/v2/{name:.+}/manifests/{reference}"
        upload = "/v2/{name:.+}/blobs/uploads/{upload}"
        app.add_routes(
            [
                web.get("/v2/", self._version),
                web.get("/v2/{name:.+}/tags/list", self._tags),
                web.post("/v2/{name:.+}/blobs/uploads/", self._begin),
                web.get(upload, self._progress),
                web.patch(upload, self._append),
                web.put(upload, self._finish),
                web.get(blob, self._get_blob),
                web.get(manifest, self._get_manifest),
                web.put(manifest, self._put_manifest),
                web.delete("/v2/{rest:.+}", self._delete),
            ]
        )
        self._site = Site(app)

    @property
    def url(self) -> str:
        return self._site.url

    @property
    def host(self) -> str:
        """As it stands in front of an image's name."""
        return self.url.removeprefix("http://")

    async def start(self, port: int = 0) -> None:
        await self._site.start(port)

    async def stop(self) -> None:
        await self._site.stop()

    @web.middleware
    async def _login(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._expected and request.headers.get("Authorization") != self._expected:
            refusal = _refusal(Refused(401, "UNAUTHORIZED", "log in first"))
            refusal.headers["WWW-Authenticate"] = 'Basic realm="development registry"'
            return refusal
        return await handler(request)

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _tags(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.json_response({"name": name, "tags": self.content.tag_names(name)})

    async def _begin(self, request: web.Request) -> web.Response:
        name, query = request.match_info["name"], request.query
        if query.get("mount") in self.content.blobs:
            return _created(f"/v2/{name}/blobs/{query['mount']}", query["mount"])
        if "digest" in query:
            self.content.store_blob(await request.read(), query["digest"])
            return _created(f"/v2/{name}/blobs/{query['digest']}", query["digest"])
        return self._accepted(name, self.content.begin(), 202)

    def _accepted(self, name: str, upload: str, status: int) -> web.Response:
        size = len(self.content.upload(upload))
        headers = {"Location": f"/v2/{name}/blobs/uploads/{upload}", "Range": f"0-{max(size - 1, 0)}"}
        return web.Response(status=status, headers=headers | {"Docker-Upload-UUID": upload})

    async def _progress(self, request: web.Request) -> web.Response:
        return self._accepted(request.match_info["name"], request.match_info["upload"], 204)

    async def _append(self, request: web.Request) -> web.Response:
        name, upload = request.match_info["name"], request.match_info["upload"]
        so_far = self.content.upload(upload)
        start = request.headers.get("Content-Range", f"{len(so_far)}-").partition("-")[0]
        if start != str(len(so_far)):
            raise Refused(416, "BLOB_UPLOAD_INVALID", f"the next byte is {len(so_far)}, not {start}")
        so_far += await request.read()
        return self._accepted(name, upload, 202)

    async def _finish(self, request: web.Request) -> web.Response:
        name, upload = request.match_info["name"], request.match_info["upload"]
        digest = request.query.get("digest", "")
        so_far = self.content.upload(upload)
        so_far += await request.read()
        self.content.finish(upload, digest)
        return _created(f"/v2/{name}/blobs/{digest}", digest)

    async def _get_blob(self, request: web.Request) -> web.Response:
        digest = request.match_info["digest"]
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        return web.Response(body=self.content.blob(digest), headers=headers)

    async def _get_manifest(self, request: web.Request) -> web.Response:
        found = self.content.manifest(request.match_info["name"], request.match_info["reference"])
        headers = {"Docker-Content-Digest": found.digest, "Content-Type": found.media_type}
        return web.Response(body=found.body, headers=headers)

    async def _put_manifest(self, request: web.Request) -> web.Response:
        name, reference = request.match_info["name"], request.match_info["reference"]
        body = await request.read()
        self._require_parts(name, body)
        stored: StoredManifest = self.content.store_manifest(name, reference, request.content_type, body)
        return _created(f"/v2/{name}/manifests/{stored.digest}", stored.digest)

    def _require_parts(self, name: str, body: bytes) -> None:
        try:
            manifest = json.loads(body)
            blobs = [part["digest"] for part in [*manifest.get("layers", []), manifest.get("config")] if part]
            images = [part["digest"] for part in manifest.get("manifests", [])]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(400, "MANIFEST_INVALID", f"not a manifest: {error!r}") from error
        for digest in blobs:
            if digest not in self.content.blobs:
                raise Refused(404, "MANIFEST_BLOB_UNKNOWN", f"push blob {digest} first")
        for digest in images:
            self.content.manifest(name, digest)

    async def _delete(self, _: web.Request) -> web.Response:
        raise Refused(405, "UNSUPPORTED", "this registry deletes nothing")


def _created(location: str, digest: str) -> web.Response:
    return web.Response(status=201, headers={"Location": location, "Docker-Content-Digest": digest})


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return _refusal(refused)


def _refusal(refused: Refused) -> web.Response:
    said = {"errors": [{"code": refused.code, "message": str(refused)}]}
    return web.json_response(said, status=refused.status)
