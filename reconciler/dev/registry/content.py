"""What a registry holds, as files: for each repository its blobs, manifests, tags and uploads under way.

Files appear whole, by rename. A blob mounted into a second repository is a hard link, so content goes with
its last name. A tag's file holds a digest.
"""

import asyncio
import hashlib
import json
import os
import re
import uuid
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

BLOBS, MANIFESTS, TAGS, UPLOADS = "blobs", "manifests", "tags", "blobs/uploads"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"(?=.{{1,255}}$){_COMPONENT}(?:/{_COMPONENT})*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PARTS = {
    BLOBS: (_DIGEST, "DIGEST_INVALID", "BLOB_UNKNOWN"),
    MANIFESTS: (_DIGEST, "DIGEST_INVALID", "MANIFEST_UNKNOWN"),
    TAGS: (re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"), "TAG_INVALID", "MANIFEST_UNKNOWN"),
    UPLOADS: (re.compile(r"[0-9a-f-]{36}"), "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN"),
}


class Refused(Exception):
    """A request that cannot be answered as asked; `code` is the distribution specification's."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers or {}


class Content:
    """Everything in `root`. A blob of more than `max_bytes` is refused as it comes."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root, self._max = root, max_bytes

    def path(self, name: str, part: str, leaf: str) -> Path:
        """No component of a repository's name begins with `_`, as the folders of its parts do."""
        pattern, invalid, _ = _PARTS[part]
        if not _NAME.fullmatch(name):
            raise Refused(400, "NAME_INVALID", f"{name!r} is no repository: lower case, digits, ._-/ between")
        if not pattern.fullmatch(leaf):
            raise Refused(400, invalid, f"{leaf!r} does not match {pattern.pattern}")
        return self._root / name / f"_{part}" / leaf

    def find(self, name: str, part: str, leaf: str) -> Path:
        """Its file. Manifests are found by tag as well."""
        if part == MANIFESTS and ":" not in leaf:
            leaf = self.find(name, TAGS, leaf).read_text()
        path = self.path(name, part, leaf)
        if not path.exists():
            raise Refused(404, _PARTS[part][2], f"{name} has no {leaf}")
        return path

    def delete(self, name: str, part: str, leaf: str) -> None:
        """A tag goes alone, a manifest with its tags."""
        by_tag = part == MANIFESTS and ":" not in leaf
        self.find(name, TAGS if by_tag else part, leaf).unlink()
        for tag in self.tags(name) if part == MANIFESTS else []:
            path = self.path(name, TAGS, tag)
            if path.read_text() == leaf:
                path.unlink()

    def begin(self, name: str) -> Path:
        upload = self.path(name, UPLOADS, str(uuid.uuid4()))
        _write(upload, b"")
        return upload

    async def append(self, upload: Path, chunks: AsyncIterable[bytes], content_range: str | None) -> None:
        """What came before a connection broke is kept: a client goes on from there."""
        size = upload.stat().st_size
        if content_range is not None and content_range.partition("-")[0] != str(size):
            raise Refused(416, "RANGE_INVALID", f"the next byte is {size}; got {content_range}")
        with upload.open("ab") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > self._max:
                    raise Refused(413, "SIZE_INVALID", f"a blob may have {self._max} bytes at most")
                file.write(chunk)

    async def finish(self, upload: Path, name: str, digest: str) -> None:
        blob = self.path(name, BLOBS, digest)
        with upload.open("rb") as file:
            hashed = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
        if f"sha256:{hashed.hexdigest()}" != digest:
            upload.unlink()
            raise Refused(400, "DIGEST_INVALID", f"the content is sha256:{hashed.hexdigest()}, not {digest}")
        upload.replace(blob)

    def mount(self, source: str, digest: str, name: str) -> bool:
        """Whether `source` has the blob, which `name` then has as well."""
        blob, target = self.path(source, BLOBS, digest), self.path(name, BLOBS, digest)
        if blob.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(blob, target)
        return blob.exists()

    def put_manifest(self, name: str, reference: str, body: bytes, sent_as: str) -> str:
        """Its digest."""
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        tag = None if ":" in reference else self.path(name, TAGS, reference)
        if tag is None and reference != digest:
            raise Refused(400, "DIGEST_INVALID", f"the manifest is {digest}, not {reference}")
        self._require_parts(name, body, sent_as)
        _write(self.path(name, MANIFESTS, digest), body)
        if tag:
            _write(tag, digest.encode())
        return digest

    def _require_parts(self, name: str, body: bytes, sent_as: str) -> None:
        try:
            said = json.loads(body)
            layers = [*said.get("layers", []), *filter(None, [said.get("config")])]
            paths = [self.path(name, BLOBS, part["digest"]) for part in layers]
            paths += [self.path(name, MANIFESTS, part["digest"]) for part in said.get("manifests", [])]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(400, "MANIFEST_INVALID", f"not a manifest: {error!r}") from error
        if said.get("schemaVersion") != 2 or media_type(said) != sent_as:
            raise Refused(400, "MANIFEST_INVALID", f"not a {sent_as} with schemaVersion 2")
        if missing := [path.name for path in paths if not path.exists()]:
            raise Refused(400, "MANIFEST_BLOB_UNKNOWN", f"push first: {', '.join(missing)}")

    def tags(self, name: str) -> list[str]:
        tags = self.path(name, TAGS, "any").parent
        if not tags.with_name(f"_{MANIFESTS}").exists():
            raise Refused(404, "NAME_UNKNOWN", f"there is no repository {name}")
        return sorted(tag.name for tag in tags.glob("[!.]*"))

    def repositories(self) -> list[str]:
        found = self._root.glob(f"**/_{MANIFESTS}")
        return sorted(str(path.parent.relative_to(self._root)) for path in found)


def media_type(manifest: dict[str, Any]) -> str:
    kind = "index" if "manifests" in manifest else "manifest"
    return str(manifest.get("mediaType") or f"application/vnd.oci.image.{kind}.v1+json")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid.uuid4()}")
    draft.write_bytes(content)
    draft.replace(path)
