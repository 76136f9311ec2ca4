"""One URL into one file: attempts with growing pauses, going on where a connection broke, within a size."""

import logging
import re
import time
from contextlib import closing

import httpx
from artifacts.errors import RuntimeFailure

from . import refusals, sanity
from .drafts import Draft
from .links import shown
from .pace import Pace, bytes_text

LOG = logging.getLogger(__name__)
ATTEMPTS = 6
FIRST_WAIT_S, MAX_WAIT_S = 1.0, 60.0
MAX_REDIRECTS = 10
ENOUGH_BYTES = 1 << 20
"""An attempt that brought so many counts as no failure: a bad line still ends a large file."""
_LENGTH = re.compile(r"\d{1,19}")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)")


def fetch(client: httpx.Client, url: httpx.URL, draft: Draft, limit: int) -> int:
    """The file's size; `limit` is the most it may have. What an earlier run fetched is not fetched again."""
    name = draft.final.name
    if draft.is_finished:
        _require_room(draft.state.size, limit, url)
        LOG.info("%s: %s, fetched before", name, bytes_text(draft.state.size))
        return draft.state.size
    try:
        if not draft.is_whole:
            _insist(client, url, draft, limit)
        sanity.check(draft.part, name, shown(url))
    except RuntimeFailure as failure:
        if failure.error_class != "DownloadFailed":
            draft.discard()
        raise
    draft.finish()
    LOG.info("%s: %s, complete", name, bytes_text(draft.state.size))
    return draft.state.size


def _insist(client: httpx.Client, url: httpx.URL, draft: Draft, limit: int) -> None:
    failures = 0
    while True:
        before = draft.size
        try:
            return _attempt(client, url, draft, limit)
        except refusals.DownloadError as failure:
            failures = 1 if draft.size - before >= ENOUGH_BYTES else failures + 1
            if not failure.retry or failures == ATTEMPTS:
                raise
            wait = min(MAX_WAIT_S, max(FIRST_WAIT_S * 2 ** (failures - 1), failure.retry_after))
            LOG.warning("%s; attempt %d of %d in %.0f s", failure.message, failures + 1, ATTEMPTS, wait)
            time.sleep(wait)


def _attempt(client: httpx.Client, url: httpx.URL, draft: Draft, limit: int) -> None:
    try:
        with closing(_answer(client, client.build_request("GET", url, headers=_headers(draft)))) as response:
            if _is_complete(response, draft):
                return
            _require_plain(response, url)
            total = _prepare(response, url, draft)
            _require_room(total or 0, limit, url)
            _receive(response, draft, total, limit, url)
    except (httpx.TransportError, httpx.TooManyRedirects) as error:
        raise refusals.broken(error, url, draft.size) from error
    if total is not None and draft.size != total:
        raise refusals.incomplete(url, f"sent {draft.size} of {total} bytes")


def _answer(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    """Redirects are followed here, since httpx would read their bodies whole, however large they are."""
    for _ in range(MAX_REDIRECTS + 1):
        response = client.send(request, stream=True)
        if response.next_request is None:
            return response
        response.close()
        request = response.next_request
    raise httpx.TooManyRedirects("", request=request)


def _headers(draft: Draft) -> dict[str, str]:
    """Bytes as they are stored, so that they can be counted; the rest only of the version that was begun."""
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "reconciler-downloader"}
    if draft.size and draft.state.validator:
        headers |= {"Range": f"bytes={draft.size}-", "If-Range": draft.state.validator}
    return headers


def _is_complete(response: httpx.Response, draft: Draft) -> bool:
    """A range after the last byte: all bytes came in an earlier run."""
    told = response.headers.get("content-range", "")
    return response.status_code == 416 and draft.size > 0 and told == f"bytes */{draft.size}"


def _prepare(response: httpx.Response, url: httpx.URL, draft: Draft) -> int | None:
    """The whole file's size, if told; the draft is begun anew unless the answer goes on with it."""
    if response.status_code == 200:
        draft.begin(_validator(response))
        length = response.headers.get("content-length", "")
        return int(length) if _LENGTH.fullmatch(length) else None
    if response.status_code not in (206, 416):
        raise refusals.answered(response, url)
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    same = _validator(response) in ("", draft.state.validator)
    if response.status_code == 416 or not found or int(found[1]) != draft.size or not same:
        draft.discard()
        raise refusals.incomplete(url, "sent another part than was asked for")
    return None if found[2] == "*" else int(found[2])


def _receive(response: httpx.Response, draft: Draft, total: int | None, limit: int, url: httpx.URL) -> None:
    done = draft.size
    pace = Pace(draft.final.name, done, total)
    with draft.part.open("ab") as file:
        for piece in response.iter_raw():
            done += len(piece)
            _require_room(done, limit, url)
            file.write(piece)
            pace.update(done)


def _validator(response: httpx.Response) -> str:
    """What names this very content: a strong ETag, else the time of its last change."""
    etag: str = response.headers.get("etag", "")
    changed: str = response.headers.get("last-modified", "")
    return etag if etag and not etag.startswith("W/") else changed


def _require_plain(response: httpx.Response, url: httpx.URL) -> None:
    encoding = response.headers.get("content-encoding", "identity")
    if response.is_success and encoding != "identity":
        told = f"{shown(url)} comes compressed ({encoding[:20]}), which was not asked for"
        raise RuntimeFailure("BadData", told, "have it stored and served without Content-Encoding")


def _require_room(size: int, limit: int, url: httpx.URL) -> None:
    if size > limit:
        told = f"{shown(url)} has more than the {bytes_text(limit)} that are left of input.maxBytes"
        raise RuntimeFailure("DownloadRefused", told, "tune on less data, or raise input.maxBytes")
