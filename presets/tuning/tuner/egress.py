"""Which hosts data may come from: public ones, by http or https, however a name or a redirect hides another.

Each name is resolved here, all its addresses are checked, and the connection goes to one that was checked, so
a second answer of the name server changes nothing. Proxies of the environment are not used: behind one, the
address that data comes from would be the proxy's choice.
"""

import ipaddress
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

import httpx
from artifacts.errors import RuntimeFailure

from .links import shown

PORTS = {"http": 80, "https": 443}
CONNECT_S, READ_S = 20.0, 60.0
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
# What Python's table calls global, but hosts keep for themselves: IETF's own block (Oracle's metadata are in
# it), the old 6to4 relays, and the agent of Azure's hosts, which every virtual machine reaches there.
_RESERVED = [ipaddress.IPv4Network(n) for n in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")]
_REMEDY = "use a public link; an administrator may allow a private host:port by images.allowHosts"


def client(allow_hosts: Iterable[str]) -> httpx.Client:
    """Checks each request; follows no redirects. Raises BadConfig where `allow_hosts` is malformed."""
    return httpx.Client(
        transport=Transport(allow_hosts),
        timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
        trust_env=False,
    )


def allowed_hosts(texts: Iterable[str]) -> frozenset[tuple[str, int]]:
    return frozenset(_host_port(text) for text in texts)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Also of the IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64)."""
    if isinstance(address, IPv4Address):
        reserved = address.is_multicast or any(address in network for network in _RESERVED)
        return address.is_global and not reserved
    embedded = _embedded(address)
    if embedded is not None:
        return is_public(embedded)
    return address in _GLOBAL_UNICAST and address.is_global


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


class Transport(httpx.BaseTransport):
    """Checks where a request goes, then sends it to an address that was checked."""

    def __init__(self, allow_hosts: Iterable[str]) -> None:
        self._allowed = allowed_hosts(allow_hosts)
        # A kept connection is known by its address alone: another name's certificate would not be looked at.
        self._inner = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises DownloadRefused; ConnectError where no address answers."""
        failed: httpx.TransportError = httpx.ConnectError("no address")
        for address in self._addresses(request.url):
            try:
                return self._inner.handle_request(_pinned(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = error
        raise failed

    def close(self) -> None:
        self._inner.close()

    def _addresses(self, url: httpx.URL) -> list[str]:
        if url.scheme not in PORTS or not url.host:
            raise _refused(url, "only http and https with a host are allowed")
        host, port = url.raw_host.decode("ascii"), url.port or PORTS[url.scheme]
        found = _resolve(host, port)
        if (_plain(host), port) not in self._allowed:
            for address in found:
                if not is_public(ipaddress.ip_address(address)):
                    where = "" if address == host else f": {host} is {address}"
                    raise _refused(url, f"it leads to a private, local or reserved address{where}")
        return found


def _resolve(host: str, port: int) -> list[str]:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"{host} has no address: {error}") from error
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    """The Host header and the name on the certificate stay those of the URL."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")},
    )


def _host_port(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port and parts.netloc == text and "@" not in text:
            return _plain(parts.hostname), parts.port
    except ValueError:
        pass
    raise RuntimeFailure("BadConfig", f"input.allowHosts: {text!r} is not host:port", "write it as host:port")


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _refused(url: httpx.URL, rule: str) -> RuntimeFailure:
    return RuntimeFailure("DownloadRefused", f"{shown(url)} is not fetched: {rule}", _REMEDY)
