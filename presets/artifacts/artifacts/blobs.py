"""Blobs on their way: uploads and downloads that go on where a connection broke, verified on both sides."""

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import httpx

from .documents import Descriptor
from .errors import ArtifactError
from .refusals import unavailable
from .registry import ATTEMPTS, Registry, pause

CHUNK_BYTES = 64 << 20
"""For one PATCH, so that a registry that forgets a broken one forgets no more."""
_PIECE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Blob:
    """Something to be pushed."""

    digest: str
    size: int
    open: Callable[[], BinaryIO]

    @classmethod
    def of_bytes(cls, content: bytes) -> Self:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        return cls(digest, len(content), lambda: io.BytesIO(content))

    @classmethod
    def of_file(cls, path: Path) -> Self:
        with path.open("rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        return cls(digest, path.stat().st_size, lambda: path.open("rb"))

    def read(self, start: int, end: int) -> Iterator[bytes]:
        with self.open() as file:
            file.seek(start)
            while start < end and (piece := file.read(min(_PIECE_BYTES, end - start))):
                start += len(piece)
                yield piece


def upload(registry: Registry, blob: Blob) -> None:
    """Nothing where the registry has it; what it kept of a broken upload is not sent again."""
    if is_stored(registry, blob):
        return
    location, sent, failures = begin(registry), 0, 0
    while sent < blob.size:
        try:
            location, sent = _append(registry, location, blob, sent)
            failures = 0
        except ArtifactError as failure:
            failures += 1
            if not failure.retry or failures == ATTEMPTS:
                raise
            pause(failures, failure)
            location, sent = _progress(registry, location)
    _finish(registry, location, blob)


def is_stored(registry: Registry, blob: Blob) -> bool:
    """With the size that it has here."""
    try:
        response = registry.request("HEAD", f"blobs/{blob.digest}")
    except ArtifactError as failure:
        if failure.error_class == "RegistryNotFound":
            return False
        raise
    size = response.headers.get("content-length", str(blob.size))
    if size != str(blob.size):
        told = f"{registry.reference}: {blob.digest} has {size} bytes there, {blob.size} here"
        raise ArtifactError("ArtifactCorrupt", told, "delete the blob in the registry, then push again")
    return True


def download(registry: Registry, descriptor: Descriptor, path: Path) -> None:
    """Size and digest are verified as the bytes come; what came before a connection broke is kept."""
    done, failures, hashed = 0, 0, hashlib.sha256()
    with path.open("wb") as file:
        while done < descriptor.size:
            before = done
            try:
                for piece in _pieces(registry, descriptor, done):
                    done += len(piece)
                    _require(done <= descriptor.size, registry, descriptor, "has more bytes than it should")
                    hashed.update(piece)
                    file.write(piece)
                _require(done == descriptor.size, registry, descriptor, f"ends after {done} bytes")
            except ArtifactError as failure:
                failures = failures + 1 if done == before else 1
                if not failure.retry or failures == ATTEMPTS:
                    raise
                pause(failures, failure)
    found = f"sha256:{hashed.hexdigest()}"
    _require(found == descriptor.digest, registry, descriptor, f"has the content of {found}")


def begin(registry: Registry) -> str:
    """Where a new upload goes."""
    return _location(registry.request("POST", "blobs/uploads/"))


def _append(registry: Registry, location: str, blob: Blob, start: int) -> tuple[str, int]:
    """Where to go on, and from which byte."""
    end = min(start + CHUNK_BYTES, blob.size)
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(end - start),
        "Content-Range": f"{start}-{end - 1}",
    }
    response = registry.send("PATCH", location, headers, lambda: blob.read(start, end))
    return _location(response), _kept(response, end)


def _progress(registry: Registry, location: str) -> tuple[str, int]:
    """What the registry kept; an upload it has nothing of (`0-0` may mean that) is begun anew."""
    try:
        response = registry.request("GET", location)
        if kept := _kept(response, 0):
            return _location(response, location), kept
    except ArtifactError as failure:
        if failure.error_class != "RegistryNotFound":
            raise
    return begin(registry), 0


def _finish(registry: Registry, location: str, blob: Blob) -> None:
    """The answer may have been lost, so a missing upload is no failure where the blob is there."""
    url = httpx.URL(location).copy_add_param("digest", blob.digest)
    try:
        registry.request("PUT", str(url), {"Content-Type": "application/octet-stream"})
    except ArtifactError as failure:
        if failure.error_class != "RegistryNotFound" or not is_stored(registry, blob):
            raise
    if not is_stored(registry, blob):
        told = f"{registry.reference}: {blob.digest} was taken, but is not there"
        raise ArtifactError("ArtifactCorrupt", told, "push the image again", retry=True)


def _location(response: httpx.Response, default: str = "") -> str:
    given = response.headers.get("location", default)
    return str(response.request.url.join(given))


def _kept(response: httpx.Response, default: int) -> int:
    """Bytes, from a `Range` such as `0-1023`."""
    last = response.headers.get("range", "").rpartition("-")[2]
    if not last.isdecimal():
        return default
    return int(last) + 1 if last != "0" else 0


def _pieces(registry: Registry, descriptor: Descriptor, start: int) -> Iterator[bytes]:
    """From byte `start` on, also where the registry knows no ranges and sends everything again."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    response = registry.stream("GET", f"blobs/{descriptor.digest}", headers)
    skip = start if response.status_code == 200 else 0
    try:
        for piece in response.iter_raw():
            yield piece[skip:]
            skip -= min(skip, len(piece))
    except httpx.TransportError as error:
        raise unavailable(str(registry.reference), error) from error
    finally:
        response.close()


def _require(holds: bool, registry: Registry, descriptor: Descriptor, told: str) -> None:
    if not holds:
        message = f"{registry.reference}: {descriptor.digest} of {descriptor.size} bytes {told}"
        remedy = "push the image again: what the registry holds is damaged"
        raise ArtifactError("ArtifactCorrupt", message, remedy)
