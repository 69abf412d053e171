"""IPv4 arithmetic of L3 networks: ranges, netmasks, CIDRs, and names of hosts and domains.

Pure; everything a caller wrote wrongly is `SYS.1007` naming the parameter, the value and what would be right.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from controlplane.contract.error import invalid

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


@dataclass(frozen=True)
class Range:
    """A range of addresses, both ends included, inside one subnet."""

    start: IPv4Address
    end: IPv4Address
    network: IPv4Network
    gateway: IPv4Address

    @property
    def size(self) -> int:
        return int(self.end) - int(self.start) + 1


def address(text: str, field: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise invalid(f"{field} {text!r} is no IPv4 address, such as 10.0.0.10", field) from None


def prefix_length(netmask: str, field: str = "netmask") -> int:
    """`255.255.255.0` → 24."""
    bits = f"{int(address(netmask, field)):032b}"
    if "01" in bits or "1" not in bits:
        raise invalid(f"{field} {netmask!r} is no netmask, such as 255.255.255.0", field)
    return bits.count("1")


def range_of(start: str, end: str, netmask: str, gateway: str) -> Range:
    """Checks everything one range can be checked for alone."""
    first, last, door = address(start, "startIp"), address(end, "endIp"), address(gateway, "gateway")
    network = IPv4Network((first, prefix_length(netmask)), strict=False)
    if first > last:
        raise invalid(f"startIp {first} lies above endIp {last}; swap them", "startIp")
    for field, one in (("endIp", last), ("gateway", door)):
        if one not in network:
            raise invalid(f"{field} {one} lies outside {network}, the network of startIp {first}/{netmask}", field)
    if first <= door <= last:
        raise invalid(f"gateway {door} lies inside the range {first}-{last}; choose one outside", "gateway")
    if network.prefixlen <= 30:
        for field, one in (("startIp", first), ("endIp", last), ("gateway", door)):
            if one in (network.network_address, network.broadcast_address):
                raise invalid(f"{field} {one} is the network or the broadcast address of {network}", field)
    return Range(first, last, network, door)


def range_of_cidr(cidr: str) -> Range:
    """The first usable address becomes the gateway, the others the range."""
    try:
        network = IPv4Network(cidr, strict=False)
    except ValueError:
        raise invalid(f"networkCidr {cidr!r} is no IPv4 network, such as 10.0.0.0/24", "networkCidr") from None
    if "/" not in cidr or not 1 <= network.prefixlen <= 29:
        raise invalid(
            f"networkCidr {cidr!r} must have a prefix from /1 to /29 to leave usable addresses", "networkCidr"
        )
    base = network.network_address
    return Range(base + 2, network.broadcast_address - 1, network, base + 1)


def must_fit(new: Range, others: list[Range]) -> None:
    """Ranges of one L3 network do not overlap and share their subnet and gateway: its guests have one router."""
    for other in others:
        if new.start <= other.end and other.start <= new.end:
            raise invalid(f"range {new.start}-{new.end} overlaps {other.start}-{other.end} of the same L3 network")
        if new.network != other.network or new.gateway != other.gateway:
            raise invalid(
                f"range {new.start}-{new.end} is of {new.network} with gateway {new.gateway}, but the L3 network "
                f"has {other.network} with gateway {other.gateway}; make another L3 network for it"
            )
        if other.start <= new.gateway <= other.end:
            raise invalid(f"gateway {new.gateway} lies inside {other.start}-{other.end}; choose one outside", "gateway")


def is_domain(text: str) -> bool:
    """A DNS domain or host name (RFC 1123): labels of letters, digits and hyphens, 253 characters in all."""
    return len(text) <= 253 and all(_LABEL.fullmatch(label) for label in text.split("."))


def is_hostname(text: str) -> bool:
    """A host name that no program takes for an address."""
    return is_domain(text) and not text.replace(".", "").isdigit()
