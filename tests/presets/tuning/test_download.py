"""URLs into files: what is kept, what is resumed, what is refused, and in which words."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from artifacts import RuntimeFailure
from tuner import fetch, pace
from tuner.download import download
from tuner.settings import Input

from .data_server import PARQUET, DataServer, Resource

ROOM = 10 << 20


@pytest.fixture
def server():
    with DataServer().serving() as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(fetch, "FIRST_WAIT_S", 0.001)


@pytest.fixture
def get(server, tmp_path):
    """Files by name, after the URLs were fetched into a folder."""
    folder = tmp_path / "data"

    def get(*urls, stand_ins=(), max_bytes=ROOM):
        wanted = Input(urls=urls, path=str(folder), max_bytes=max_bytes, allow_hosts=(server.host,))
        told = download(wanted, dict(stand_ins))
        files = {path.name: path.read_bytes() for path in folder.glob("[!.]*")}
        assert told["data"] == {"files": len(set(urls)), "size": sum(map(len, files.values()))}
        return files

    get.folder = folder
    return get


def refused(get, *urls, **options):
    with pytest.raises(RuntimeFailure) as caught:
        get(*urls, **options)
    return caught.value


def test_files_are_named_after_the_urls(get, server):
    one, two = server.put("/a/train.parquet"), server.put("/b/train.parquet", PARQUET + PARQUET)
    rows = server.put("/rows.jsonl", b'{"text": "a"}\n')
    assert get(f"{one}?sig=1", f"{two}?sig=2", rows) == {
        "train.parquet": PARQUET,
        "train-2.parquet": PARQUET + PARQUET,
        "rows.jsonl": b'{"text": "a"}\n',
    }


def test_nothing_to_do(tmp_path):
    assert download(Input(path=str(tmp_path / "absent")), {}) == {"data": {"files": 0, "size": 0}}


def test_the_same_url_twice_is_fetched_once(get, server):
    url = server.put("/train.parquet")
    assert list(get(url, url)) == ["train.parquet"]
    assert len(server.requests) == 1


def test_finished_files_are_not_fetched_again(get, server, caplog):
    urls = [server.put("/a.parquet"), server.put("/b.parquet")]
    first = get(*urls)
    assert get(*urls) == first
    assert len(server.requests) == 2
    assert "a.parquet: 500.0 KiB, fetched before" in caplog.text


def test_another_url_of_the_same_name_is_fetched(get, server):
    get(server.put("/one/train.parquet"))
    other = PARQUET.replace(b"\x07", b"\x08")
    assert get(server.put("/two/train.parquet", other)) == {"train.parquet": other}


def test_a_file_that_was_changed_is_fetched_again(get, server):
    url = server.put("/train.parquet")
    get(url)
    (get.folder / "train.parquet").write_bytes(b"PAR1 damaged PAR1")
    assert get(url) == {"train.parquet": PARQUET}


def test_a_broken_connection_is_resumed_where_it_broke(get, server):
    url = server.put("/train.parquet", drops=[100_000, 200_000])
    assert get(url) == {"train.parquet": PARQUET}
    assert server.ranges() == ["", "bytes=100000-", "bytes=300000-"]
    assert sum(server.sent()) == len(PARQUET)


def test_a_stopped_download_goes_on_after_a_restart(get, server):
    url = server.put("/train.parquet", drops=[100_000, *[0] * 5])
    assert refused(get, url).retry
    assert not list(get.folder.glob("[!.]*"))
    assert get(url) == {"train.parquet": PARQUET}
    assert sum(server.sent()) == len(PARQUET)


def test_all_bytes_that_came_before_a_restart_are_taken(get, server):
    url = server.put("/rows.csv", b"a,b\n" * 1000, declared=False, drops=[4000, *[0] * 5])
    server.resources["/rows.csv"].headers["Transfer-Encoding"] = "chunked"
    assert refused(get, url).error_class == "DownloadFailed"
    del server.resources["/rows.csv"].headers["Transfer-Encoding"]
    assert len(get(url)["rows.csv"]) == 4000


def test_a_file_that_changed_meanwhile_starts_anew(get, server):
    other = PARQUET.replace(b"\x07", b"\x08")
    first = Resource(PARQUET, etag='"v1"', drops=[100_000])
    url = server.put("/train.parquet", other, etag='"v2"', answers=[first])
    assert get(url) == {"train.parquet": other}
    assert server.requests[1].headers["If-Range"] == '"v1"'
    assert server.sent() == [100_000, len(other)]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_what_cannot_be_told_apart_starts_anew(get, server, etag):
    url = server.put("/train.parquet", etag=etag, drops=[100_000])
    assert get(url) == {"train.parquet": PARQUET}
    assert server.ranges() == ["", ""]


def test_a_server_that_ignores_the_range_starts_anew(get, server):
    first = Resource(PARQUET, drops=[100_000])
    wrong = Resource(PARQUET[5:], status=206, headers={"Content-Range": "bytes 5-9/10"})
    url = server.put("/train.parquet", answers=[first, wrong])
    assert get(url) == {"train.parquet": PARQUET}
    assert server.ranges() == ["", "bytes=100000-", ""]


def test_a_large_file_ends_over_a_bad_line(get, server, monkeypatch):
    monkeypatch.setattr(fetch, "ENOUGH_BYTES", 10_000)
    url = server.put("/train.parquet", drops=[20_000] * 20)
    assert get(url) == {"train.parquet": PARQUET}
    assert sum(server.sent()) == len(PARQUET)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_answer_for_now_is_tried_again(get, server, status):
    url = server.put("/train.parquet", answers=[Resource(b"", status=status)] * 2)
    assert get(url) == {"train.parquet": PARQUET}


def test_a_server_may_ask_to_wait(get, server, monkeypatch, caplog):
    monkeypatch.setattr(fetch, "MAX_WAIT_S", 0.01)
    url = server.put("/t.parquet", answers=[Resource(b"", status=503, headers={"Retry-After": "9999"})])
    get(url)
    assert "answered 503 Service Unavailable; attempt 2 of 6 in 0 s" in caplog.text


def test_tries_end(get, server):
    failure = refused(get, server.put("/t.parquet", b"", status=503))
    assert (failure.error_class, failure.retry) == ("DownloadFailed", True)
    assert len(server.requests) == fetch.ATTEMPTS


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 501])
def test_an_answer_for_good_is_final(get, server, status):
    failure = refused(get, server.put("/t.parquet", b"no", status=status))
    assert (failure.error_class, failure.retry) == ("DownloadFailed", False)
    assert f"/t.parquet answered {status}" in failure.message
    assert len(server.requests) == 1


def past(**ago):
    return datetime.now(UTC) - timedelta(**ago)


@pytest.mark.parametrize(
    ("query", "expired"),
    [
        (f"se={past(days=1):%Y-%m-%dT%H:%M:%SZ}&sig=s", True),
        (f"se={past(days=1):%Y-%m-%d}&sig=s", True),
        (f"se={past(days=-1):%Y-%m-%dT%H:%M:%SZ}&sig=s", False),
        (f"X-Amz-Date={past(hours=2):%Y%m%dT%H%M%SZ}&X-Amz-Expires=3600", True),
        (f"X-Amz-Date={past(hours=2):%Y%m%dT%H%M%SZ}&X-Amz-Expires=36000", False),
        (f"X-Goog-Date={past(hours=2):%Y%m%dT%H%M%SZ}&X-Goog-Expires=60", True),
        (f"Expires={past(hours=2).timestamp():.0f}", True),
        ("Expires=soon&se=", False),
        ("X-Amz-Date=20260101T000000Z", False),
    ],
    ids=range(9),
)
def test_an_expired_signature_is_told(get, server, query, expired):
    failure = refused(get, server.put("/t.parquet", b"", status=403) + "?" + query)
    assert ("the link's signature expired at" in failure.message) is expired
    assert "sign a fresh link" in failure.remedy


def test_no_server(get, server):
    with DataServer().serving() as gone:
        url, host = gone.url("/t.parquet"), gone.host
    with pytest.raises(RuntimeFailure) as caught:
        download(Input(urls=(url,), path=str(get.folder), allow_hosts=(host,)), {})
    assert (caught.value.error_class, caught.value.retry) == ("DownloadFailed", True)
    assert "Connection refused" in caught.value.message


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_beyond_the_limit_is_refused(get, server, declared):
    failure = refused(get, server.put("/t.parquet", declared=declared), max_bytes=100_000)
    assert (failure.error_class, failure.retry) == ("DownloadRefused", False)
    assert "more than the 97.7 KiB that are left of input.maxBytes" in failure.message
    assert not [path for path in get.folder.rglob("*") if path.is_file()]


def test_the_limit_is_for_all_files_together(get, server):
    urls = [server.put("/a.parquet"), server.put("/b.parquet")]
    for _ in range(2):
        failure = refused(get, *urls, max_bytes=2 * len(PARQUET) - 1)
        assert "/b.parquet has more than" in failure.message
    assert sorted(get(*urls, max_bytes=2 * len(PARQUET))) == ["a.parquet", "b.parquet"]


HTML = b"\n<!DOCTYPE html><title>Sign in</title>"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.parquet", b"", "an empty file"),
        ("t.txt", b"", "an empty file"),
        ("t.parquet", HTML, "a web page"),
        ("t.csv", HTML, "a web page"),
        (
            "t.csv",
            b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code>",
            "a web page or an error text",
        ),
        ("t", b"<html>", "a web page"),
        ("t.parquet", b'{"a": 1}', "no parquet file: it begins with '{\"a\": 1}', not PAR1"),
        ("t.parquet", PARQUET[:-4], "a parquet file that is cut off"),
        ("t.parquet", b"PAR1", "a parquet file that is cut off"),
        ("t.parquet", b"\x1f\x8b\x08", "gzip-compressed data"),
        ("T.PARQUET", b"text", "no parquet file"),
        ("t.json", b"Not found", "no JSON rows"),
        ("t.jsonl", b"[1, 2]", "no JSON lines"),
        ("t.arrow", b"PAR1", "no arrow file"),
        ("t.csv", b"a,b\n\0\0", "no CSV in UTF-8"),
    ],
)
def test_what_cannot_be_data_is_refused(get, server, name, content, told):
    failure = refused(get, server.put(f"/{name}", content))
    assert (failure.error_class, failure.retry) == ("BadData", False)
    assert f"/{name} served {told}" in failure.message
    assert not [path for path in get.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", b' [{"a": 1}]'),
        ("t.json", b'\xef\xbb\xbf{"rows": []}'),
        ("t.jsonl", b'\n{"a": 1}\n'),
        ("t.csv", "ä,b\n1,2\n".encode()),
        ("t.arrow", b"ARROW1\0\0"),
        ("t.arrow", b"\xff\xff\xff\xff\x10"),
        ("t.bin", b"\x1f\x8b\0"),
    ],
)
def test_what_may_be_data_is_taken(get, server, name, content):
    assert get(server.put(f"/{name}", content)) == {name: content}


def test_a_stand_in_is_fetched_and_told(get, server, caplog):
    known, other = "https://hub.example/data/train.parquet", server.put("/local")
    assert get(known, stand_ins={known: other}) == {"train.parquet": PARQUET}
    assert f"from {known} (stand-in: {other})" in caplog.text


def test_a_stand_in_keeps_to_the_rules(get):
    known, other = "https://hub.example/data/train.parquet", "http://127.0.0.1:9/x"
    assert refused(get, known, stand_ins={known: other}).error_class == "DownloadRefused"


def test_redirects_are_followed(get, server):
    for number in range(10):
        server.put(f"/{number}", b"moved", status=302, headers={"Location": f"/{number + 1}"})
    server.put("/10")
    assert get(server.url("/0")) == {"0": PARQUET}
    server.put("/10", b"moved", status=302, headers={"Location": "/0"})
    failure = refused(get, server.url("/1"))
    assert (failure.message.split("/1 ")[1], failure.retry) == ("redirects without end", False)


def test_a_redirect_is_not_read(get, server):
    server.put("/moved", bytes(64 << 20), status=302, headers={"Location": "/t.parquet"})
    server.put("/t.parquet")
    assert get(server.url("/moved")) == {"moved": PARQUET}
    assert server.sent()[0] < 32 << 20


def test_compressed_transfers_are_refused(get, server):
    failure = refused(get, server.put("/t.csv", b"a,b\n", headers={"Content-Encoding": "br"}))
    assert (failure.error_class, failure.retry) == ("BadData", False)
    assert "/t.csv comes compressed (br)" in failure.message


def test_progress_is_told(get, server, caplog, monkeypatch):
    monkeypatch.setattr(pace, "REPORT_S", 0.0)
    get(server.put("/t.parquet"))
    assert "t.parquet: 500.0 KiB of 500.0 KiB (100 %), " in caplog.text


def test_a_connection_that_hangs_is_given_up(get, server, monkeypatch):
    monkeypatch.setattr(pace, "REPORT_S", 0.0)
    monkeypatch.setattr(pace, "MIN_BYTES_PER_S", 1 << 50)
    failure = refused(get, server.put("/t.parquet", etag=""))
    assert (failure.error_class, failure.retry) == ("DownloadFailed", True)
    assert "ReadTimeout" in failure.message
