"""`python -m tuner.download`: the init container that fetches `input.urls` into `input.path`.

Exit codes: 0 all files are there, 1 trying again may help (what came is kept), 2 it is useless. Started again
it goes on where it was stopped. RECONCILER_STAND_INS may name a table of URLs that are fetched in place of
others; those keep to the same rules. See `egress` for where data may come from.
"""

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.request import getproxies

import httpx
from artifacts import report
from artifacts.errors import RuntimeFailure
from pydantic import BaseModel, ValidationError

from . import egress, filenames
from .drafts import Draft
from .fetch import fetch
from .links import shown
from .pace import bytes_text
from .settings import Input, Settings

LOG = logging.getLogger(__name__)
STAND_INS = "RECONCILER_STAND_INS"
MAX_PORT = 65535


class StandIns(BaseModel):
    urls: dict[str, str] = {}


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    for library in ("httpx", "httpcore"):  # their lines hold whole URLs
        logging.getLogger(library).setLevel(logging.WARNING)
    return report.run(work)


def work() -> Mapping[str, object]:
    try:
        return download(read_settings().input, _stand_ins())
    except OSError as error:
        told = f"{error.filename or 'input.path'}: {error.strerror}"
        raise RuntimeFailure("DownloadFailed", told, "give the data a writable volume with room") from error


def download(wanted: Input, stand_ins: Mapping[str, str]) -> Mapping[str, object]:
    """How many files, of how many bytes together."""
    sources = {url: _parsed(n, url, stand_ins) for n, url in enumerate(wanted.urls)}
    names, folder, size = filenames.names(sources), Path(wanted.path), 0
    if sources and getproxies():
        LOG.info("proxies of the environment are not used")
    with egress.client(wanted.allow_hosts) as client:
        for url, source in sources.items():
            LOG.info("%s: from %s%s", names[url], shown(url), _instead(url, source))
            size += fetch(client, source, Draft(str(source), folder / names[url]), wanted.max_bytes - size)
    LOG.info("%d files, %s, in %s", len(sources), bytes_text(size), folder)
    return {"data": {"files": len(sources), "size": size}}


def _parsed(number: int, url: str, stand_ins: Mapping[str, str]) -> httpx.URL:
    """What is fetched for it; `url` itself must be well-formed too, since the file is named after it."""
    try:
        source, _ = httpx.URL(stand_ins.get(url, url)), httpx.URL(url)
        if (source.port or 0) > MAX_PORT:
            raise httpx.InvalidURL("port")
    except httpx.InvalidURL as error:
        told = f"input.urls[{number}] is no URL"
        raise RuntimeFailure("BadConfig", told, "write it as https://host/path/file.parquet") from error
    return source


def _instead(url: str, source: httpx.URL) -> str:
    return f" (stand-in: {shown(source)})" if source != httpx.URL(url) else ""


def read_settings() -> Settings:
    """Raises RuntimeFailure(BadConfig), which never shows a value."""
    try:
        return Settings.load()
    except ValidationError as error:
        raise _malformed("settings.json", error) from None
    except OSError as error:
        told = f"settings.json: {error.strerror}"
        raise RuntimeFailure("BadConfig", told, "name the file by RECONCILER_SETTINGS") from error


def _stand_ins() -> Mapping[str, str]:
    path = os.environ.get(STAND_INS, "")
    try:
        return StandIns.model_validate_json(Path(path).read_bytes()).urls if path else {}
    except ValidationError as error:
        raise _malformed(STAND_INS, error) from None
    except OSError as error:
        told = f"{STAND_INS}: {path}: {error.strerror}"
        raise RuntimeFailure("BadConfig", told, "name a table of stand-ins, or unset it") from error


def _malformed(what: str, error: ValidationError) -> RuntimeFailure:
    """Without the values: they hold secrets."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return RuntimeFailure("BadConfig", f"{what}: {where or 'content'}: {first['msg']}", "correct it")


if __name__ == "__main__":
    sys.exit(main())
