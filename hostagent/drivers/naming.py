"""What the things of a host's network are called, and what a name or address may look like. Pure.

Names follow from the snapshot. A device name is checked wherever it enters the kernel: letters, digits, `_.-`, at most 15 characters.
"""

import re
from hashlib import sha256
from ipaddress import AddressValueError, IPv4Address

from hostagent.contract import BridgeSpec, NetworkSpec, SnapshotSpec
from hostagent.contract.error import rejected

TABLE = "steppe"  # of nftables
NAMESPACES = "steppe-"  # prefix of the namespaces
ALIAS = "steppe"  # ifalias of the links that are ours to remove
INSIDE = "service"  # the device within a network's namespace
LONGEST = 15  # IFNAMSIZ - 1


def namespace(network: NetworkSpec) -> str:
    return f"{NAMESPACES}{network.l3_uuid[:8]}"


def service_link(network: NetworkSpec) -> str:
    """The end of the veth pair that is a port of the bridge."""
    return f"sv-{network.l3_uuid[:8]}"


def service_mac(network: NetworkSpec) -> str:
    """As specified, else locally administered and derived from the network: the same on every host."""
    return mac("service_mac", network.service_mac or f"0253{sha256(network.l3_uuid.encode()).hexdigest()[:8]}")


def uplink(bridge: BridgeSpec) -> str:
    """The port towards the wire: the physical interface, or its VLAN device (shortened to what a name may hold)."""
    if bridge.vlan is None:
        return device(bridge.physical_interface)
    suffix = f".{bridge.vlan}"
    return device(bridge.physical_interface[: LONGEST - len(suffix)] + suffix)


def device(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", name) or name in (".", ".."):
        raise rejected("invalid_spec", f"{name!r} is no device name: 1 to 15 of letters, digits and _.-")
    return name


def mac(attribute: str, text: str) -> str:
    digits = text.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits):
        raise rejected("invalid_spec", f"{attribute}: {text!r} is no MAC address like fa:16:3e:00:00:01")
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def ipv4(attribute: str, text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError as error:
        raise rejected("invalid_spec", f"{attribute}: {text!r} is no IPv4 address like 10.0.0.1") from error


def check(snapshot: SnapshotSpec) -> None:
    """Raises: invalid_spec where two networks would share a namespace, or a network names a bridge that is not there."""
    bridges = {bridge.name for bridge in snapshot.bridges}
    seen: dict[str, str] = {}
    for network in snapshot.networks:
        if network.bridge not in bridges:
            raise rejected(
                "invalid_spec", f"network {network.l3_uuid}: bridge {network.bridge!r} is not in the snapshot"
            )
        other = seen.setdefault(namespace(network), network.l3_uuid)
        if other != network.l3_uuid:
            raise rejected("invalid_spec", f"networks {other} and {network.l3_uuid} begin with the same 8 digits")
