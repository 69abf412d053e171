"""Moves the addresses and routes of one link to another, so that the host keeps its management address.

Used when a physical interface becomes a bridge's uplink, and back. The target has every address before the source
loses one, and a route is replaced in one step; a move that was cut short is finished by the next. Addresses lose
their lifetime: whoever renewed them on the old link (a DHCP client) has to be pointed to the new one.
"""

from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

LINK_SCOPE, KERNEL, UNICAST, LOCAL_TABLE = 253, 2, 1, 255
EEXIST, ESRCH, EADDRNOTAVAIL, ENOENT = 17, 3, 99, 2


def movable(ip: IPRoute, index: int) -> list[Any]:
    """Addresses of the link beside the link-local ones of IPv6, which every link makes itself."""
    return [item for item in ip.get_addr(index=index) if not (item["family"] == 10 and item["scope"] == LINK_SCOPE)]


def move(ip: IPRoute, source: int, target: int) -> None:
    """Repeatable. `target` is up. Raises: NetlinkError."""
    addresses = movable(ip, source)
    for item in addresses:
        wanted = {"family": item["family"], "address": item.get("IFA_LOCAL") or item.get("IFA_ADDRESS")}
        try:
            ip.addr("add", index=target, prefixlen=item["prefixlen"], scope=item["scope"], **wanted)
        except NetlinkError as error:
            if error.code != EEXIST:
                raise
    for family in (2, 10):
        for route in _routes(ip, family, source):
            ip.route("replace", oif=target, **route)
    for item in addresses:
        wanted = {"family": item["family"], "address": item.get("IFA_LOCAL") or item.get("IFA_ADDRESS")}
        ip.addr("del", index=source, prefixlen=item["prefixlen"], **wanted)


def _routes(ip: IPRoute, family: int, link: int) -> list[dict[str, Any]]:
    """Routes over `link` that somebody made, on-link ones first: a gateway must be reachable when its route is made."""
    found = []
    for route in ip.get_routes(family=family, oif=link):
        table = route.get("RTA_TABLE") or route["table"]
        if route["type"] != UNICAST or route["proto"] == KERNEL or table == LOCAL_TABLE:
            continue
        wanted: dict[str, Any] = {"family": family, "table": table, "proto": route["proto"], "scope": route["scope"]}
        destination = route.get("RTA_DST")
        wanted["dst"] = f"{destination}/{route['dst_len']}" if destination else "default"
        for name, attribute in (("gateway", "RTA_GATEWAY"), ("priority", "RTA_PRIORITY"), ("prefsrc", "RTA_PREFSRC")):
            if route.get(attribute) is not None:
                wanted[name] = route.get(attribute)
        found.append(wanted)
    return sorted(found, key=lambda route: "gateway" in route)
