"""What a registry holds: blobs by digest, manifests and tags by repository, uploads under way."""

import hashlib
import re
import uuid
from dataclasses import dataclass, field

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Refused(Exception):
    """A request that cannot be answered as asked; `code` is the distribution specification's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class StoredManifest:
    media_type: str
    body: bytes
    digest: str


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(slots=True)
class Content:
    """Blobs are shared by all repositories; nothing is ever deleted."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], StoredManifest] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)

    def blob(self, digest: str) -> bytes:
        if digest not in self.blobs:
            raise Refused(404, "BLOB_UNKNOWN", f"there is no blob {digest}")
        return self.blobs[digest]

    def begin(self) -> str:
        upload = uuid.uuid4().hex
        self.uploads[upload] = bytearray()
        return upload

    def upload(self, upload: str) -> bytearray:
        if upload not in self.uploads:
            raise Refused(404, "BLOB_UPLOAD_UNKNOWN", f"there is no upload {upload}")
        return self.uploads[upload]

    def finish(self, upload: str, digest: str) -> None:
        content = bytes(self.upload(upload))
        self.store_blob(content, digest)
        del self.uploads[upload]

    def store_blob(self, content: bytes, digest: str) -> None:
        if digest_of(content) != digest:
            raise Refused(
                400, "DIGEST_INVALID", f"the content's digest is {digest_of(content)}, not {digest}"
            )
        self.blobs[digest] = content

    def manifest(self, repository: str, reference: str) -> StoredManifest:
        digest = self.tags.get(repository, {}).get(reference, reference)
        found = self.manifests.get((repository, digest))
        if found is None:
            raise Refused(404, "MANIFEST_UNKNOWN", f"there is no {repository}:{reference}")
        return found

    def store_manifest(self, repository: str, reference: str, media_type: str, body: bytes) -> StoredManifest:
        stored = StoredManifest(media_type, body, digest_of(body))
        tags = self.tags.setdefault(repository, {})
        if not DIGEST.fullmatch(reference):
            tags[reference] = stored.digest
        elif reference != stored.digest:
            raise Refused(400, "DIGEST_INVALID", f"the manifest's digest is {stored.digest}, not {reference}")
        self.manifests[repository, stored.digest] = stored
        return stored

    def tag_names(self, repository: str) -> list[str]:
        if repository not in self.tags:
            raise Refused(404, "NAME_UNKNOWN", f"there is no repository {repository}")
        return sorted(self.tags[repository])
