"""The name of the file that a link's content gets: the last part of its path, safe and unlike the others."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from urllib.parse import unquote

import httpx

UNNAMED = "data"
_MAX_BYTES = 200
"""File systems allow 255; partial files and numbers need some."""


def names(urls: Iterable[str]) -> dict[str, str]:
    """By URL. Of several that want one name the first gets it, the next `name-2.suffix`, and so on."""
    given: dict[str, str] = {}
    taken: set[str] = set()
    for url in dict.fromkeys(urls):
        wanted = name = of_url(httpx.URL(url))
        number = 1
        while name in taken:
            number += 1
            name = f"{_stem(wanted)}-{number}{PurePosixPath(wanted).suffix}"
        given[url] = name
        taken.add(name)
    return given


def of_url(url: httpx.URL) -> str:
    """Decoded after the path is split, so that an encoded slash parts nothing; no hidden files."""
    last = url.raw_path.partition(b"?")[0].rstrip(b"/").rpartition(b"/")[2].decode("ascii")
    name = re.sub(r"[^\w.+=@,() -]", "_", unquote(last, errors="replace")).strip(" ").lstrip(".")
    suffix = PurePosixPath(name).suffix[:20]
    return _cut(_stem(name), _MAX_BYTES - len(suffix.encode())) + suffix or UNNAMED


def _stem(name: str) -> str:
    return name.removesuffix(PurePosixPath(name).suffix)


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")
