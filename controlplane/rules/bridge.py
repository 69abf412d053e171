"""Names and hardware addresses made for the host's network: bridges, tap devices, MACs.

The kernel allows 15 characters for the name of an interface.
"""

import hashlib

LIMIT = 15


def bridge_name(physical_interface: str, vlan: int | None) -> str:
    """`br_eth0`, `br_eth0_100`; a long interface is cut, so two of them may collide: see `l2_network` checks."""
    if vlan is None:
        return f"br_{physical_interface}"[:LIMIT]
    return f"br_{physical_interface[:7]}_{vlan}"


def tap_name(vm_internal_id: int, device_id: int) -> str:
    name = f"vnic{vm_internal_id}.{device_id}"
    if len(name) > LIMIT:
        raise ValueError(f"no tap device can be named {name}")
    return name


def nic_mac(seed: str, device_id: int) -> str:
    """`fa:` (locally administered, unicast), four octets of the seed (hex digits), the device number."""
    return ":".join(("fa", *(seed[i : i + 2] for i in (0, 2, 4, 6)), f"{device_id:02d}"))


def service_mac(l3_network_uuid: str) -> str:
    """The same on every host; a NIC's last octet is a decimal number below 99, so it is never a NIC's."""
    digest = hashlib.sha256(l3_network_uuid.encode()).hexdigest()
    return ":".join(("fa", *(digest[i : i + 2] for i in (0, 2, 4, 6)), "ff"))
