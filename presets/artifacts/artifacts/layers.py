"""Layers of strangers applied to a folder: only files and folders below one path, nothing anywhere else.

What lies outside that path is passed over, whatever it is. In it, links and devices are refused. Names that
leave the image are refused everywhere. Whiteouts are those of the OCI image specification. Nothing of an
archive's owners and modes is kept.
"""

import gzip
import hashlib
import io
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from .errors import ArtifactError

Parts = tuple[str, ...]

MAX_ENTRIES = 100_000
MAX_RATIO = 200
"""Of unpacked to packed bytes, beyond a first mebibyte; text shrinks to a tenth, zeros to a thousandth."""
_MAX_DEPTH = 64
_MAX_NAME_BYTES = 255
_MAX_HEADER_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_LONG_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


@dataclass
class Budget:
    """What may still be unpacked, over all layers of an image."""

    max_bytes: int
    entries: int = MAX_ENTRIES

    def take_entry(self) -> None:
        self.entries -= 1
        if self.entries < 0:
            raise unsafe(f"more than {MAX_ENTRIES} entries")


@dataclass
class _Unpacked:
    """A layer's bytes as they are unpacked: counted, bounded and hashed."""

    source: io.BufferedIOBase
    limit: int
    count: int = 0
    hashed: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def read(self, size: int) -> bytes:
        try:
            piece = self.source.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise _corrupt(f"a layer does not unpack: {error}") from None
        self.count += len(piece)
        if self.count > self.limit:
            raise unsafe(f"a layer unpacks to more than {self.limit} bytes")
        self.hashed.update(piece)
        return piece

    def drain(self) -> str:
        """The digest of everything, also of what follows the archive's end."""
        while self.read(_PIECE_BYTES):
            pass
        return "sha256:" + self.hashed.hexdigest()


class _BoundedInfo(tarfile.TarInfo):
    """tarfile reads extended headers into memory, as long as they claim to be."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        if info.type in _LONG_HEADERS and info.size > _MAX_HEADER_BYTES:
            raise unsafe(f"an extended header of {info.size} bytes")
        return info


def apply_layer(layer: Path, root: Path, under: Parts, budget: Budget) -> str:
    """The layer's part below `under` laid over `root`; returns the unpacked layer's digest.

    Whiteouts remove what lower layers left, never what this layer brings, in whatever order it comes.
    """
    fresh = root.with_name("layer")
    fresh.mkdir()
    with _open(layer) as source:
        limit = min(budget.max_bytes, (1 << 20) + MAX_RATIO * layer.stat().st_size)
        unpacked = _Unpacked(source, limit)
        try:
            removed = list(_extract(unpacked, fresh, under, budget))
        except tarfile.TarError as error:
            raise _corrupt(f"a layer is no tar archive: {error}") from None
        digest = unpacked.drain()
    budget.max_bytes -= unpacked.count
    for parts in removed:
        _remove(root, parts)
    _merge(fresh, root)
    fresh.rmdir()
    return digest


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def safe_parts(name: str) -> Parts:
    """A name's components, if it stays inside the image."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise unsafe(f"the name {_shown(name)} leads out of the image")
    longest = max((len(part.encode(errors="surrogateescape")) for part in parts), default=0)
    if len(parts) > _MAX_DEPTH or longest > _MAX_NAME_BYTES:
        raise unsafe(f"the name {_shown(name)} is too long or too deep")
    return parts


def unsafe(told: str) -> ArtifactError:
    remedy = "build the image anew, with plain files and folders only, or name another one"
    return ArtifactError("ArtifactUnsafe", told, remedy)


def _open(layer: Path) -> io.BufferedIOBase:
    """By content: media types are wrong too often."""
    with layer.open("rb") as file:
        packed = file.read(2) == _GZIP_MAGIC
    return gzip.open(layer) if packed else layer.open("rb")


def _extract(unpacked: _Unpacked, fresh: Path, under: Parts, budget: Budget) -> Iterator[Parts]:
    """Writes files and folders to `fresh` and gives the whiteouts; an opaque one ends in an empty name."""
    with tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_BoundedInfo) as tar:  # type: ignore[call-overload]
        for member in tar:
            budget.take_entry()
            parts = safe_parts(member.name)
            whiteout = _whiteout(parts)
            if whiteout is not None:
                yield from [whiteout] if _concerns(whiteout, under) else []
            elif parts and _concerns(parts, under):
                inside = len(parts) > len(under)
                _write(tar, member, fresh.joinpath(*parts), inside)


def _whiteout(parts: Parts) -> Parts | None:
    """What it removes; a name it forms with `..` would be no whiteout but an escape."""
    if not parts or not parts[-1].startswith(_WHITEOUT):
        return None
    *folder, name = parts
    if name == _OPAQUE:
        return (*folder, "")
    return (*folder, *safe_parts(name.removeprefix(_WHITEOUT)))


def _concerns(parts: Parts, under: Parts) -> bool:
    """Whether it is `under`, in it or above it."""
    named = tuple(filter(None, parts))
    return all(one == other for one, other in zip(named, under, strict=False))


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, inside: bool) -> None:
    try:
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.isreg() and not member.issparse() and inside:
            path.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            with path.open("wb") as file:
                shutil.copyfileobj(source, file, _PIECE_BYTES)  # type: ignore[arg-type]
        else:
            raise unsafe(f"{_shown(member.name)} is neither a plain file nor a folder")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise unsafe(f"{_shown(member.name)} is both a file and a folder") from None


def _remove(root: Path, parts: Parts) -> None:
    path = root.joinpath(*parts)
    if parts[-1]:
        if path.exists():
            remove(path)
    elif path.is_dir():
        for child in path.iterdir():
            remove(child)


def _merge(fresh: Path, root: Path) -> None:
    """Folders are joined, everything else is replaced; nothing in either is a link."""
    for source in fresh.iterdir():
        target = root / source.name
        if source.is_dir() and target.is_dir():
            _merge(source, target)
            source.rmdir()
        else:
            remove(target)
            source.rename(target)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 200 else name[:200] + "…")


def _corrupt(told: str) -> ArtifactError:
    return ArtifactError("ArtifactCorrupt", told, "push the image again")
