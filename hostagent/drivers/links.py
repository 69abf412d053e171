"""Bridges with their uplinks, and one namespace with a service port for each network that has services (rtnetlink).

`apply` makes the links of a snapshot so, and removes what carries our mark and is not in it. It goes on after a problem
with one bridge: its networks are left out and the others are served; the problems are returned. A bridge that existed
before is used and never removed; one that is to go while guests are on it loses its uplink (they are no longer guarded
there) and goes when they are gone. Everything blocks.
"""

import errno
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from hostagent.contract import BridgeSpec, HostError, PhysicalInterface, SnapshotSpec
from hostagent.contract.error import broken, rejected
from hostagent.drivers import addresses, naming, netns, service_port

SYS = Path("/proc/sys/net")
UP = 1  # IFF_UP
VIRTUAL = {"bridge", "tun", "vlan", "dummy", "ifb"}  # kinds that are no uplink of a host


@dataclass(frozen=True)
class Link:
    index: int
    name: str
    kind: str
    alias: str
    master: int
    mac: str
    mtu: int
    up: bool


def read(ip: IPRoute) -> dict[str, Link]:
    return {link.name: link for link in map(_link, ip.get_links())}


def _link(message: Any) -> Link:
    info = message.get("IFLA_LINKINFO")
    return Link(
        index=message["index"],
        name=message.get("IFLA_IFNAME"),
        kind=(info.get("IFLA_INFO_KIND") if info else None) or "",
        alias=message.get("IFLA_IFALIAS") or "",
        master=message.get("IFLA_MASTER") or 0,
        mac=message.get("IFLA_ADDRESS") or "",
        mtu=message.get("IFLA_MTU") or 0,
        up=bool(message["flags"] & UP),
    )


def interfaces() -> list[PhysicalInterface]:
    """The links that may be an uplink: not the loopback, not a bridge or tap, not ours."""
    with IPRoute() as ip:
        return [
            PhysicalInterface(name=link.name, mac=link.mac, mtu=link.mtu, up=link.up)
            for link in read(ip).values()
            if link.name != "lo" and link.kind not in VIRTUAL and not link.alias.startswith(naming.ALIAS)
        ]


def vlan_supported() -> bool:
    """Whether this kernel makes VLAN devices: tried on a link of a nameless namespace."""

    def attempt() -> bool:
        with IPRoute() as ip:
            ip.link("add", ifname="probe0", kind="veth", peer="probe1")
            try:
                ip.link("add", ifname="probe0.2", kind="vlan", link=socket.if_nametoindex("probe0"), vlan_id=2)
            except NetlinkError:
                return False
            return True

    return netns.in_scratch(attempt)


def apply(snapshot: SnapshotSpec) -> list[HostError]:
    """What could not be made so; empty when all is. Raises: invalid_spec before anything is changed."""
    naming.check(snapshot)
    problems: list[HostError] = []
    standing: set[str] = set()
    with IPRoute() as ip:
        for spec in snapshot.bridges:
            try:
                _ensure_bridge(ip, spec)
                standing.add(spec.name)
            except (HostError, NetlinkError, OSError) as error:
                problems.append(_problem(f"bridge {spec.name}", error))
        _switch_off_filters()
        served = [network for network in snapshot.networks if network.service_ip]
        for network in served:
            if network.bridge in standing:
                try:
                    service_port.ensure(ip, network)
                except (HostError, NetlinkError, OSError) as error:
                    problems.append(_problem(f"network {network.l3_uuid}", error))
        service_port.remove_others(ip, served)
        _remove_bridges(ip, {spec.name for spec in snapshot.bridges})
    return problems


