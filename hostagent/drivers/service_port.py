"""The place where a network's services live: a namespace, joined to the bridge by a veth pair (rtnetlink).

Inside, `service` has the network's service MAC, its service address and 169.254.169.254: the same on every host. IPv6 is
off there, because the same MAC everywhere would be the same link-local address everywhere. Everything blocks.
"""

import socket
from ipaddress import IPv4Network
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from hostagent.contract import NetworkSpec
from hostagent.contract.error import rejected
from hostagent.drivers import naming, netns

METADATA_ADDRESS = "169.254.169.254"
SYSCTLS = {
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    "ipv4/ip_forward": "0",
    "ipv4/conf/all/arp_announce": "2",  # ask for a guest as the service address, never as 169.254.169.254
    "ipv4/conf/all/rp_filter": "0",
}


def ensure(ip: IPRoute, network: NetworkSpec) -> None:
    """Raises: NetlinkError, OSError."""
    name, outer = naming.namespace(network), naming.service_link(network)
    netns.create(name)
    bridge = socket.if_nametoindex(network.bridge)
    mtu = {"mtu": network.mtu}
    if not _is_whole(ip, name, outer):
        _delete(ip, outer)
        inner = {"ifname": naming.INSIDE, "net_ns_fd": str(netns.DIRECTORY / name), **mtu}
        ip.link("add", ifname=outer, kind="veth", peer=inner, **mtu)
        ip.link("set", index=socket.if_nametoindex(outer), ifalias=f"{naming.ALIAS} service")
    ip.link("set", index=socket.if_nametoindex(outer), master=bridge, state="up", **mtu)
    netns.inside(name, lambda: _configure(network))


def remove_others(ip: IPRoute, wanted: list[NetworkSpec]) -> None:
    """Remove the ports and namespaces with our mark that belong to none of `wanted`."""
    outer = {naming.service_link(network) for network in wanted}
    for link in ip.get_links():
        if link.get("IFLA_IFALIAS") == f"{naming.ALIAS} service" and link.get("IFLA_IFNAME") not in outer:
            ip.link("del", index=link["index"])
    kept = {naming.namespace(network) for network in wanted}
    for name in netns.names():
        if name.startswith(naming.NAMESPACES) and name not in kept:
            netns.delete(name)


def _is_whole(ip: IPRoute, name: str, outer: str) -> bool:
    """Whether the pair's inner end is in the namespace of that name; the name may be a new namespace's."""
    try:
        peer: int = ip.link("get", index=socket.if_nametoindex(outer))[0].get("IFLA_LINK")
        return netns.inside(name, lambda: socket.if_nametoindex(naming.INSIDE)) == peer
    except OSError:
        return False


def _delete(ip: IPRoute, name: str) -> None:
    try:
        ip.link("del", index=socket.if_nametoindex(name))
    except OSError:
        return


def _configure(network: NetworkSpec) -> None:
    for path, value in SYSCTLS.items():
        file = Path("/proc/sys/net", path)
        if file.exists():
            file.write_text(value)
    subnet = IPv4Network(network.cidr, strict=False)
    wanted = {(network.service_ip, subnet.prefixlen), (METADATA_ADDRESS, 32)}
    with IPRoute() as ip:
        index = socket.if_nametoindex(naming.INSIDE)
        mac = naming.service_mac(network)
        if ip.link("get", index=index)[0].get("IFLA_ADDRESS") != mac:
            ip.link("set", index=index, address=mac)
        present = {(item.get("IFA_ADDRESS"), item["prefixlen"]) for item in ip.get_addr(index=index, family=2)}
        for address, length in present - wanted:
            ip.addr("del", index=index, address=address, prefixlen=length)
        for address, length in wanted - present:
            try:
                ip.addr("add", index=index, address=address, prefixlen=length)
            except NetlinkError as error:
                raise rejected(
                    "invalid_spec", f"service_ip: {address!r} was refused by the kernel", str(error)
                ) from error
        ip.link("set", index=socket.if_nametoindex("lo"), state="up")
        ip.link("set", index=index, state="up", mtu=network.mtu)
