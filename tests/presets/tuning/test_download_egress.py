"""Where data may not come from, however it is written, resolved or redirected."""

import ipaddress
import socket

import pytest
from artifacts import RuntimeFailure
from tuner import egress
from tuner.download import download
from tuner.settings import Input

from .data_server import PARQUET, DataServer


@pytest.fixture
def server():
    with DataServer().serving() as server:
        yield server


@pytest.fixture
def get(tmp_path):
    def get(url, *allow_hosts):
        download(Input(urls=(url,), path=str(tmp_path / "data"), allow_hosts=allow_hosts), {})
        return [path.read_bytes() for path in (tmp_path / "data").glob("[!.]*")]

    return get


@pytest.fixture
def names(monkeypatch):
    """A name server: each name's answers, one list for each question."""
    real, table = socket.getaddrinfo, {}

    def resolve(host, port, *rest, **options):
        if host not in table:
            return real(host, port, *rest, **options)
        if not table[host]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [answer for each in table[host].pop(0) for answer in real(each, port, *rest, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return table


def refused(get, url, *allow_hosts):
    with pytest.raises(RuntimeFailure) as caught:
        get(url, *allow_hosts)
    assert not caught.value.retry
    return caught.value


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("20.60.0.1", True),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("100.100.100.200", False),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("168.63.129.16", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("172.32.0.1", True),
        ("192.0.0.192", False),
        ("192.88.99.1", False),
        ("192.168.1.1", False),
        ("198.18.0.1", False),
        ("203.0.113.1", False),
        ("224.0.0.1", False),
        ("233.252.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("2606:4700::1111", True),
        ("::", False),
        ("::1", False),
        ("::7f00:1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::808:808", True),
        ("64:ff9b:1::808:808", False),
        ("2001::1", False),
        ("2001:db8::1", False),
        ("2002:7f00:1::1", False),
        ("2002:a9fe:a9fe::", False),
        ("2002:808:808::1", True),
        ("fc00::1", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("ff0e::1", False),
    ],
)
def test_only_public_addresses(address, public):
    assert egress.is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "2130706433",
        "0x7f.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "127.1",
    ],
)
def test_loopback_is_refused_in_every_spelling(get, server, host):
    failure = refused(get, server.url("/t.parquet", host=host))
    assert failure.error_class == "DownloadRefused"
    assert "private, local or reserved" in failure.message
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://host/t", "/t.parquet", "host/t.parquet", "gopher://h/", "http://", ""],
)
def test_only_http(get, url):
    failure = refused(get, url)
    assert (failure.error_class, "only http and https" in failure.message) == ("DownloadRefused", True)


@pytest.mark.parametrize(
    "url", ["http://host:port/t", "http://[::1/t", "https://host:99999/t", "http://a\nb/"]
)
def test_no_url(get, url):
    failure = refused(get, url)
    assert (failure.error_class, failure.message) == ("BadConfig", "input.urls[0] is no URL")


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/",
        "//10.0.0.1/x",
        "http://localhost:{port}/t.parquet",
        "http://127.0.0.1:1/",
        "ftp://127.0.0.1/t",
        "file:///etc/passwd",
    ],
)
def test_a_redirect_is_checked(get, server, location):
    server.put("/moved", b"", status=302, headers={"Location": location.format(port=server.port)})
    server.put("/t.parquet")
    failure = refused(get, server.url("/moved"), server.host)
    assert failure.error_class == "DownloadRefused"
    assert [request.path for request in server.requests] == ["/moved"]


def test_a_name_is_refused_for_any_private_answer(get, server, names):
    names["data.example"] = [["8.8.8.8", "127.0.0.1"]]
    failure = refused(get, server.url("/t.parquet", host="data.example"))
    assert "data.example is 127.0.0.1" in failure.message
    assert server.requests == []


def test_a_connection_goes_to_the_address_that_was_checked(get, server, names):
    names["data.example"] = [["127.0.0.1"], ["127.0.0.2"]]
    server.put("/t.parquet")
    assert get(server.url("/t.parquet", host="data.example"), f"data.example:{server.port}") == [PARQUET]
    assert server.requests[0].headers["Host"] == f"data.example:{server.port}"
    assert names["data.example"] == [["127.0.0.2"]]


def test_the_next_address_is_tried(get, server, names):
    names["data.example"] = [["127.0.0.3", "127.0.0.1"]]
    server.put("/t.parquet")
    assert get(server.url("/t.parquet", host="data.example"), f"Data.Example.:{server.port}") == [PARQUET]


def test_an_unknown_name_is_told(get, names, monkeypatch):
    monkeypatch.setattr("tuner.fetch.FIRST_WAIT_S", 0.0)
    names["data.example"] = []
    with pytest.raises(RuntimeFailure) as caught:
        get("https://data.example/t.parquet")
    assert (caught.value.error_class, caught.value.retry) == ("DownloadFailed", True)
    assert "Name or service not known" in caught.value.message


@pytest.mark.parametrize("other", ["127.0.0.1:1", "127.0.0.2:{port}", "localhost:{port}"])
def test_an_exception_is_for_one_host_and_port(get, server, other):
    failure = refused(get, server.url("/t.parquet"), other.format(port=server.port))
    assert failure.error_class == "DownloadRefused"


@pytest.mark.parametrize(
    "text", ["host", "host:", "host:x", "host:99999", ":80", "http://h:80", "h:80/x", "u@h:80", ""]
)
def test_a_malformed_exception_is_refused(get, text):
    failure = refused(get, "https://data.example/t", text)
    assert (failure.error_class, "input.allowHosts" in failure.message) == ("BadConfig", True)


def test_proxies_are_not_used(get, server, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server.put("/t.parquet")
    assert get(server.url("/t.parquet"), server.host) == [PARQUET]
    assert "proxies of the environment are not used" in caplog.text