def _ensure_bridge(ip: IPRoute, spec: BridgeSpec) -> None:
    links = read(ip)
    physical = links.get(naming.device(spec.physical_interface))
    if physical is None:
        there = ", ".join(sorted(set(links) - {"lo"}))
        raise rejected(
            "interface_missing", f"physical_interface: this host has no {spec.physical_interface!r}; it has {there}"
        )
    uplink = physical if spec.vlan is None else _ensure_vlan(ip, spec, physical, links)
    bridge = links.get(naming.device(spec.name))
    if bridge is not None and bridge.kind != "bridge":
        raise rejected("invalid_spec", f"name: {spec.name!r} exists on this host and is no bridge")
    if uplink.master and (bridge is None or uplink.master != bridge.index):
        owner = next((link.name for link in links.values() if link.index == uplink.master), "another device")
        raise rejected("in_use", f"physical_interface: {uplink.name!r} already belongs to {owner!r}")
    if bridge is None:
        ip.link("add", ifname=spec.name, kind="bridge", address=uplink.mac, br_stp_state=0, br_forward_delay=0)
        index = socket.if_nametoindex(spec.name)
        ip.link("set", index=index, ifalias=f"{naming.ALIAS} {uplink.name}")
        if not addresses.movable(ip, uplink.index):  # the host itself has no business on this network
            _write(SYS / "ipv6/conf" / spec.name / "disable_ipv6", "1")
    else:
        index = bridge.index
        _release_former_uplink(ip, bridge, uplink, links)
    ip.link("set", index=index, state="up")
    ip.link("set", index=physical.index, state="up")
    if uplink.master != index:
        ip.link("set", index=uplink.index, master=index, state="up")
    if addresses.movable(ip, uplink.index):
        addresses.move(ip, uplink.index, index)


def _ensure_vlan(ip: IPRoute, spec: BridgeSpec, physical: Link, links: dict[str, Link]) -> Link:
    name = naming.uplink(spec)
    if name not in links:
        try:
            ip.link("add", ifname=name, kind="vlan", link=physical.index, vlan_id=spec.vlan)
        except NetlinkError as error:
            if error.code in (errno.EOPNOTSUPP, errno.ENOENT, errno.ENODEV):
                raise rejected(
                    "vlan_unsupported",
                    f"vlan: this host's kernel makes no VLAN devices, so VLAN {spec.vlan} on {physical.name!r} cannot"
                    " be; load the module 8021q or use an L2 network without VLAN",
                ) from error
            raise
        ip.link("set", index=socket.if_nametoindex(name), ifalias=f"{naming.ALIAS} vlan", state="up")
    return read(ip)[name]


def _release_former_uplink(ip: IPRoute, bridge: Link, uplink: Link, links: dict[str, Link]) -> None:
    """A bridge of ours whose spec names another physical interface now lets go of the one before."""
    former = links.get(bridge.alias.partition(" ")[2]) if bridge.alias.startswith(naming.ALIAS) else None
    if bridge.alias.startswith(naming.ALIAS) and (former is None or former.name != uplink.name):
        if former is not None and former.master == bridge.index:
            ip.link("set", index=former.index, master=0)
            addresses.move(ip, bridge.index, former.index)
            _remove_vlan(ip, former)
        ip.link("set", index=bridge.index, ifalias=f"{naming.ALIAS} {uplink.name}", address=uplink.mac)


def _remove_bridges(ip: IPRoute, wanted: set[str]) -> None:
    links = read(ip)
    for bridge in links.values():
        if bridge.kind != "bridge" or not bridge.alias.startswith(naming.ALIAS) or bridge.name in wanted:
            continue
        uplink = links.get(bridge.alias.partition(" ")[2])
        if uplink is not None and uplink.master == bridge.index:
            ip.link("set", index=uplink.index, master=0)
            addresses.move(ip, bridge.index, uplink.index)
            _remove_vlan(ip, uplink)
        if not any(link.master == bridge.index and link != uplink for link in links.values()):
            ip.link("del", index=bridge.index)


def _remove_vlan(ip: IPRoute, link: Link) -> None:
    if link.kind == "vlan" and link.alias.startswith(naming.ALIAS):
        ip.link("del", index=link.index)


def _switch_off_filters() -> None:
    """Bridged frames are the guard's; iptables rules made for the host (Docker's) must not drop them."""
    for name in ("iptables", "ip6tables", "arptables"):
        _write(SYS / "bridge" / f"bridge-nf-call-{name}", "0")


def _write(path: Path, value: str) -> None:
    with suppress(FileNotFoundError):  # the kernel has no such feature
        path.write_text(value)


def _problem(what: str, error: Exception) -> HostError:
    if isinstance(error, HostError):
        problem = error.problem
        return HostError(problem.error_class, problem.code, f"{what}: {problem.message}", problem.detail)
    return broken("internal", f"{what}: the kernel refused a change of the network", str(error))
