"""Where the result of a job may be posted to (pure).

The control plane must not become a way into what only it can reach: never to link-local addresses (169.254.169.254 serves
credentials in many clouds), and to this machine itself only for a caller on this machine.
"""

import ipaddress
from urllib.parse import urlsplit

from controlplane.contract.error import ApiError, invalid

ATTEMPTS = 15
PAUSE = 2.0  # seconds between two
_LONGEST = 2048


def parse(url: str) -> tuple[str, int]:
    """Host and port of an `http(s)://` URL; raises SYS.1007."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _wrong(url, "is no URL") from None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise _wrong(url, "is not of the form http(s)://host[:port]/path")
    if len(url) > _LONGEST or not url.isascii() or any(char <= " " for char in url):
        raise _wrong(url, f"must be at most {_LONGEST} visible ASCII characters")
    return host, port or (443 if parts.scheme == "https" else 80)


def allows(address: str, inward: bool) -> bool:
    """May a hook go to this IP address? `inward`: the caller is on this machine."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    if ip.is_loopback or ip.is_unspecified:
        return inward and not ip.is_unspecified
    return not (ip.is_link_local or ip.is_multicast or ip.is_reserved)


def must_be_allowed(url: str, inward: bool) -> None:
    """What can be said without asking a name server; raises SYS.1007."""
    host, _ = parse(url)
    try:
        allowed = allows(host, inward)
    except ValueError:
        allowed = inward or host.rstrip(".").lower() not in ("localhost", "ip6-localhost")
    if not allowed:
        raise _wrong(url, "leads to an address to which no result is posted")


def _wrong(url: str, problem: str) -> ApiError:
    return invalid(f"the header X-Web-Hook: {url[:100]!r} {problem}", "X-Web-Hook")
