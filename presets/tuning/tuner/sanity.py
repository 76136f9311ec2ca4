"""Whether a fetched file can be what its name says: an error page saved as parquet is found here."""

from pathlib import Path

from artifacts.errors import RuntimeFailure

_HEAD_BYTES = 4096
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<error", b"<head")
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_ARROW_FILE, _ARROW_STREAM = b"ARROW1", b"\xff\xff\xff\xff"
_REMEDY = "open the link in a browser to see what it serves, then correct it in tuning.input.urls"


def check(path: Path, name: str, source: str) -> None:
    """`path` was fetched from `source` and is to be called `name`. Raises BadData."""
    told = _wrong(path, Path(name).suffix.lower())
    if told:
        raise RuntimeFailure("BadData", f"{source} served {told}", _REMEDY)


def _wrong(path: Path, suffix: str) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(max(0, path.stat().st_size - len(_PARQUET)))
        tail = file.read()
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head:
        return "an empty file"
    if text[:16].lower().startswith(_PAGES):
        return f"a web page or an error text, not data: {_quoted(text)}"
    if suffix in _RULES and head.startswith(_GZIP):
        return f"gzip-compressed data under the name *{suffix}"
    return _RULES[suffix](head, text, tail) if suffix in _RULES else ""


def _parquet(head: bytes, _text: bytes, tail: bytes) -> str:
    if not head.startswith(_PARQUET):
        return f"no parquet file: it begins with {_quoted(head)}, not PAR1"
    if tail != _PARQUET or len(head) < 12:
        return "a parquet file that is cut off: its end is not PAR1"
    return ""


def _arrow(head: bytes, _text: bytes, _tail: bytes) -> str:
    if head.startswith((_ARROW_FILE, _ARROW_STREAM)):
        return ""
    return f"no arrow file: it begins with {_quoted(head)}"


def _json(_head: bytes, text: bytes, _tail: bytes) -> str:
    return "" if text.startswith((b"{", b"[")) else f"no JSON rows: it begins with {_quoted(text)}"


def _json_lines(_head: bytes, text: bytes, _tail: bytes) -> str:
    return "" if text.startswith(b"{") else f"no JSON lines: it begins with {_quoted(text)}"


def _csv(head: bytes, _text: bytes, _tail: bytes) -> str:
    return "no CSV in UTF-8: there are zero bytes in it" if b"\0" in head else ""


def _quoted(content: bytes) -> str:
    return repr(content[:40].decode("utf-8", "replace"))


_RULES = {
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".json": _json,
    ".jsonl": _json_lines,
    ".csv": _csv,
}
