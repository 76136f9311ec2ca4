"""The registry's HTTP side, after the OCI distribution specification 1.1, without the referrers API."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from reconciler.dev.sites import Site

from .access import TOKEN_PATH, Basic, Token
from .content import BLOBS, MANIFESTS, UPLOADS, Content, Refused, media_type

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAX_MANIFEST_BYTES = 4 << 20
MAX_BLOB_BYTES = 16 << 30


class Registry(Site):
    """Serves what lies in `root`; without `auth`, to everybody."""

    def __init__(self, root: Path, auth: Basic | Token | None = None, max_blob: int = MAX_BLOB_BYTES) -> None:
        self._content, self._auth = Content(root, max_blob), auth
        app = web.Application(middlewares=[self._answer], client_max_size=MAX_MANIFEST_BYTES)
        at, upload = "/v2/{name:.+}", "/v2/{name:.+}/{part:blobs/uploads}/{leaf}"
        app.add_routes(
            [
                web.get("/v2/", self._version),
                web.get("/v2/_catalog", self._catalog),
                web.get(at + "/tags/list", self._tags),
                web.post(at + "/blobs/uploads/", self._begin),
                web.get(upload, self._progress),
                web.patch(upload, self._append),
                web.put(upload, self._append),
                web.put(at + "/manifests/{leaf}", self._put_manifest),
                web.get(at + "/{part:blobs|manifests}/{leaf}", self._get),
                web.delete(at + "/{part:blobs/uploads|blobs|manifests}/{leaf}", self._delete),
            ]
        )
        if isinstance(auth, Token):
            app.router.add_get(TOKEN_PATH, auth.issue)
        super().__init__(app)

    @property
    def host(self) -> str:
        """As it stands in front of an image's name."""
        return self.url.removeprefix("http://")

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if self._auth:
                self._auth.admit(request)
            answer = await handler(request)
        except Refused as refused:
            answer = _error(refused.status, refused.code, str(refused))
            answer.headers.update(refused.headers)
        except web.HTTPException as error:
            code = "SIZE_INVALID" if error.status == 413 else "UNSUPPORTED"
            answer = _error(error.status, code, error.reason)
        answer.headers["Docker-Distribution-API-Version"] = "registry/2.0"
        return answer

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _catalog(self, request: web.Request) -> web.Response:
        return _page(request, "repositories", self._content.repositories())

    async def _tags(self, request: web.Request) -> web.Response:
        return _page(request, "tags", self._content.tags(request.match_info["name"]))

    async def _begin(self, request: web.Request) -> web.Response:
        name, query = request.match_info["name"], request.query
        if "from" in query and self._content.mount(query["from"], query.get("mount", ""), name):
            return _created(request, BLOBS, query["mount"])
        upload = self._content.begin(name)
        return await self._receive(request, upload) if "digest" in query else _accepted(request, upload)

    async def _progress(self, request: web.Request) -> web.Response:
        return _accepted(request, self._content.find(**request.match_info), 204)

    async def _append(self, request: web.Request) -> web.Response:
        return await self._receive(request, self._content.find(**request.match_info))

    async def _receive(self, request: web.Request, upload: Path) -> web.Response:
        """With the blob's digest, the bytes are its last ones."""
        chunks = request.content.iter_chunked(1 << 20)
        await self._content.append(upload, chunks, request.headers.get("Content-Range"))
        if request.method == "PATCH":
            return _accepted(request, upload)
        digest = request.query.get("digest", "")
        await self._content.finish(upload, request.match_info["name"], digest)
        return _created(request, BLOBS, digest)

    async def _put_manifest(self, request: web.Request) -> web.Response:
        name, reference = request.match_info["name"], request.match_info["leaf"]
        body = await request.read()
        digest = self._content.put_manifest(name, reference, body, request.content_type)
        return _created(request, MANIFESTS, digest)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        path, kind = self._content.find(**request.match_info), "application/octet-stream"
        if request.match_info["part"] == MANIFESTS:
            kind = media_type(json.loads(path.read_bytes()))
        return web.FileResponse(path, headers={"Docker-Content-Digest": path.name, "Content-Type": kind})

    async def _delete(self, request: web.Request) -> web.Response:
        self._content.delete(**request.match_info)
        return web.Response(status=204 if request.match_info["part"] == UPLOADS else 202)


def _accepted(request: web.Request, upload: Path, status: int = 202) -> web.Response:
    where = f"/v2/{request.match_info['name']}/{UPLOADS}/{upload.name}"
    headers = {"Location": where, "Range": f"0-{max(upload.stat().st_size - 1, 0)}"}
    return web.Response(status=status, headers=headers | {"Docker-Upload-UUID": upload.name})


def _created(request: web.Request, part: str, digest: str) -> web.Response:
    where = f"/v2/{request.match_info['name']}/{part}/{digest}"
    return web.Response(status=201, headers={"Location": where, "Docker-Content-Digest": digest})


def _page(request: web.Request, key: str, names: list[str]) -> web.Response:
    """At most `n` names after `last`, with a link to the next page."""
    asked = request.query.get("n", str(len(names)))
    if not asked.isdecimal():
        raise Refused(400, "PAGINATION_NUMBER_INVALID", f"n is a number of names, not {asked!r}")
    left = [name for name in names if name > request.query.get("last", "")]
    page = left[: int(asked)]
    more = page and len(page) < len(left)
    link = {"Link": f'<{request.path}?n={asked}&last={page[-1]}>; rel="next"'} if more else {}
    return web.json_response({**request.match_info, key: page}, headers=link)


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status)
