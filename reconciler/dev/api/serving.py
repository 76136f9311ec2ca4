"""One object request answered: media types, bodies and options in, bytes or a stream out."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from reconciler.dev.api.admission import Call
from reconciler.dev.api.deletion import Deletion
from reconciler.dev.api.errors import ApiError
from reconciler.dev.api.listing import Encoder, Page, Watch, list_body, page
from reconciler.dev.api.routes import Route
from reconciler.dev.api.tables import TableEncoder, metadata_list, table_body, wanted_form
from reconciler.dev.api.verbs import Answer, Verbs, parsed
from reconciler.dev.logs import Log, LogOptions
from reconciler.errors import NotFound

BODIES = ("application/json", "application/yaml", "application/octet-stream")
"""The last stands for none at all."""
JSON_HEADERS = {"Content-Type": "application/json"}


@dataclass
class Reply:
    """A body, or a stream of chunks. `cut` drops the connection instead, `pause` is before each chunk."""

    body: bytes = b""
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)
    stream: AsyncGenerator[bytes, None] | None = None
    cut: bool = False
    pause: float = 0.0


LogSource = Callable[[str, str, str, bool], Log]
"""Of a namespace's pod and container, the last run's or the previous one's. Raises NotFound."""


class Serving:
    """Answers requests on objects."""

    def __init__(self, verbs: Verbs, log_source: Callable[[], LogSource | None]) -> None:
        self._verbs = verbs
        self._log_source = log_source

    async def reply(self, request: web.BaseRequest, route: Route, body: bytes) -> Reply:
        assert route.resource is not None
        call = Call(
            route.resource,
            route.namespace,
            route.name,
            route.subresource,
            request.query,
            request.headers.get("User-Agent", ""),
        )
        if route.resource.namespaced and not route.namespace and route.verb not in ("list", "watch"):
            raise ApiError(405, "the server does not allow this method without a namespace")
        if route.subresource == "log":
            return await self._log(call)
        form = wanted_form(request.headers.get("Accept", ""))
        match route.verb:
            case "list":
                return Reply(_listed(call, page(self._verbs.store, call), form))
            case "watch":
                encoder = TableEncoder(call) if form == "Table" else Encoder(call.resource)
                return Reply(stream=Watch(self._verbs.store, call, encoder).chunks())
            case "get":
                answer = self._verbs.get(call)
                if form and answer.record:
                    return Reply(_formed(call, Page([answer.record], {}), form))
                return Reply(answer.body)
            case _:
                return _reply_of(self._write(route.verb, call, request, body))

    def _write(self, verb: str, call: Call, request: web.BaseRequest, body: bytes) -> Answer:
        content_type = request.content_type
        if "protobuf" in content_type:
            raise ApiError(415, "protobuf bodies are not read by this development server: send JSON or YAML")
        if verb in ("create", "update") and content_type not in BODIES:
            accepted = "accepted media types include: application/json, application/yaml"
            raise ApiError(415, f"the body of the request was in an unknown format - {accepted}")
        match verb:
            case "create":
                return self._verbs.create(call, parsed(body, content_type))
            case "update":
                return self._verbs.update(call, parsed(body, content_type))
            case "patch":
                return self._verbs.patch(call, content_type, body)
            case "delete":
                return self._verbs.delete(call, _options(call, body))
            case _:
                return self._delete_all(call, _options(call, body))

    def _delete_all(self, call: Call, options: Deletion) -> Answer:
        found = page(self._verbs.store, call)
        for record in found.records:
            one = Call(call.resource, record.key[0], record.key[1], "", call.params, call.agent)
            self._verbs.delete(one, options)
        return Answer(list_body(call.resource, found))

    async def _log(self, call: Call) -> Reply:
        pod = self._verbs.live(call).copy()
        spec = pod["spec"]
        names = [each["name"] for each in (*spec["containers"], *spec.get("initContainers", ()))]
        container = call.params.get("container") or names[0]
        if container not in names:
            raise ApiError(400, f"container {container} is not valid for pod {call.name}")
        source = self._log_source()
        if source is None:
            raise ApiError(501, "no node agent is connected that could read logs")
        try:
            asked = LogOptions.of(call.params)
            log = source(call.namespace, call.name, container, asked.previous)
        except (ValueError, NotFound) as error:
            raise ApiError(400, str(error)) from None
        return Reply(headers={"Content-Type": "text/plain"}, stream=log.read(asked))


def _reply_of(answer: Answer) -> Reply:
    headers = dict(JSON_HEADERS)
    if answer.warnings:
        headers["Warning"] = ", ".join(f"299 - {orjson.dumps(text).decode()}" for text in answer.warnings)
    return Reply(answer.body, answer.code, headers)


def _options(call: Call, body: bytes) -> Deletion:
    return Deletion.of(call.params, parsed(body, "application/json") if body.strip() else {})


def _listed(call: Call, found: Page, form: str) -> bytes:
    return _formed(call, found, form) if form else list_body(call.resource, found)


def _formed(call: Call, found: Page, form: str) -> bytes:
    if form == "Table":
        return table_body(call, found)
    return metadata_list(call.resource, found)
