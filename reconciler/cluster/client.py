"""The verbs of the Kubernetes API in plain JSON.

Every failure is an error of `reconciler.errors` whose message names verb, object, what the server
said and the status. Overload, server errors and broken connections are retried within for about
15 seconds.
"""

import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from reconciler.errors import InvalidSpec, NotFound, Unavailable
from reconciler.model import names
from reconciler.model.names import ObjectKey
from reconciler.model.settings import ClusterSettings
from reconciler.model.world import Manifest

from . import failures
from .access import Access
from .failures import Call, Gone
from .kinds import KINDS, Kind, key_of
from .wire import OnRequest, Patience, Wire

PAGE = 500
"""Objects asked for at a time."""

_JSON = {"Content-Type": "application/json"}
_APPLY = {"Content-Type": "application/apply-patch+yaml"}
_MERGE = {"Content-Type": "application/merge-patch+json"}
_METADATA_ONLY = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
Listing = tuple[list[Manifest], str]
"""Objects, and the resource version at which they were so."""

_SERVICE_ACCOUNT = re.compile(r"([a-z0-9][a-z0-9-]{0,62}):([a-z0-9][a-z0-9.-]{0,252})")


class Client:
    """One API server. Made by `connect`, ended by `close`; opening it sends nothing."""

    def __init__(self, wire: Wire, patience: Patience, manager: str = names.MANAGER) -> None:
        self._wire = wire
        self._patience = patience
        self._managed = {"fieldManager": manager}
        self._kinds = dict(KINDS)
        self._served: dict[str, frozenset[str]] = {}

    @classmethod
    async def connect(
        cls,
        settings: ClusterSettings,
        *,
        user_agent: str = "reconciler",
        manager: str = names.MANAGER,
        on_request: OnRequest | None = None,
        patience: Patience | None = None,
    ) -> "Client":
        """`manager` is the field manager of writes.

        Raises Unavailable or NotPermitted where the configuration cannot be used.
        """
        patience = patience or Patience()
        wire = Wire(await Access.load(settings), user_agent, settings.concurrency, patience)
        if on_request is not None:
            wire.on_request = on_request
        return cls(wire, patience, manager)

    def serves(self, kind: str, versions: Sequence[str]) -> None:
        """Versions of `kind` that discovery found: it is read in the first, and written in its own if served.

        Only for versions of one schema, as Kaito's are.
        """
        self._kinds[kind] = replace(self._kinds[kind], version=versions[0])
        self._served[kind] = frozenset(versions)

    def kind(self, name: str) -> Kind:
        """Raises InvalidSpec for a kind this program has no business with."""
        try:
            return self._kinds[name]
        except KeyError:
            raise InvalidSpec(f"the kind {name!r} is not one the reconciler works with") from None

    async def get(self, key: ObjectKey) -> Manifest | None:
        """None where the object, or its kind, does not exist."""
        try:
            return await self._object(_call("get", "GET", self.kind(key.kind), key))
        except NotFound:
            return None

    async def list(
        self,
        kind: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> Listing:
        def read() -> AsyncGenerator[Listing, None]:
            return self.pages(kind, namespace, labels=labels, fields=fields, metadata_only=metadata_only)

        try:
            return await _joined(read())
        except Gone:  # the list's own snapshot expired between two pages
            return await _joined(read())

    async def pages(
        self,
        kind: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> AsyncGenerator[Listing, None]:
        """A list page by page; raises Gone where reading took so long that the snapshot expired."""
        what = self.kind(kind)
        headers = _METADATA_ONLY if metadata_only else {}
        params = _given(labelSelector=labels, fieldSelector=fields, limit=str(PAGE))
        while True:
            call = Call("list", kind, _plural(what, namespace), "GET", what.path(namespace), params, headers)
            page = await self._object(call)
            metadata = page.get("metadata") or {}
            items = page.get("items") or []
            for item in items:  # lists leave out what all items share
                item["apiVersion"], item["kind"] = what.api_version, kind
            yield items, str(metadata.get("resourceVersion", ""))
            if not metadata.get("continue"):
                return
            params = {**params, "continue": metadata["continue"]}

    async def watch(
        self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "", resource_version: str
    ) -> AsyncGenerator[tuple[str, Manifest], None]:
        """Events of one connection: ADDED, MODIFIED, DELETED, BOOKMARK.

        Ends when the server ends it. Raises Gone where `resource_version` is too old.
        """
        what = self.kind(kind)
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(max(1, round(self._patience.watch))),
            **_given(labelSelector=labels, fieldSelector=fields),
        }
        call = Call("watch", kind, _plural(what, namespace), "GET", what.path(namespace), params)
        async with aclosing(self._wire.lines(call)) as lines:
            async for line in lines:
                event = _parsed(call, line)
                if event.get("type") == "ERROR":
                    raise failures.of_status(call, event.get("object") or {})
                yield event["type"], event["object"]

    async def create(self, manifest: Manifest) -> Manifest:
        """Raises Conflict where the name is taken."""
        key, kind, manifest = self._typed(manifest)
        call = replace(_call("create", "POST", kind, key), path=kind.path(key.namespace))
        return await self._object(
            replace(call, params=self._managed, headers=_JSON, body=orjson.dumps(manifest))
        )

    async def apply(self, manifest: Manifest, *, subresource: str = "", impersonate: str = "") -> Manifest:
        """Forced server-side apply as our field manager.

        `impersonate` is `namespace:name` of a service account.
        """
        key, kind, manifest = self._typed(manifest)
        call = _call("patch", "PATCH", kind, key, subresource)
        params = {**self._managed, "force": "true"}
        headers = {**_APPLY, **({"Impersonate-User": _user(impersonate)} if impersonate else {})}
        return await self._object(replace(call, params=params, headers=headers, body=orjson.dumps(manifest)))

    async def replace(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """Raises Conflict where the manifest's resourceVersion is not the live one."""
        key, kind, manifest = self._typed(manifest)
        call = _call("update", "PUT", kind, key, subresource)
        return await self._object(
            replace(call, params=self._managed, headers=_JSON, body=orjson.dumps(manifest))
        )

    async def merge_patch(
        self, key: ObjectKey, body: Mapping[str, Any], *, subresource: str = ""
    ) -> Manifest:
        call = _call("patch", "PATCH", self.kind(key.kind), key, subresource)
        return await self._object(
            replace(call, params=self._managed, headers=_MERGE, body=orjson.dumps(body))
        )

    async def delete(
        self,
        key: ObjectKey,
        *,
        uid: str = "",
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> bool:
        """False where it was gone already. Raises Conflict where another object has the name now."""
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        call = _call("delete", "DELETE", self.kind(key.kind), key)
        try:
            await self._wire.send(replace(call, headers=_JSON, body=orjson.dumps(options)))
        except NotFound:
            return False
        return True

    async def get_raw(self, path: str) -> Any:
        """JSON at a path of the server, such as `/version`. Raises NotFound."""
        return await self._object(Call("get", "", path, "GET", path))

    async def ask(self, path: str, body: Mapping[str, Any]) -> Manifest:
        """The answer to a question that makes no object, such as a review of access."""
        call = Call("create", "", path, "POST", path, headers=_JSON, body=orjson.dumps(body))
        return await self._object(call)

    async def clock_ahead(self) -> float | None:
        """Seconds by which the server's clock is before ours, by whole ones; None where it tells no time."""
        began = time.time()
        await self.get_raw("/version")
        if not self._wire.date:
            return None
        said = parsedate_to_datetime(self._wire.date).timestamp() + 0.5
        return said - (began + time.time()) / 2

    async def logs(self, namespace: str, pod: str, container: str = "") -> str:
        """The last 2,000 lines."""
        call = _call("get", "GET", self.kind("Pod"), ObjectKey("Pod", namespace, pod), "log")
        params = {"tailLines": "2000", **_given(container=container)}
        return (await self._wire.send(replace(call, params=params))).decode(errors="replace")

    async def close(self) -> None:
        await self._wire.close()

    def _typed(self, manifest: Manifest) -> tuple[ObjectKey, Kind, Manifest]:
        """Key, kind and manifest; the version is the manifest's own, where it has one that is served."""
        key = key_of(manifest)
        kind = self.kind(key.kind)
        version = str(manifest.get("apiVersion") or kind.api_version).rpartition("/")[2]
        if version not in self._served.get(key.kind, {version}):
            return key, kind, {**manifest, "apiVersion": kind.api_version}
        return key, replace(kind, version=version), manifest

    async def _object(self, call: Call) -> Manifest:
        return _parsed(call, await self._wire.send(call))


def _call(verb: str, method: str, kind: Kind, key: ObjectKey, subresource: str = "") -> Call:
    about = f"{key} ({subresource})" if subresource else str(key)
    return Call(verb, key.kind, about, method, kind.path(key.namespace, key.name, subresource))


async def _joined(pages: AsyncGenerator[Listing, None]) -> Listing:
    found: list[Manifest] = []
    version = ""
    async with aclosing(pages):
        async for items, at in pages:
            found += items
            version = at
    return found, version


def _parsed(call: Call, body: bytes) -> Manifest:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unavailable(f"{call}: the answer is no JSON; is this a Kubernetes API server?") from error
    if not isinstance(found, dict):
        raise Unavailable(f"{call}: the answer is no JSON object; is this a Kubernetes API server?")
    return found


def _given(**params: str) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


def _plural(kind: Kind, namespace: str) -> str:
    return f"{kind.resource} in {namespace}" if namespace else kind.resource


def _user(account: str) -> str:
    if not _SERVICE_ACCOUNT.fullmatch(account):
        raise InvalidSpec(f"{account!r} names no service account; write it as namespace:name")
    return "system:serviceaccount:" + account
