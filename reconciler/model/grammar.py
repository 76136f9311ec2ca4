"""The small languages inside manifests: names, labels, image references, URLs.

Each check returns why a text is refused, or an empty string. All patterns are linear.
"""

import ipaddress
import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_HOST = re.compile(
    r"([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[0-9]+)?"
)
_COMPONENT = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_URL = re.compile(r"https?://[^/?#\s@]+([/?#][^\s]*)?", re.IGNORECASE)
_HOST_OF = re.compile(r"https?://(?:\[([^\]]*)\]|([^/?#:\s]*))", re.IGNORECASE)
_NUMERIC_END = re.compile(r"(^|\.)([0-9]+|0x[0-9a-f]*)$")
"""Such a host is an IPv4 address to every resolver (WHATWG URL, "ends in a number"), in whatever writing."""
_METADATA_HOSTS = frozenset({"metadata.google.internal", "metadata.google", "instance-data.ec2.internal"})
_PLACEHOLDER = re.compile(
    r"(?<![A-Za-z])(?:[A-Z0-9]+_)*HERE(?![A-Za-z])|<[^<>]*>|\$\{[^{}]*\}"
    r"|(?<![A-Za-z])(?:YOUR[-_ ]?[A-Z]+|PULLREGISTRY|PUSHREGISTRY|CHANGE_?ME|REPLACE_?ME|TODO)(?![A-Za-z])"
)


def label_fault(text: str) -> str:
    """DNS-1123 label: what a workspace's name must be, as it names Services and pods."""
    if len(text) <= 63 and _LABEL.fullmatch(text):
        return ""
    return "it must be at most 63 lower-case letters, digits and '-', with a letter or digit at both ends"


def subdomain_fault(text: str) -> str:
    """DNS-1123 subdomain: what most Kubernetes objects' names must be."""
    if len(text) <= 253 and _SUBDOMAIN.fullmatch(text):
        return ""
    return "it must be lower-case letters, digits, '-' and '.', with a letter or digit at both ends"


def key_fault(text: str) -> str:
    """Key of a label or annotation: an optional DNS prefix and a name of at most 63 characters."""
    prefix, slash, name = text.rpartition("/")
    if (slash and subdomain_fault(prefix)) or len(name) > 63 or not _WORD.fullmatch(name):
        return "it must be a name of letters, digits, '-', '_' and '.', after an optional DNS prefix and '/'"
    return ""


def label_value_fault(text: str) -> str:
    if not text or (len(text) <= 63 and _WORD.fullmatch(text)):
        return ""
    return "it must be at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"


def image_fault(text: str) -> str:
    """The reference grammar of the container registries: `registry/repository[:tag][@digest]`."""
    name, at, digest = text[:1024].partition("@")
    if at and not _DIGEST.fullmatch(digest):
        return "what follows '@' must be a sha256 or sha512 digest"
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        return "the tag must be at most 128 letters, digits, '_', '.' and '-'"
    return _name_fault(head + slash + last)


def _name_fault(name: str) -> str:
    first, slash, rest = name.partition("/")
    has_host = bool(slash) and (first == "localhost" or bool(re.search(r"[.:A-Z]", first)))
    if len(name) > 255:
        return "registry and repository together are longer than 255 characters"
    faults = [_part_fault(part) for part in (rest if has_host else name).split("/")]
    if has_host and not _HOST.fullmatch(first):
        faults.insert(0, f"the registry {first!r} is not a host name")
    return ", and ".join(filter(None, faults))


def _part_fault(part: str) -> str:
    if any(c.isupper() for c in part):
        return f"the repository name {part!r} must be lower case"
    return "" if _COMPONENT.fullmatch(part) else f"{part!r} is no part of a repository name"


def url_fault(text: str) -> str:
    """An http or https URL with a host."""
    return "" if _URL.fullmatch(text) else "it must be an http or https URL without spaces"


def host_fault(url: str) -> str:
    """A host that only the pod's own machine or network has: data must come from where all can see it.

    Kaito refuses the same since 0.9, so that a pod is not made to read the cloud's metadata for somebody.
    """
    found = _HOST_OF.match(url)
    host = (found[1] or found[2] or "").rstrip(".").lower() if found else ""
    if host in _METADATA_HOSTS:
        return "it must not be the cloud's metadata service"
    if host == "localhost" or host.endswith(".localhost"):
        return "it must not be the pod's own machine"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "an IPv4 address is written as four decimal numbers" if _NUMERIC_END.search(host) else ""
    return "" if address.is_global else "it must not be a loopback, private or link-local address"


def has_login(url: str) -> bool:
    """A user name or password in a URL: not to be repeated to anyone."""
    return bool(re.match(r"[a-z][a-z0-9+.-]*://[^/?#]*@", url, re.IGNORECASE))


def placeholder(text: str) -> str:
    """The part of a text that an example left to be filled in; empty where there is none."""
    found = _PLACEHOLDER.search(text[:1024])
    return found.group() if found else ""
